"""pipeline/training/seeds.py: one run per seed on the same splits, resuming, and the mean of all runs."""

import dataclasses
import math
import statistics
from collections.abc import Callable

import pytest
import torch

from daan.config import DaanConfig
from pipeline.base.errors import TrainingStoppedError, UsageError
from pipeline.base.files import read_json
from pipeline.base.progress import SilentReporter
from pipeline.base.workspace import Workspace
from pipeline.settings.training import TrainingSettings
from pipeline.settings.tree import Settings
from pipeline.status import workspace_status
from pipeline.training.seeds import SeedsTraining, train_seeds
from pipeline.training.train import TrainingReport, train

CPU = torch.device("cpu")
SETTINGS = Settings(
    daan=DaanConfig(hidden_width=16, output_width=8, heads=2),
    training=TrainingSettings(epochs=2, batch_pairs=8, steps_per_epoch=2, seeds=(0, 5, 2), least_validation_videos=5),
)


def run(workspace: Workspace, **options: object) -> tuple[SeedsTraining, list[TrainingReport]]:
    """Train all seeds; return the report and the reports that `on_trained` received."""
    received: list[TrainingReport] = []
    report = train_seeds(
        workspace,
        SETTINGS,
        device=CPU,
        reporter=SilentReporter(),
        on_epoch=lambda *_: None,
        on_trained=received.append,
        **options,  # type: ignore[arg-type]  # as train_seeds takes them
    )
    return report, received


def test_every_seed_is_a_run_of_its_own_on_the_same_splits(extracted: Callable[..., Workspace]) -> None:
    """Each run equals the run of a single training with that seed; mean and deviation are those of validation."""
    workspace = extracted()

    report, received = run(workspace)

    assert tuple(received) == report.reports
    assert [one.seed for one in report.reports] == [0, 5, 2]
    assert len(set(report.runs)) == 3
    splits = {(one.folder / "splits.yaml").read_bytes() for one in report.reports}
    assert len(splits) == 1
    for name in ("S", "U", "HM", "ZSL"):
        values = [read_json(one.folder / "model.json")["training"]["validation"][name] for one in report.reports]
        assert report.mean[name] == pytest.approx(statistics.mean(values))
        assert report.deviation[name] == pytest.approx(statistics.stdev(values))
    alone = dataclasses.replace(SETTINGS, training=dataclasses.replace(SETTINGS.training, seed=5, seeds=()))
    again = train(workspace, alone, device=CPU, reporter=SilentReporter(), on_epoch=lambda *_: None)
    assert again.did_nothing
    assert again.run == report.runs[1]


def test_the_workspace_records_all_runs_until_a_single_one_is_trained(extracted: Callable[..., Workspace]) -> None:
    """The record names the first run as output and lists all runs; the record of a single run has no list."""
    workspace = extracted()
    report, _ = run(workspace)
    record = workspace.stages()["model"]
    line = next(entry for entry in workspace_status(workspace) if entry.stage == "model")

    alone = dataclasses.replace(SETTINGS, training=dataclasses.replace(SETTINGS.training, seeds=()))
    train(workspace, alone, device=CPU, reporter=SilentReporter(), on_epoch=lambda *_: None)

    assert record.output == f"models/{report.runs[0]}"
    assert tuple(record.summary["runs"]) == report.runs
    assert record.summary["ZSL"] == report.mean["ZSL"]
    assert f"{report.runs[0]}, the first of 3 seeds: mean validation HM" in line.detail
    assert "runs" not in workspace.stages()["model"].summary


def test_a_stopped_training_skips_finished_seeds_and_continues_with_the_others(
    extracted: Callable[..., Workspace],
) -> None:
    """After a stop in the second run, the first is not trained again, and the second and third are finished."""
    workspace = extracted()
    steps = 0

    def stop() -> bool:
        nonlocal steps
        steps += 1
        return len(list(workspace.root.glob("models/*/model.json"))) == 1

    with pytest.raises(TrainingStoppedError):
        run(workspace, stop=stop)
    assert "model" not in workspace.stages()

    report, received = run(workspace)

    assert [one.did_nothing for one in received] == [True, False, False]
    assert len(list(workspace.root.glob("models/*/model.json"))) == 3
    assert tuple(workspace.stages()["model"].summary["runs"]) == report.runs


def test_without_validation_all_metrics_are_nan(extracted: Callable[..., Workspace]) -> None:
    """Three classes with one video each leave no validation videos."""
    report, _ = run(extracted(classes=3, videos=1))

    assert all(math.isnan(value) for value in (*report.mean.values(), *report.deviation.values()))


def test_training_one_run_refuses_several_seeds(extracted: Callable[..., Workspace]) -> None:
    """`train` trains one run, so it refuses a setting that it would have to ignore."""
    with pytest.raises(UsageError, match=r"training\.seeds are \[0, 5, 2\], but this trains one run"):
        train(extracted(), SETTINGS, device=CPU, reporter=SilentReporter(), on_epoch=lambda *_: None)
