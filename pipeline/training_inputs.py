"""Everything a training is made from: features, splits, class embeddings, settings."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from daan.config import DaanConfig
from pipeline.class_embeddings import ClassEmbeddings, embed_classes
from pipeline.config import Settings
from pipeline.dataset import Dataset, load_dataset
from pipeline.errors import UsageError
from pipeline.feature_set import FeatureSet, load_features
from pipeline.files import fingerprint
from pipeline.progress import Reporter
from pipeline.splits import Splits, hold_out, read_splits
from pipeline.workspace import Workspace

_STAGE_VERSION = 1  # of training's code: one more for each change that can change the weights
_LEAST_CLASSES = 2


@dataclass(frozen=True)
class TrainingInputs:
    """What one run is made from."""

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

    def names_of(self, *parts: str) -> list[str]:
        """The classes that have a video in some parts of the splits."""
        flags = self.classes_of(*parts).tolist()
        return [name for name, flag in zip(self.dataset.classes, flags, strict=True) if flag]

    @cached_property
    def fingerprint(self) -> str:
        """A hash over all that can change the weights."""
        return fingerprint(
            {
                "stage": _STAGE_VERSION,
                "features": self.features.attributes["content"],
                "splits": self.splits.parts,
                "phrases": list(self.dataset.phrases.items()),
                "text": dict(self.embeddings.encoder),
                "daan": dataclasses.asdict(self.config),
                "training": dataclasses.asdict(self.settings.training),
            }
        )


def gather_inputs(
    workspace: Workspace, settings: Settings, unseen: Sequence[str] | None, *, hold_out_anew: bool, reporter: Reporter
) -> TrainingInputs:
    """Load features, choose splits, embed class names; say which classes are unseen.

    Args:
        workspace: holds dataset and features.
        settings: all of them.
        unseen: classes to hold out for test; None: as the dataset's splits say, or a random share.
        hold_out_anew: hold classes out at random even where the dataset brings splits.
        reporter: hears of it.

    Raises:
        PipelineError: a stage is missing, the splits do not fit, fewer than two classes to train on.
    """
    dataset = load_dataset(workspace.dataset_folder)
    features = load_features(workspace.current_features(), dataset.classes)
    given = workspace.dataset_folder / "splits.yaml"
    if given.exists() and unseen is None and not hold_out_anew:
        splits, how = read_splits(given, dataset), "by the dataset's splits"
    else:
        splits, how = _held_out(dataset, features, settings, unseen)
    splits = splits.restricted_to(features.keys)
    embeddings = embed_classes(workspace, dataset.phrases, settings.text.encoder)
    config = dataclasses.replace(
        settings.daan,
        audio_width=features.audio.shape[1],
        visual_width=features.visual.shape[1],
        text_width=embeddings.vectors.shape[1],
    )
    inputs = TrainingInputs(dataset, features, splits, embeddings, config, settings)
    _check_classes(inputs, how, reporter)
    return inputs


def _held_out(
    dataset: Dataset, features: FeatureSet, settings: Settings, unseen: Sequence[str] | None
) -> tuple[Splits, str]:
    """Classes held out as named or at random, and which of the two."""
    videos_of: dict[str, list[str]] = {}
    for key, label in zip(features.keys, features.labels.tolist(), strict=True):
        videos_of.setdefault(features.classes[label], []).append(key)
    seed, fraction = settings.holdout.seed, settings.holdout.unseen_fraction
    if unseen is None:
        splits = hold_out(videos_of, unseen_fraction=fraction, seed=seed)
        return splits, f"held out at random, seed {seed}; choose with --unseen"
    named = [_class_called(name, dataset) for name in unseen]
    return hold_out(videos_of, unseen=named, unseen_fraction=fraction, seed=seed), "by --unseen"


def _class_called(name: str, dataset: Dataset) -> str:
    """The class a user means by its name or phrase, whatever the case."""
    for known, phrase in dataset.phrases.items():
        if name.strip().lower() in {known.lower(), phrase.lower()}:
            return known
    return name.strip()


def _check_classes(inputs: TrainingInputs, how: str, reporter: Reporter) -> None:
    """Refuse too few seen classes, and say which are unseen."""
    trained = inputs.names_of("train")
    if len(trained) < _LEAST_CLASSES:
        raise UsageError(f"classes to train on: {len(trained)}; at least {_LEAST_CLASSES} seen classes are needed")
    seen, unseen = len(inputs.names_of("train", "val_seen", "val_unseen")), inputs.names_of("test_unseen")
    names = ", ".join(unseen) or "none"
    reporter.say(f"{seen + len(unseen)} classes: {seen} seen, {len(unseen)} unseen ({how}: {names})")
