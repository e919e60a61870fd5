"""pipeline/evaluation/seeds.py: the runs of several seeds are evaluated together."""

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
from pipeline.evaluation.evaluate import HeldOutSet
from pipeline.evaluation.seeds import SeedsReport, evaluate_seeds, over_seeds, seed_runs
from pipeline.scoring.intervals import bootstrap_intervals
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
    """Train shortly, once per seed, and record the runs like a training with several seeds; return their names."""
    runs = []
    for seed in seeds:
        settings = replace(SETTINGS, training=replace(SETTINGS.training, seed=seed))
        runs.append(
            train(workspace, settings, device=CPU, reporter=SilentReporter(), on_epoch=lambda *_: None).folder.name
        )
    record = workspace.stages()["model"]
    workspace.record("model", replace(record, output=f"models/{runs[0]}", summary={"run": runs[0], "runs": runs}))
    return runs


def evaluated(workspace: Workspace, runs: list[str], held_out: HeldOutSet = "test") -> SeedsReport:
    """Evaluate silently."""
    return evaluate_seeds(workspace, runs, device=CPU, reporter=SilentReporter(), held_out=held_out, figures=False)


def test_every_run_is_evaluated_and_their_mean_and_deviation_written(extracted: Callable[..., Workspace]) -> None:
    """Every run has its own report, and seeds.json is next to the first one. Its numbers equal a slow count."""
    workspace = extracted()
    runs = trained(workspace, (0, 1, 2))
    assert seed_runs(workspace) == tuple(runs)

    report = evaluated(workspace, runs)

    document = json.loads(report.file.read_text())
    assert report.file == workspace.report_folder(runs[0]) / "seeds.json"
    assert list(document["runs"]) == runs
    assert document["seeds"] == 3
    expected = bootstrap_intervals([each.recalls["sum"] for each in report.reports])
    assert document["intervals"]["sum"]["S"] == pytest.approx(list(expected["S"]))
    for run in runs:
        metrics = json.loads((workspace.report_folder(run) / "metrics.json").read_text())
        assert metrics["run"] == run
        assert {name: metrics[name] for name in document["runs"][run]} == document["runs"][run]
    for score in ("audio", "visual", "sum"):
        for metric in ("S", "U", "HM", "ZSL"):
            values = [document["runs"][run][score][metric] for run in runs]
            assert document["mean"][score][metric] == pytest.approx(statistics.mean(values))
            assert document["deviation"][score][metric] == pytest.approx(statistics.stdev(values))


def test_the_report_of_several_seeds_has_the_status_done(extracted: Callable[..., Workspace]) -> None:
    """`avzsl status` shows the mean and the path of seeds.json."""
    workspace = extracted()
    runs = trained(workspace, (0,))
    report = evaluated(workspace, runs)

    status = {entry.stage: entry for entry in workspace_status(workspace)}["evaluation"]

    assert status.state == "done"
    assert f"ZSL {report.mean[report.reports[0].score]['ZSL']:.1f}" in status.detail
    assert status.detail.endswith(f"reports/{runs[0]}/seeds.json")


def test_an_evaluation_on_validation_videos_does_not_change_the_test_report(
    extracted: Callable[..., Workspace],
) -> None:
    """Its metrics are in another folder, and no stage is recorded."""
    workspace = extracted()
    runs = trained(workspace, (0,))
    report = evaluated(workspace, runs, held_out="validation")
    assert report.file == workspace.report_folder(runs[0]) / "validation" / "seeds.json"
    assert "report" not in workspace.stages()


def test_a_training_of_a_single_run_has_no_seed_runs(extracted: Callable[..., Workspace]) -> None:
    """A workspace without a model has none either."""
    workspace = extracted()
    assert seed_runs(workspace) == ()
    train(workspace, SETTINGS, device=CPU, reporter=SilentReporter(), on_epoch=lambda *_: None)
    assert seed_runs(workspace) == ()


def test_a_missing_run_is_refused_before_anything_is_evaluated(extracted: Callable[..., Workspace]) -> None:
    """The message lists the existing runs."""
    workspace = extracted()
    runs = trained(workspace, (0,))
    with pytest.raises(UsageError, match=f"has no run 'gone'; it has {runs[0]}"):
        evaluated(workspace, [*runs, "gone"])
    assert not workspace.report_folder(runs[0]).exists()


def test_a_workspace_in_use_is_refused(extracted: Callable[..., Workspace]) -> None:
    """The evaluation of several seeds needs the workspace's lock."""
    workspace = extracted()
    runs = trained(workspace, (0,))
    with workspace.locked("train"), pytest.raises(WorkspaceInUseError, match="in use by avzsl train"):
        evaluated(workspace, runs)


def test_the_deviation_of_a_single_seed_and_undefined_metrics_are_nan() -> None:
    """They are never 0. The deviation of two runs is that of a sample."""
    first, second = Metrics(10.0, 20.0, 13.3, 30.0, 0.0), Metrics(14.0, float("nan"), 13.3, 36.0, 1.0)
    runs = [dict.fromkeys(("audio", "visual", "sum"), metrics) for metrics in (first, second)]

    mean, deviation = over_seeds(runs)
    np.testing.assert_allclose(list(mean["sum"].values()), [12.0, np.nan, 13.3, 33.0])
    np.testing.assert_allclose(list(deviation["sum"].values()), [8**0.5, np.nan, 0.0, 18**0.5])

    alone, undefined = over_seeds(runs[:1])
    assert alone["audio"] == {name: asdict(first)[name] for name in ("S", "U", "HM", "ZSL")}
    assert all(np.isnan(value) for value in undefined["audio"].values())
