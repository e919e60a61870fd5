"""Stage 2: features and class embeddings -> a model (benchmark.md, Protocol).

Stage 1 trains on the training split and validates every epoch; it chooses the number of epochs and the calibration.
Stage 2 trains anew on training and validation videos for that many epochs. The test videos take no part.
"""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from daan.network import Daan
from pipeline.config import Settings, show_settings
from pipeline.feature_set import Standardiser
from pipeline.files import make_folder, read_json, write_text
from pipeline.fitting import EpochRecord, Stage, StageState, fit
from pipeline.model_folder import Model, is_complete, model_classes, save_model
from pipeline.progress import Reporter
from pipeline.scoring import SCORES
from pipeline.splits import write_splits
from pipeline.training_inputs import TrainingInputs, gather_inputs
from pipeline.validation import Validator
from pipeline.workspace import StageRecord, Workspace

STAGE = "model"

OnEpoch = Callable[[str, EpochRecord], None]


@dataclass(frozen=True)
class TrainingReport:
    """What training made."""

    run: str
    folder: Path
    did_nothing: bool
    seen: tuple[str, ...]
    unseen: tuple[str, ...]
    best_epoch: int
    validation: Mapping[str, float]  # S, U, HM, ZSL, beta in percent; empty where nothing could be validated


def train(
    workspace: Workspace,
    settings: Settings,
    *,
    device: torch.device,
    reporter: Reporter,
    on_epoch: OnEpoch,
    unseen: Sequence[str] | None = None,
    hold_out_anew: bool = False,
    resume: bool = True,
) -> TrainingReport:
    """Train DAAN on the workspace's features, going on with an unfinished run of the same inputs and settings.

    Args:
        workspace: holds dataset and features; gets the model.
        settings: all of them.
        device: where to train.
        reporter: hears what is decided.
        on_epoch: hears of every epoch.
        unseen: classes to hold out for test; None: as the dataset's splits say, or a random share.
        hold_out_anew: hold classes out as the settings say even where the dataset brings splits.
        resume: False starts an unfinished run over; what it had reached is set aside.

    Raises:
        PipelineError: a stage is missing, the splits do not fit, the workspace is in use, the disk is full.
    """
    with workspace.locked("train"):
        inputs = gather_inputs(workspace, settings, unseen, hold_out_anew=hold_out_anew, reporter=reporter)
        run = f"daan-{inputs.fingerprint}"
        folder = workspace.model_folder(run)
        if is_complete(folder):
            return _recorded(workspace, inputs.fingerprint, _report(folder, run, did_nothing=True))
        _prepare_folder(folder, inputs, resume=resume, reporter=reporter)
        save_model(folder, _Run(inputs, folder, device, reporter, on_epoch).train())
        return _recorded(workspace, inputs.fingerprint, _report(folder, run, did_nothing=False))


def _prepare_folder(folder: Path, inputs: TrainingInputs, *, resume: bool, reporter: Reporter) -> None:
    """Create the run's folder with its configuration and splits, or take up the unfinished one."""
    if folder.exists() and not resume:
        aside = folder.with_name(f"{folder.name}-{time.strftime('%Y%m%d-%H%M%S')}")
        folder.rename(aside)
        reporter.say(f"starting over; the unfinished run lies in {aside}")
    elif folder.exists():
        reporter.say(f"going on with the unfinished run in {folder} (--no-resume starts over)")
    make_folder(folder)
    write_text(folder / "config.yaml", show_settings(dataclasses.replace(inputs.settings, daan=inputs.config)))
    write_splits(inputs.splits, folder / "splits.yaml")


