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
from daan.config import DaanConfig
from daan.network import Daan
from torch import Tensor

from pipeline.class_embeddings import ClassEmbeddings, embed_classes
from pipeline.config import Settings, show_settings
from pipeline.dataset import Dataset, load_dataset
from pipeline.errors import UsageError
from pipeline.feature_set import FeatureSet, Standardiser, load_features
from pipeline.files import fingerprint, make_folder, read_json, write_text
from pipeline.fitting import EpochRecord, Stage, StageState, fit
from pipeline.model_folder import Model, is_complete, model_classes, save_model
from pipeline.progress import Reporter
from pipeline.scoring import SCORES
from pipeline.splits import Splits, hold_out, read_splits, write_splits
from pipeline.validation import Validation, Validator
from pipeline.workspace import StageRecord, Workspace

STAGE = "model"
_STAGE_VERSION = 1
_LEAST_CLASSES = 2

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


@dataclass(frozen=True)
class _Inputs:
    """Everything a run is made from."""

    dataset: Dataset
    features: FeatureSet
    splits: Splits
    embeddings: ClassEmbeddings
    config: DaanConfig
    settings: Settings

    def places(self, *parts: str) -> Tensor:
        """(M,) places of the videos of some parts of the splits."""
        return self.features.places([key for name in parts for key in self.splits.parts[name]])

    def classes_of(self, *parts: str) -> Tensor:
        """(C,) whether a class has a video in some parts of the splits."""
        flags = torch.zeros(len(self.dataset.classes), dtype=torch.bool)
        flags[self.features.labels[self.places(*parts)]] = True
        return flags

    def names(self, flags: Tensor) -> tuple[str, ...]:
        """Names of the classes that are flagged."""
        return tuple(name for name, flag in zip(self.dataset.classes, flags.tolist(), strict=True) if flag)


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
        inputs = _gather(workspace, settings, unseen, hold_out_anew=hold_out_anew, reporter=reporter)
        made_from = _fingerprint(inputs)
        run = f"daan-{made_from}"
        folder = workspace.model_folder(run)
        if is_complete(folder):
            _record(workspace, run, made_from, folder)
            return _report(folder, run, did_nothing=True)
        _prepare_folder(folder, inputs, resume=resume, reporter=reporter)
        model = _train_both_stages(folder, inputs, made_from, device, reporter, on_epoch)
        save_model(folder, model)
        _record(workspace, run, made_from, folder)
        return _report(folder, run, did_nothing=False)


def _gather(
    workspace: Workspace, settings: Settings, unseen: Sequence[str] | None, *, hold_out_anew: bool, reporter: Reporter
) -> _Inputs:
    """Load features, choose splits, embed class names."""
    dataset = load_dataset(workspace.dataset_folder)
    features = load_features(workspace.current_features(), dataset.classes)
    splits = _choose_splits(
        workspace, dataset, features, settings, unseen, hold_out_anew=hold_out_anew, reporter=reporter
    )
    embeddings = embed_classes(workspace, dataset.phrases, settings.text.encoder)
    config = dataclasses.replace(
        settings.daan,
        audio_width=features.audio.shape[1],
        visual_width=features.visual.shape[1],
        text_width=embeddings.vectors.shape[1],
    )
    return _Inputs(dataset, features, splits, embeddings, config, settings)


def _choose_splits(
    workspace: Workspace,
    dataset: Dataset,
    features: FeatureSet,
    settings: Settings,
    unseen: Sequence[str] | None,
    *,
    hold_out_anew: bool,
    reporter: Reporter,
) -> Splits:
    """The dataset's own splits, or classes held out; says which classes are unseen, and refuses too few seen ones."""
    given = workspace.dataset_folder / "splits.yaml"
    if given.exists() and unseen is None and not hold_out_anew and not (splits := read_splits(given, dataset)).origin:
        how = "by the dataset's splits"
    else:
        videos_of: dict[str, list[str]] = {}
        for key, label in zip(features.keys, features.labels.tolist(), strict=True):
            videos_of.setdefault(features.classes[label], []).append(key)
        named = [_class_called(name, dataset) for name in unseen] if unseen is not None else None
        splits = hold_out(
            videos_of, unseen=named, unseen_fraction=settings.holdout.unseen_fraction, seed=settings.holdout.seed
        )
        how = (
            "by --unseen"
            if named is not None
            else f"held out at random, seed {settings.holdout.seed}; choose with --unseen"
        )
    splits = splits.restricted_to(features.keys)
    class_of = dict(zip(features.keys, features.labels.tolist(), strict=True))
    classes = {name: {class_of[key] for key in part} for name, part in splits.parts.items()}
    hidden = sorted(classes["test_unseen"])
    if len(classes["train"]) < _LEAST_CLASSES:
        raise UsageError(
            f"classes to train on: {len(classes['train'])}; at least {_LEAST_CLASSES} seen classes are needed"
        )
    seen = len(classes["train"] | classes["val_unseen"])
    names = ", ".join(features.classes[place] for place in hidden) or "none"
    reporter.say(f"{seen + len(hidden)} classes: {seen} seen, {len(hidden)} unseen ({how}: {names})")
    return splits


