"""Features and class embeddings -> a model, kept in the workspace."""

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from pipeline.base.errors import UsageError
from pipeline.base.files import make_folder, sweep, write_text
from pipeline.base.progress import Reporter, Stop, never_stop
from pipeline.base.workspace import Stage, StageRecord, Workspace
from pipeline.datasets.splits import write_splits
from pipeline.settings.training import TrainingSettings
from pipeline.settings.tree import Settings, show_settings
from pipeline.training.fitting import OnEpoch
from pipeline.training.inputs import TrainingInputs, gather_inputs
from pipeline.training.trained_model import is_complete, read_description, save_model
from pipeline.training.two_stage import Run


@dataclass(frozen=True)
class TrainingReport:
    """What training made."""

    run: str
    folder: Path
    did_nothing: bool
    seed: int
    seen: tuple[str, ...]
    unseen: tuple[str, ...]
    best_epoch: int
    validation: Mapping[str, float | None]  # S, U, HM, ZSL in percent, beta; empty where nothing could be validated


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """Trains runs of one workspace, whose lock the caller holds."""

    workspace: Workspace
    device: torch.device
    reporter: Reporter
    on_epoch: OnEpoch
    stop: Stop = never_stop
    resume: bool = True  # False starts an unfinished run over; what it had reached is set aside

    def gather(self, settings: Settings) -> TrainingInputs:
        """What runs with these settings are made from; the seed of training and all that follows from it may differ."""
        return gather_inputs(
            self.workspace,
            _deciding(settings),
            settings.holdout.unseen or None,
            hold_out_anew=settings.holdout.anew,
            reporter=self.reporter,
        )

    def train(self, inputs: TrainingInputs, settings: Settings) -> tuple[TrainingReport, StageRecord]:
        """Train one run, or find it trained.

        Args:
            inputs: what it is made from.
            settings: as for the inputs, but for those of training.

        Returns:
            The report, and the record that makes the run the workspace's newest model.

        Raises:
            PipelineError: stopped, or the disk is full.
        """
        inputs = dataclasses.replace(inputs, settings=_deciding(settings))
        run = f"daan-{inputs.fingerprint}"
        folder = self.workspace.model_folder(run)
        did_nothing = is_complete(folder)
        if not did_nothing:
            self._prepare_folder(folder, inputs, settings)
            save_model(folder, self._run(inputs, folder, settings).train())
        report = _report(folder, run, seed=settings.training.seed, did_nothing=did_nothing)
        return report, self._record(inputs, report)

    def _run(self, inputs: TrainingInputs, folder: Path, settings: Settings) -> Run:
        return Run(
            inputs=inputs,
            folder=folder,
            settings=settings.training,
            device=self.device,
            reporter=self.reporter,
            on_epoch=self.on_epoch,
            stop=self.stop,
        )

    def _prepare_folder(self, folder: Path, inputs: TrainingInputs, settings: Settings) -> None:
        """Create the run's folder with its configuration and splits, or take up the unfinished one."""
        if folder.exists() and not self.resume:
            aside = folder.with_name(f"{folder.name}-{time.strftime('%Y%m%d-%H%M%S')}")
            folder.rename(aside)
            self.reporter.say(f"starting over; the unfinished run lies in {aside}")
        elif folder.exists():
            self.reporter.say(f"going on with the unfinished run in {folder} (--no-resume starts over)")
            sweep(folder, folder / "stage1", folder / "stage2")
        make_folder(folder)
        exact = dataclasses.replace(
            settings, daan=inputs.config, text=dataclasses.replace(settings.text, encoder=str(inputs.embeddings.spec))
        )
        write_text(folder / "config.yaml", show_settings(exact))
        write_splits(inputs.splits, folder / "splits.yaml")

    def _record(self, inputs: TrainingInputs, report: TrainingReport) -> StageRecord:
        stages = self.workspace.stages()
        return StageRecord(
            fingerprint=inputs.fingerprint,
            output=f"models/{report.run}",
            inputs={name: stages[name].fingerprint for name in (Stage.FEATURES, Stage.TEXT) if name in stages},
            summary={"run": report.run, "best_epoch": report.best_epoch, **report.validation},
        )


def train(
    workspace: Workspace,
    settings: Settings,
    *,
    device: torch.device,
    reporter: Reporter,
    on_epoch: OnEpoch,
    stop: Stop = never_stop,
    resume: bool = True,
) -> TrainingReport:
    """Train DAAN on the workspace's features, going on with an unfinished run of the same inputs and settings.

    Args:
        workspace: holds dataset and features; gets the model.
        settings: all of them.
        device: where to train.
        reporter: hears what is decided.
        on_epoch: hears of every epoch.
        stop: asked after every step; at True the step is saved and the training ends.
        resume: False starts an unfinished run over; what it had reached is set aside.

    Raises:
        UsageError: the settings ask for several seeds.
        TrainingStoppedError: `stop` said so.
        PipelineError: a stage is missing, the splits do not fit, the workspace is in use, the disk is full.
    """
    if settings.training.seeds:
        raise UsageError(f"training.seeds are {list(settings.training.seeds)}: one run is trained here, leave them out")
    with workspace.locked("train"):
        trainer = Trainer(
            workspace=workspace, device=device, reporter=reporter, on_epoch=on_epoch, stop=stop, resume=resume
        )
        report, record = trainer.train(trainer.gather(settings), settings)
        make_current(workspace, record)
        return report


def make_current(workspace: Workspace, record: StageRecord) -> None:
    """Make a training the workspace's newest, unless it is already."""
    newest = workspace.stages().get(Stage.MODEL)
    if newest is None or newest.fingerprint != record.fingerprint:
        workspace.record(Stage.MODEL, record)


def _deciding(settings: Settings) -> Settings:
    """The settings without those that cannot change a run, which are then no part of its fingerprint."""
    training = dataclasses.replace(
        settings.training, checkpoint_minutes=TrainingSettings.checkpoint_minutes, seeds=TrainingSettings.seeds
    )
    return dataclasses.replace(settings, training=training)


def _report(folder: Path, run: str, *, seed: int, did_nothing: bool) -> TrainingReport:
    description = read_description(folder)
    training = description["training"]
    return TrainingReport(
        run=run,
        folder=folder,
        did_nothing=did_nothing,
        seed=seed,
        seen=tuple(entry["name"] for entry in description["classes"] if entry["seen"]),
        unseen=tuple(training["unseen"]),
        best_epoch=training["best_epoch"],
        validation=training["validation"],
    )
