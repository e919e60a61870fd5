"""Train several runs that differ only in the seed of training; average their validation metrics."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from pipeline.base.files import fingerprint
from pipeline.base.progress import Reporter, Stop, never_stop
from pipeline.base.workspace import StageRecord, Workspace
from pipeline.scoring.metrics import mean_and_deviation
from pipeline.settings.tree import Settings
from pipeline.training.fitting import OnEpoch
from pipeline.training.train import Trainer, TrainingReport, make_current


@dataclass(frozen=True)
class SeedsTraining:
    """The result of training with several seeds."""

    reports: tuple[TrainingReport, ...]  # one per seed, at least one
    mean: Mapping[str, float]  # of S, U, HM, ZSL in validation, percent; NaN if a run does not have the metric
    deviation: Mapping[str, float]  # sample standard deviation over the seeds; NaN for a single seed

    @property
    def runs(self) -> tuple[str, ...]:
        """The names of the runs' folders in models/."""
        return tuple(report.run for report in self.reports)


def train_seeds(
    workspace: Workspace,
    settings: Settings,
    *,
    device: torch.device,
    reporter: Reporter,
    on_epoch: OnEpoch,
    on_trained: Callable[[TrainingReport], None],
    stop: Stop = never_stop,
    resume: bool = True,
) -> SeedsTraining:
    """Train one run for each of `training.seeds`, all on the same splits.

    Finished runs are used as they are, and an unfinished run is resumed.

    Args:
        workspace: the workspace with dataset and features; the models are saved in it.
        settings: all settings, with at least one seed.
        device: the device to train on.
        reporter: receives progress messages.
        on_epoch: called after every epoch.
        on_trained: called after every run.
        stop: called after every step; if it returns True, a checkpoint is saved and the training ends.
        resume: whether to resume unfinished runs; if False, they are moved to another folder and trained again.

    Raises:
        TrainingStoppedError: `stop` returned True.
        PipelineError: as for `pipeline.training.train.train`.
    """
    reports: list[TrainingReport] = []
    records: list[StageRecord] = []
    with workspace.locked("train"):
        trainer = Trainer(
            workspace=workspace, device=device, reporter=reporter, on_epoch=on_epoch, stop=stop, resume=resume
        )
        inputs = trainer.gather(settings)
        for seed in settings.training.seeds:
            reporter.say(f"seed {seed} ({len(reports) + 1} of {len(settings.training.seeds)})")
            report, record = trainer.train(inputs, _with_seed(settings, seed))
            reports.append(report)
            records.append(record)
            on_trained(report)
        mean, deviation = mean_and_deviation([report.validation for report in reports])
        make_current(workspace, _joint_record(records, mean))
    return SeedsTraining(tuple(reports), mean, deviation)


def _with_seed(settings: Settings, seed: int) -> Settings:
    return dataclasses.replace(settings, training=dataclasses.replace(settings.training, seed=seed))


def _joint_record(records: Sequence[StageRecord], mean: Mapping[str, float]) -> StageRecord:
    """Extend the first run's record by the mean metrics and the names of all runs."""
    first = records[0]
    return dataclasses.replace(
        first,
        fingerprint=fingerprint({"runs": [record.fingerprint for record in records]}),
        summary={**first.summary, **mean, "runs": [record.summary["run"] for record in records]},
    )