def _class_called(name: str, dataset: Dataset) -> str:
    """The class a user means by its name or phrase, whatever the case."""
    for known, phrase in dataset.phrases.items():
        if name.strip().lower() in {known.lower(), phrase.lower()}:
            return known
    return name.strip()


def _fingerprint(inputs: _Inputs) -> str:
    """A hash over all that can change the weights."""
    settings = dataclasses.asdict(inputs.settings)
    return fingerprint(
        {
            "stage": _STAGE_VERSION,
            "features": inputs.features.attributes["content"],
            "splits": inputs.splits.parts,
            "phrases": list(inputs.dataset.phrases.items()),
            "text": dict(inputs.embeddings.encoder),
            "daan": dataclasses.asdict(inputs.config),
            "training": settings["training"],
        }
    )


def _prepare_folder(folder: Path, inputs: _Inputs, *, resume: bool, reporter: Reporter) -> None:
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


def _train_both_stages(
    folder: Path, inputs: _Inputs, made_from: str, device: torch.device, reporter: Reporter, on_epoch: OnEpoch
) -> Model:
    """Stage 1 chooses, stage 2 trains on everything seen."""
    validated = len(inputs.places("val_seen", "val_unseen")) > 0
    first = _fit(
        inputs,
        "stage1",
        ("train",),
        folder,
        made_from,
        device,
        on_epoch,
        reporter,
        epochs=inputs.settings.training.epochs,
    )
    network, state, standardiser = first
    if validated:
        epochs = state.best_epoch
        rates = [record.learning_rate for record in state.history]
        reporter.say(f"best epoch {epochs}; stage 2 trains on all seen classes for {epochs} epochs")
        network, _, standardiser = _fit(
            inputs,
            "stage2",
            ("train", "val_seen", "val_unseen"),
            folder,
            made_from,
            device,
            on_epoch,
            reporter,
            epochs=epochs,
            learning_rates=rates,
        )
    else:
        reporter.warn("too few videos or classes to hold any out for validation: the last epoch is taken, uncalibrated")
    return _model(inputs, network, standardiser, state, made_from)


def _fit(
    inputs: _Inputs,
    name: str,
    parts: tuple[str, ...],
    folder: Path,
    made_from: str,
    device: torch.device,
    on_epoch: OnEpoch,
    reporter: Reporter,
    *,
    epochs: int,
    learning_rates: Sequence[float] | None = None,
) -> tuple[Daan, StageState, Standardiser]:
    """One stage on the videos of some parts of the splits, with validation in stage 1."""
    places = inputs.places(*parts)
    features = inputs.features
    if inputs.settings.training.standardise:
        standardiser = features.statistics(places).to(device)
    else:
        standardiser = Standardiser.identity(features.audio.shape[1], features.visual.shape[1]).to(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(inputs.settings.training.seed)
        network = Daan(inputs.config).to(device)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    reporter.say(
        f"DAAN, {parameters / 1e6:.1f} M parameters, on {device} · "
        f"{name[:-1]} {name[-1]} of 2: {len(places)} videos, up to {epochs} epochs"
    )
    vectors = torch.from_numpy(inputs.embeddings.vectors)
    held_out = inputs.places("val_seen", "val_unseen")
    validator = None
    if learning_rates is None and len(held_out) > 0:
        validator = Validator(
            features,
            held_out,
            vectors,
            standardiser,
            seen=inputs.classes_of("train"),
            allowed=inputs.classes_of("train", "val_seen", "val_unseen"),
            score=inputs.config.score,
            device=device,
        )
    stage = Stage(
        name=name,
        folder=folder / name,
        epochs=epochs,
        train=places,
        features=features,
        standardiser=standardiser,
        class_vectors=vectors,
        settings=inputs.settings.training,
        device=device,
        fingerprint=made_from,
        validator=validator,
        learning_rates=learning_rates,
    )
    return network, fit(network, stage, on_epoch=on_epoch), standardiser


def _model(inputs: _Inputs, network: Daan, standardiser: Standardiser, state: StageState, made_from: str) -> Model:
    best: Validation | None = state.best
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
            "fingerprint": made_from,
            "best_epoch": state.best_epoch or state.epoch,
            "validation": dataclasses.asdict(best.scores) if best else {},
            "unseen": list(inputs.names(inputs.classes_of("test_unseen"))),
        },
    )


def _record(workspace: Workspace, run: str, made_from: str, folder: Path) -> None:
    """Make this run the workspace's current model."""
    former = workspace.stages().get(STAGE)
    if former and former.fingerprint == made_from:
        return
    training = read_json(folder / "model.json")["training"]
    stages = workspace.stages()
    record = StageRecord(
        fingerprint=made_from,
        output=f"models/{run}",
        inputs={name: stages[name].fingerprint for name in ("features", "text") if name in stages},
        summary={"run": run, "best_epoch": training["best_epoch"], **training["validation"]},
    )
    workspace.record(STAGE, record)


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
