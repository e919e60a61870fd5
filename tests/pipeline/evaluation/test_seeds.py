"""Evaluating the runs of several seeds together."""

import json
import statistics
from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from daan.config import DaanConfig
from pipeline.base.errors import UsageError, WorkspaceInUseError
from pipeline.base.progress import SilentReporter
from pipeline.base.workspace import Workspace
from pipeline.evaluation.seeds import SeedsReport, evaluate_seeds, over_seeds, seed_runs
from pipeline.scoring.metrics import Metrics
from pipeline.settings.training import TrainingSettings
from pipeline.settings.tree import Settings
from pipeline.status import workspace_status
from pipeline.training.train import train

CPU = torch.device("cpu")
SETTINGS = Settings(
    daan=DaanConfig(hidden_width=32, output_width=16, heads=2),
    training=TrainingSettings(epochs=1, batch_pairs=16, steps_per_epoch=2),
)


def trained(workspace: Workspace, seeds: tuple[int, ...]) -> list[str]:
    """Train shortly, once a seed, and leave the record that training with several seeds leaves; the runs' names."""
    runs = []
    for seed in seeds:
        settings = replace(SETTINGS, training=replace(SETTINGS.training, seed=seed))
        runs.append(
            train(workspace, settings, device=CPU, reporter=SilentReporter(), on_epoch=lambda *_: None).folder.name
        )
    record = workspace.stages()["model"]
    workspace.record("model", replace(record, output=f"models/{runs[0]}", summary={"run": runs[0], "runs": runs}))
    return runs


def evaluated(workspace: Workspace, runs: list[str], **options: str) -> SeedsReport:
    """Evaluate silently."""
    return evaluate_seeds(workspace, runs, device=CPU, reporter=SilentReporter(), **options)  # type: ignore[arg-type]  # options by name


def test_every_run_is_evaluated_and_their_mean_and_deviation_written(extracted: Callable[..., Workspace]) -> None:
    """Each run's own report, and seeds.json beside the first with the figures that a slow count gives."""
    workspace = extracted()
    runs = trained(workspace, (0, 1, 2))
    assert seed_runs(workspace) == tuple(runs)

    report = evaluated(workspace, runs)

    document = json.loads(report.file.read_text())
    assert report.file == workspace.report_folder(runs[0]) / "seeds.json"
    assert list(document["runs"]) == runs
    assert document["seeds"] == 3
    for run in runs:
        metrics = json.loads((workspace.report_folder(run) / "metrics.json").read_text())
        assert metrics["run"] == run
        assert {name: metrics[name] for name in document["runs"][run]} == document["runs"][run]
    for score in ("audio", "visual", "sum"):
        for figure in ("S", "U", "HM", "ZSL"):
            values = [document["runs"][run][score][figure] for run in runs]
            assert document["mean"][score][figure] == pytest.approx(statistics.mean(values))
            assert document["deviation"][score][figure] == pytest.approx(statistics.stdev(values))


def test_the_report_counts_as_done_for_the_model_of_several_seeds(extracted: Callable[..., Workspace]) -> None:
    """`avzsl status` shows the mean, and nothing is stale."""
    workspace = extracted()
    runs = trained(workspace, (0,))
    report = evaluated(workspace, runs)

    status = {entry.stage: entry for entry in workspace_status(workspace)}["report"]

    assert status.state == "done"
    assert f"ZSL {report.mean[report.reports[0].score]['ZSL']:.1f}" in status.detail
    assert status.detail.endswith(f"reports/{runs[0]}/seeds.json")


def test_validation_leaves_the_test_report_alone(extracted: Callable[..., Workspace]) -> None:
    """Its figures lie in a folder of their own, and no stage is recorded."""
    workspace = extracted()
    runs = trained(workspace, (0,))
    report = evaluated(workspace, runs, held_out="validation")
    assert report.file == workspace.report_folder(runs[0]) / "validation" / "seeds.json"
    assert "report" not in workspace.stages()


def test_an_ordinary_training_has_no_seed_runs(extracted: Callable[..., Workspace]) -> None:
    """Before and after it."""
    workspace = extracted()
    assert seed_runs(workspace) == ()
    train(workspace, SETTINGS, device=CPU, reporter=SilentReporter(), on_epoch=lambda *_: None)
    assert seed_runs(workspace) == ()


def test_a_run_that_is_gone_is_named_before_anything_is_evaluated(extracted: Callable[..., Workspace]) -> None:
    """One line with the runs that are left."""
    workspace = extracted()
    runs = trained(workspace, (0,))
    with pytest.raises(UsageError, match=f"has no run 'gone'; it has {runs[0]}"):
        evaluated(workspace, [*runs, "gone"])
    assert not workspace.report_folder(runs[0]).exists()


def test_a_workspace_in_use_is_left_alone(extracted: Callable[..., Workspace]) -> None:
    """One evaluation of all seeds holds the lock from its first run to its last."""
    workspace = extracted()
    runs = trained(workspace, (0,))
    with workspace.locked("train"), pytest.raises(WorkspaceInUseError, match="in use by avzsl train"):
        evaluated(workspace, runs)


def test_a_single_seed_has_no_deviation_and_undefined_figures_stay_so() -> None:
    """NaN, never 0, says that there is nothing to tell; of two runs the deviation is that of a sample."""
    first, second = Metrics(10.0, 20.0, 13.3, 30.0, 0.0), Metrics(14.0, float("nan"), 13.3, 36.0, 1.0)
    runs = [dict.fromkeys(("audio", "visual", "sum"), metrics) for metrics in (first, second)]

    mean, deviation = over_seeds(runs)
    np.testing.assert_allclose(list(mean["sum"].values()), [12.0, np.nan, 13.3, 33.0])
    np.testing.assert_allclose(list(deviation["sum"].values()), [8**0.5, np.nan, 0.0, 18**0.5])

    alone, undefined = over_seeds(runs[:1])
    assert alone["audio"] == {name: asdict(first)[name] for name in ("S", "U", "HM", "ZSL")}
    assert all(np.isnan(value) for value in undefined["audio"].values())
