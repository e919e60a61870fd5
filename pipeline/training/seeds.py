"""Several runs that differ by the seed of training alone: what validation says on average."""

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
    """What training with several seeds made."""

    reports: tuple[TrainingReport, ...]  # one a seed, at least one
    mean: Mapping[str, float]  # of S, U, HM, ZSL in validation, percent; NaN where a run has no such figure
    deviation: Mapping[str, float]  # sample standard deviation over the seeds; NaN of a single one

    @property
    def runs(self) -> tuple[str, ...]:
        """Names of the folders below models/."""
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
    """Train a run for each of `training.seeds` on the same splits; finished ones are found, an unfinished one goes on.

    Args:
        workspace: holds dataset and features; gets the models.
        settings: all of them, with one seed at least.
        device: where to train.
        reporter: hears what is decided.
        on_epoch: hears of every epoch.
        on_trained: hears of every run.
        stop: asked after every step; at True the step is saved and the training ends.
        resume: False starts unfinished runs over; what they had reached is set aside.

    Raises:
        TrainingStoppedError: `stop` said so.
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
        make_current(workspace, _together(records, mean))
    return SeedsTraining(tuple(reports), mean, deviation)


def _with_seed(settings: Settings, seed: int) -> Settings:
    return dataclasses.replace(settings, training=dataclasses.replace(settings.training, seed=seed))


def _together(records: Sequence[StageRecord], mean: Mapping[str, float]) -> StageRecord:
    """The first run's record with the figures' means and the names of all runs."""
    first = records[0]
    return dataclasses.replace(
        first,
        fingerprint=fingerprint({"runs": [record.fingerprint for record in records]}),
        summary={**first.summary, **mean, "runs": [record.summary["run"] for record in records]},
    )
