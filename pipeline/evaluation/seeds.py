"""Evaluate several runs that differ only in their seed; compute mean and sample standard deviation."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from pipeline.base.files import write_json
from pipeline.base.progress import Reporter
from pipeline.base.workspace import Stage, Workspace
from pipeline.evaluation.drawing import FigureProcess
from pipeline.evaluation.evaluate import (
    EvaluationReport,
    Evaluator,
    HeldOutSet,
    evaluation_folder,
    record_report,
)
from pipeline.scoring.intervals import Interval, bootstrap_intervals, intervals_to_json
from pipeline.scoring.metrics import Metrics, mean_and_deviation


@dataclass(frozen=True)
class SeedsReport:
    """The metrics of several runs, in percent."""

    reports: tuple[EvaluationReport, ...]  # one per seed, at least one
    mean: Mapping[str, Mapping[str, float]]  # score -> metric -> mean over the seeds
    deviation: Mapping[str, Mapping[str, float]]  # sample standard deviation likewise; NaN for a single seed
    intervals: Mapping[str, Mapping[str, Interval]]  # 95 % intervals of the means over classes
    file: Path  # seeds.json

    def to_json(self) -> dict[str, Any]:
        """Make the document of `evaluate --json` for several seeds."""
        return {
            "runs": {report.run: report.to_json() for report in self.reports},
            "mean": self.mean,
            "deviation": self.deviation,
            "intervals": intervals_to_json(self.intervals),
            "seeds": len(self.reports),
        }


def seed_runs(workspace: Workspace) -> tuple[str, ...]:
    """Return the runs of the newest training, one per seed; empty if it trained without `training.seeds`."""
    record = workspace.stages().get(Stage.MODEL)
    return tuple(record.summary.get("runs", ())) if record else ()


def evaluate_seeds(
    workspace: Workspace,
    runs: Sequence[str],
    *,
    device: torch.device,
    reporter: Reporter,
    held_out: HeldOutSet = "test",
    figures: bool = True,
) -> SeedsReport:
    """Evaluate every run as `evaluate` does, then write seeds.json next to the first run's metrics.json.

    If the runs are those of the newest training, seeds.json is recorded as the workspace's report.

    Args:
        workspace: the workspace of the runs.
        runs: names of folders in models/, at least one.
        device: device of the networks.
        reporter: receives progress messages.
        held_out: the held-out set to evaluate on.
        figures: whether to draw figures.

    Raises:
        PipelineError: as for `evaluate`; reports of runs before the error are kept.
    """
    with workspace.locked("evaluate") as may_write, FigureProcess(draws=figures, may_write=may_write) as drawing:
        folders = [workspace.current_model(run) for run in runs]
        evaluator = Evaluator(workspace, held_out, device=device, reporter=reporter, drawing=drawing)
        reports = []
        with reporter.track("evaluating runs", len(folders)) as tracker:
            for folder in folders:
                reports.append(evaluator(folder)[0])
                tracker.advance()
        mean, deviation = over_seeds([report.metrics for report in reports])
        report = SeedsReport(
            reports=tuple(reports),
            mean=mean,
            deviation=deviation,
            intervals={score: bootstrap_intervals([each.recalls[score] for each in reports]) for score in mean},
            file=evaluation_folder(workspace, runs[0], held_out) / "seeds.json",
        )
        write_json(report.file, report.to_json())
        if held_out == "test" and tuple(runs) == seed_runs(workspace):
            summary = {"run": runs[0], "seeds": len(runs), **mean[reports[0].score]}
            record_report(workspace, report.file, workspace.stages()[Stage.MODEL].fingerprint, summary)
        return report


def over_seeds(
    runs: Sequence[Mapping[str, Metrics]],
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, float]]]:
    """Compute mean and sample standard deviation (n - 1 in the denominator) of each score's metrics over runs.

    The deviation of a single run is NaN. If a metric is NaN in one run, its mean and deviation are NaN.
    """
    mean: dict[str, dict[str, float]] = {}
    deviation: dict[str, dict[str, float]] = {}
    for score in runs[0]:
        mean[score], deviation[score] = mean_and_deviation([asdict(run[score]) for run in runs])
    return mean, deviation
