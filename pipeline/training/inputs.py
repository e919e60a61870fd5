"""Everything a training is made from: features, splits, class embeddings, settings."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from daan.config import DaanConfig
from pipeline.base.errors import UsageError
from pipeline.base.files import fingerprint
from pipeline.base.progress import Reporter
from pipeline.base.workspace import Workspace
from pipeline.class_embeddings.embed import ClassEmbeddings, embed_classes
from pipeline.class_embeddings.legacy_order import embed_in_legacy_order
from pipeline.datasets.dataset import Dataset, load_dataset
from pipeline.datasets.hold_out import hold_out
from pipeline.datasets.phrases import phrases_text
from pipeline.datasets.splits import Splits, read_splits
from pipeline.features.feature_set import FeatureSet, load_features
from pipeline.settings.tree import Settings

_STAGE_VERSION = 2  # of training's code: one more for each change that can change the weights
_LEAST_CLASSES = 2
_NAMES_SHOWN = 5


@dataclass(frozen=True)
class TrainingInputs:
    """What one run is made from."""

    dataset: Dataset
    features: FeatureSet
    splits: Splits
    embeddings: ClassEmbeddings
    config: DaanConfig
    settings: Settings

    def indices(self, *parts: str) -> Tensor:
        """(M,) places of the videos of some parts of the splits."""
        return self.features.indices([key for name in parts for key in self.splits.by_name[name]])

    def videos_of_classes(self, *parts: str) -> Tensor:
        """(C,) how many videos each class has in some parts of the splits."""
        return torch.bincount(self.features.labels[self.indices(*parts)], minlength=len(self.dataset.classes))

    def classes_of(self, *parts: str) -> Tensor:
        """(C,) whether a class has a video in some parts of the splits."""
        return self.videos_of_classes(*parts) > 0

    def names_of(self, *parts: str) -> list[str]:
        """The classes that have a video in some parts of the splits."""
        return self.names_where(self.classes_of(*parts))

    def names_where(self, flags: Tensor) -> list[str]:
        """The classes with a True in (C,) flags."""
        return [self.dataset.classes[place] for place in torch.nonzero(flags).flatten().tolist()]

    @cached_property
    def fingerprint(self) -> str:
        """A hash over all that can change the weights."""
        return fingerprint(
            {
                "stage": _STAGE_VERSION,
                "features": self.features.attributes["content"],
                "splits": self.splits.by_name,
                "classes": list(zip(self.dataset.classes, map(phrases_text, self.embeddings.phrases), strict=True)),
                "text": dict(self.embeddings.encoder),
                "legacy_class_order": self.settings.text.legacy_class_order,
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
        PipelineError: a stage is missing, splits or widths do not fit, fewer than two classes to train on.
    """
    dataset = load_dataset(workspace.dataset_folder)
    features = load_features(workspace.current_features(), dataset.classes)
    given = workspace.dataset_folder / "splits.yaml"
    if given.exists() and unseen is None and not hold_out_anew:
        splits, how = read_splits(given, dataset), "by the dataset's splits"
    else:
        splits, how = _held_out(dataset, features, settings, unseen)
    embeddings = embed_classes(workspace, dataset.phrases, settings.text.encoder)
    if settings.text.legacy_class_order:
        embeddings = embed_in_legacy_order(workspace, dataset, embeddings, reporter)
    config = _with_widths(
        settings.daan,
        audio=features.audio.shape[1],
        visual=features.visual.shape[1],
        text=embeddings.vectors.shape[1],
    )
    splits = _usable(splits, features, reporter)
    inputs = TrainingInputs(dataset, features, splits, embeddings, config, settings)
    _check_classes(inputs, how, reporter)
    _say_what_is_small(inputs, reporter)
    return inputs


def _usable(splits: Splits, features: FeatureSet, reporter: Reporter) -> Splits:
    """The splits of the videos that have features; says which seen classes lost all that trains them."""
    class_of = {
        key: features.classes[label] for key, label in zip(features.keys, features.labels.tolist(), strict=True)
    }
    there = splits.restricted_to(features.keys)
    usable = there.without_strangers(class_of)
    kept = {key for part in usable.by_name.values() for key in part}
    lost = sorted({class_of[key] for part in there.by_name.values() for key in part if key not in kept})
    if lost:
        reporter.warn(f"no video is left to train these classes on, so they are not tested as seen: {', '.join(lost)}")
    return usable


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
    for known, phrases in dataset.phrases.items():
        if name.strip().lower() in {known.lower(), phrases_text(phrases).lower(), *map(str.lower, phrases)}:
            return known
    return name.strip()


def _with_widths(config: DaanConfig, *, audio: int, visual: int, text: int) -> DaanConfig:
    """The configuration with the data's widths; a width that was set to another value is refused."""
    for kind, width in (("audio", audio), ("visual", visual), ("text", text)):
        name = f"{kind}_width"
        if getattr(config, name) not in {width, getattr(DaanConfig, name)}:
            raise UsageError(
                f"daan.{name} is {getattr(config, name)}, but the {kind} vectors are {width} wide: "
                f"leave daan.{name} out, it is taken from the data"
            )
    return dataclasses.replace(config, audio_width=audio, visual_width=visual, text_width=text)


def _check_classes(inputs: TrainingInputs, how: str, reporter: Reporter) -> None:
    """Refuse too few seen classes, and say which are unseen."""
    trained = inputs.names_of("train")
    if len(trained) < _LEAST_CLASSES:
        raise UsageError(f"classes to train on: {len(trained)}; at least {_LEAST_CLASSES} seen classes are needed")
    seen, unseen = len(inputs.names_of("train", "val_seen", "val_unseen")), inputs.names_of("test_unseen")
    names = ", ".join(unseen) or "none"
    reporter.say(f"{seen + len(unseen)} classes: {seen} seen, {len(unseen)} unseen ({how}: {names})")


def _say_what_is_small(inputs: TrainingInputs, reporter: Reporter) -> None:
    """Name classes with a single video, and say where there are fewer videos than a batch has pairs."""
    alone = (inputs.videos_of_classes(*inputs.splits.by_name) == 1) & inputs.classes_of("train")
    names = inputs.names_where(alone)
    if names:
        more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
        reporter.say(f"only one video: {', '.join(names[:_NAMES_SHOWN])}{more}; trained on, but never tested on")
    videos, pairs = len(inputs.indices("train")), inputs.settings.training.batch_pairs
    if videos < pairs:
        reporter.say(
            f"batches of {videos} pairs: there are only {videos} training videos (training.batch_pairs is {pairs})"
        )
