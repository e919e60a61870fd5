"""Several runs that differ by their seed alone, evaluated together: mean and sample standard deviation."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from pipeline.base.files import write_json
from pipeline.base.progress import Reporter
from pipeline.base.workspace import Stage, Workspace
from pipeline.evaluation.evaluate import EvaluationReport, Evaluator, HeldOutSet, evaluation_folder, record_report
from pipeline.scoring.metrics import Metrics, mean_and_deviation
from pipeline.scoring.score_videos import SCORES


@dataclass(frozen=True)
class SeedsReport:
    """Figures in percent over the runs."""

    reports: tuple[EvaluationReport, ...]  # one a seed, at least one
    mean: Mapping[str, Mapping[str, float]]  # score -> figure -> over the seeds
    deviation: Mapping[str, Mapping[str, float]]  # sample standard deviation; NaN of a single seed
    file: Path  # seeds.json

    def to_json(self) -> dict[str, Any]:
        """The document of `evaluate --json` for several seeds."""
        return {
            "runs": {report.run: report.to_json() for report in self.reports},
            "mean": self.mean,
            "deviation": self.deviation,
            "seeds": len(self.reports),
        }


def seed_runs(workspace: Workspace) -> tuple[str, ...]:
    """The runs of the newest training, one a seed; empty if it was one of a single run."""
    record = workspace.stages().get(Stage.MODEL)
    return tuple(record.summary.get("runs", ())) if record else ()


def evaluate_seeds(
    workspace: Workspace,
    runs: Sequence[str],
    *,
    device: torch.device,
    reporter: Reporter,
    held_out: HeldOutSet = "test",
) -> SeedsReport:
    """Evaluate every run as `evaluate` does, then write seeds.json beside the first one's metrics.

    It becomes the workspace's report if the runs are those of its newest training.

    Args:
        workspace: holds the runs.
        runs: names of folders below models/, at least one.
        device: where the networks run.
        reporter: hears of progress.
        held_out: on which videos.

    Raises:
        PipelineError: as `evaluate`; reports that were written before stay.
    """
    with workspace.locked("evaluate"):
        folders = [workspace.current_model(run) for run in runs]
        evaluator = Evaluator(workspace, held_out, device=device, reporter=reporter)
        reports = []
        with reporter.track("evaluating runs", len(folders)) as tracker:
            for folder in folders:
                reports.append(evaluator(folder)[0])
                tracker.advance()
        mean, deviation = over_seeds([report.metrics for report in reports])
        report = SeedsReport(
            tuple(reports), mean, deviation, evaluation_folder(workspace, runs[0], held_out) / "seeds.json"
        )
        write_json(report.file, report.to_json())
        if held_out == "test" and tuple(runs) == seed_runs(workspace):
            summary = {"run": runs[0], "seeds": len(runs), **mean[reports[0].score]}
            record_report(workspace, report.file, workspace.stages()[Stage.MODEL].fingerprint, summary)
        return report


def over_seeds(
    runs: Sequence[Mapping[str, Metrics]],
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, float]]]:
    """Mean, and sample standard deviation (n - 1 in the denominator), of each score's figures over runs.

    The deviation of a single run is NaN, as is every figure that is NaN in a run.
    """
    mean: dict[str, dict[str, float]] = {}
    deviation: dict[str, dict[str, float]] = {}
    for score in SCORES:
        mean[score], deviation[score] = mean_and_deviation([asdict(run[score]) for run in runs])
    return mean, deviation