@dataclass(frozen=True)
class _Run:
    """One run of both stages."""

    inputs: TrainingInputs
    folder: Path
    device: torch.device
    reporter: Reporter
    on_epoch: OnEpoch

    def train(self) -> Model:
        """Stage 1 chooses epoch and calibration, stage 2 trains on everything seen."""
        parameters = sum(parameter.numel() for parameter in self._network().parameters())
        self.reporter.say(f"DAAN, {parameters / 1e6:.1f} M parameters")
        if self.inputs.features.attributes.get("weights") == "untrained":
            self.reporter.warn("the features come from untrained weights: good for trying things out, not for results")
        if len(self.inputs.places("val_seen", "val_unseen")) == 0:
            self.reporter.warn("no videos are held out for validation: every epoch is trained, nothing is calibrated")
        first = self._stage("stage1", ("train",), epochs=self.inputs.settings.training.epochs)
        network = self._network()
        state = fit(network, first, on_epoch=self.on_epoch)
        standardiser = first.standardiser
        if state.best is not None:
            epochs = state.best_epoch
            chooses = first.validator is not None and first.validator.chooses
            chosen = f"best epoch {epochs}" if chooses else "too few validation videos to choose an epoch by"
            self.reporter.say(f"{chosen}; stage 2 trains on all seen classes")
            rates = [record.learning_rate for record in state.history]
            second = self._stage("stage2", ("train", "val_seen", "val_unseen"), epochs=epochs, learning_rates=rates)
            network = self._network()
            fit(network, second, on_epoch=self.on_epoch)
            standardiser = second.standardiser
        return self._model(network, standardiser, state)

    def _network(self) -> Daan:
        """A fresh network; both stages begin with the same weights."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.inputs.settings.training.seed)
            return Daan(self.inputs.config).to(self.device)

    def _stage(
        self, name: str, parts: tuple[str, ...], *, epochs: int, learning_rates: Sequence[float] | None = None
    ) -> Stage:
        """A stage on the videos of some parts of the splits; it validates unless its learning rates are given."""
        places = self.inputs.places(*parts)
        self.reporter.say(f"{name[:-1]} {name[-1]} of 2 on {self.device}: videos: {len(places)}, epochs: {epochs}")
        standardiser = self._standardiser(places)
        return Stage(
            name=name,
            folder=self.folder / name,
            epochs=epochs,
            train=places,
            features=self.inputs.features,
            standardiser=standardiser,
            class_vectors=torch.from_numpy(self.inputs.embeddings.vectors),
            settings=self.inputs.settings.training,
            device=self.device,
            fingerprint=self.inputs.fingerprint,
            validator=self._validator(standardiser) if learning_rates is None else None,
            learning_rates=learning_rates,
        )

    def _standardiser(self, places: Tensor) -> Standardiser:
        features = self.inputs.features
        if self.inputs.settings.training.standardise:
            return features.statistics(places).to(self.device)
        return Standardiser.identity(features.audio.shape[1], features.visual.shape[1]).to(self.device)

    def _validator(self, standardiser: Standardiser) -> Validator | None:
        """Validation on the videos held out for it; None where there are none."""
        held_out = self.inputs.places("val_seen", "val_unseen")
        if len(held_out) == 0:
            return None
        return Validator(
            self.inputs.features,
            held_out,
            torch.from_numpy(self.inputs.embeddings.vectors),
            standardiser,
            seen=self.inputs.classes_of("train"),
            allowed=self.inputs.classes_of("train", "val_seen", "val_unseen"),
            score=self.inputs.config.score,
            least_videos=self.inputs.settings.training.least_validation_videos,
            device=self.device,
        )

    def _model(self, network: Daan, standardiser: Standardiser, state: StageState) -> Model:
        inputs, best = self.inputs, state.best
        seen = inputs.classes_of("train", "val_seen", "val_unseen")
        return Model(
            network=network,
            standardiser=standardiser,
            classes=model_classes(inputs.dataset.classes, inputs.dataset.phrases, seen.tolist()),
            class_vectors=inputs.embeddings.vectors,
            text_encoder=inputs.embeddings.encoder,
            text_spec=inputs.embeddings.spec,
            extractor=inputs.features.attributes,
            betas=best.betas if best else dict.fromkeys(SCORES, 0.0),
            temperatures=best.temperatures if best else dict.fromkeys(SCORES, 1.0),
            score=inputs.config.score,
            training={
                "fingerprint": inputs.fingerprint,
                "best_epoch": state.best_epoch or state.epoch,
                "validation": dataclasses.asdict(best.scores) if best else {},
                "unseen": inputs.names_of("test_unseen"),
            },
        )


def _recorded(workspace: Workspace, made_from: str, report: TrainingReport) -> TrainingReport:
    """Make this run the workspace's current model; returns the report."""
    stages = workspace.stages()
    if STAGE in stages and stages[STAGE].fingerprint == made_from:
        return report
    record = StageRecord(
        fingerprint=made_from,
        output=f"models/{report.run}",
        inputs={name: stages[name].fingerprint for name in ("features", "text") if name in stages},
        summary={"run": report.run, "best_epoch": report.best_epoch, **report.validation},
    )
    workspace.record(STAGE, record)
    return report


def _report(folder: Path, run: str, *, did_nothing: bool) -> TrainingReport:
    description = read_json(folder / "model.json")
    training = description["training"]
    return TrainingReport(
        run=run,
        folder=folder,
        did_nothing=did_nothing,
        seen=tuple(entry["name"] for entry in description["classes"] if entry["seen"]),
        unseen=tuple(training["unseen"]),
        best_epoch=training["best_epoch"],
        validation=training["validation"],
    )
