"""Train a model on features and class embeddings, and save it in the workspace."""

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from pipeline.base.errors import UsageError
from pipeline.base.files import make_folder, storage_errors, write_text
from pipeline.base.progress import Reporter, Stop, never_stop
from pipeline.base.wording import counted
from pipeline.base.workspace import Stage, StageRecord, Workspace
from pipeline.datasets.splits.splits import write_splits
from pipeline.settings.training import TrainingSettings
from pipeline.settings.tree import Settings, show_settings
from pipeline.training.epoch import steps_per_epoch
from pipeline.training.fitting import OnEpoch
from pipeline.training.inputs import TrainingInputs, gather_inputs
from pipeline.training.methods import method_class
from pipeline.training.network_size import with_network_size
from pipeline.training.run_files import damage_of
from pipeline.training.trained_model import is_complete, read_description, save_model
from pipeline.training.two_stage import Run


@dataclass(frozen=True)
class TrainingReport:
    """The result of training one run."""

    run: str
    folder: Path
    did_nothing: bool
    seed: int
    seen: tuple[str, ...]
    unseen: tuple[str, ...]
    best_epoch: float  # where stage 1 was best; not whole if long epochs are validated several times
    epoch_chosen: bool  # whether there were enough validation videos to choose it; otherwise it is the last one
    validation: Mapping[str, float | None]  # S, U, HM, ZSL in percent, and beta; empty with too few videos for it


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """Trains runs of one workspace. The caller must hold the workspace's lock."""

    workspace: Workspace
    device: torch.device
    reporter: Reporter
    on_epoch: OnEpoch
    stop: Stop = never_stop
    resume: bool = True  # if False, an unfinished run is moved to another folder and trained again

    def gather(self, settings: Settings) -> TrainingInputs:
        """Gather the inputs of runs with these settings. The runs may still use different seeds of training."""
        inputs = gather_inputs(
            self.workspace,
            _relevant_settings(settings),
            settings.holdout.unseen or None,
            hold_out_anew=settings.holdout.anew,
            reporter=self.reporter,
        )
        if settings.training.network == "auto" and inputs.settings.training.network == "small":
            training, videos = inputs.settings.training, len(inputs.indices("train"))
            self.reporter.say(
                f"{counted(videos, 'training video')}: training a small network, "
                f"{counted(training.epochs, 'epoch')} of {counted(steps_per_epoch(training, videos), 'step')} "
                "(--set training.network=paper trains the paper's network)"
            )
        return inputs

    def train(self, inputs: TrainingInputs, settings: Settings) -> tuple[TrainingReport, StageRecord]:
        """Train one run, or use it as it is if it is finished.

        Args:
            inputs: the inputs of the run.
            settings: the settings of the inputs; only those of training may differ.

        Returns:
            The report, and the record that makes the run the workspace's newest model.

        Raises:
            PipelineError: a training that was stopped, or a full disk.
        """
        settings = with_network_size(settings, len(inputs.indices("train")))
        inputs = dataclasses.replace(inputs, settings=_relevant_settings(settings))
        run = f"{settings.training.method}-{inputs.fingerprint}"
        folder = self.workspace.model_folder(run)
        did_nothing = is_complete(folder)
        if did_nothing and (damage := damage_of(folder)):
            self.reporter.warn(f"{damage}. It is trained again now; the damaged run was moved to {_moved_away(folder)}")
            did_nothing = False
        if not did_nothing:
            self._set_up_folder(folder, inputs, settings)
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

    def _set_up_folder(self, folder: Path, inputs: TrainingInputs, settings: Settings) -> None:
        """Create the run's folder with its configuration and splits, or reuse the folder of an unfinished run."""
        if folder.exists() and not self.resume:
            self.reporter.say(f"starting over; the unfinished run was moved to {_moved_away(folder)}")
        elif folder.exists():
            self.reporter.say(f"going on with the unfinished run in {folder} (to start over, delete this folder)")
        make_folder(folder)
        exact = dataclasses.replace(
            settings.with_method_config(inputs.config),
            text=dataclasses.replace(settings.text, encoder=str(inputs.embeddings.spec)),
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


def _moved_away(folder: Path) -> Path:
    """Rename a run's folder, so that the run can be trained again and nothing is lost; return the new path."""
    moved_to = folder.with_name(f"{folder.name}-{time.strftime('%Y%m%d-%H%M%S')}")
    with storage_errors(folder):
        folder.rename(moved_to)
    return moved_to


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
    """Train a method on the workspace's features; resume an unfinished run of the same inputs and settings.

    Args:
        workspace: the workspace with dataset and features; the model is saved in it.
        settings: all settings.
        device: the device to train on.
        reporter: receives progress messages.
        on_epoch: called after every epoch.
        stop: called after every step; if it returns True, a checkpoint is saved and the training ends.
        resume: whether to resume an unfinished run; if False, it is moved to another folder and trained again.

    Raises:
        UsageError: settings with several seeds.
        TrainingStoppedError: `stop` returned True.
        PipelineError: a missing stage, splits that do not fit, a workspace in use, or a full disk.
    """
    if settings.training.seeds:
        raise UsageError(
            f"training.seeds are {list(settings.training.seeds)}, but this trains one run: leave training.seeds out"
        )
    with workspace.locked("train"):
        trainer = Trainer(
            workspace=workspace, device=device, reporter=reporter, on_epoch=on_epoch, stop=stop, resume=resume
        )
        report, record = trainer.train(trainer.gather(settings), settings)
        make_current(workspace, record)
        return report


def make_current(workspace: Workspace, record: StageRecord) -> None:
    """Record a training as the workspace's newest, unless it is recorded already."""
    newest = workspace.stages().get(Stage.MODEL)
    if newest is None or newest.fingerprint != record.fingerprint:
        workspace.record(Stage.MODEL, record)


def _relevant_settings(settings: Settings) -> Settings:
    """Reset the settings that cannot change the weights, so that they do not change the fingerprint of a run."""
    given = settings.training
    if not method_class(given.method).needs.training:
        kept = ("method", "network", "least_validation_videos")
        given = TrainingSettings(**{name: getattr(given, name) for name in kept})
    training = dataclasses.replace(
        given, checkpoint_minutes=TrainingSettings.checkpoint_minutes, seeds=TrainingSettings.seeds
    )
    return dataclasses.replace(settings, training=training)


def _report(folder: Path, run: str, *, seed: int, did_nothing: bool) -> TrainingReport:
    """Make the report of a finished run from its model folder."""
    description = read_description(folder)
    training = description.training
    chosen = training.get("epoch_chosen", True)  # older models lack it
    return TrainingReport(
        run=run,
        folder=folder,
        did_nothing=did_nothing,
        seed=seed,
        seen=tuple(entry.name for entry in description.classes if entry.seen),
        unseen=tuple(training["unseen"]),
        best_epoch=training["best_epoch"],
        epoch_chosen=chosen,
        validation=training["validation"] if chosen else {},
    )
