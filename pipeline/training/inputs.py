"""Gather the inputs of a training: features, splits, class embeddings and settings."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor

from daan.baselines.zero_shot import ZeroShotConfig
from daan.method import MethodConfig
from pipeline.base.csv_tables import joined_names, with_known_names
from pipeline.base.errors import PipelineError, UsageError
from pipeline.base.files import fingerprint
from pipeline.base.progress import Reporter
from pipeline.base.wording import some_of
from pipeline.base.workspace import Workspace
from pipeline.class_embeddings.embed import ClassEmbeddings, embed_classes
from pipeline.class_embeddings.legacy_order import embed_in_legacy_order
from pipeline.class_embeddings.neighbours import THE_SAME, alike_classes
from pipeline.datasets.dataset import Dataset, load_dataset
from pipeline.datasets.phrases import comparable_phrases, phrases_text
from pipeline.datasets.splits.hold_out import hold_out
from pipeline.datasets.splits.recordings import recordings_of, shared_recordings
from pipeline.datasets.splits.splits import Splits, read_splits
from pipeline.extraction.side_by_side import use_features_of
from pipeline.features.attributes import logit_scales
from pipeline.features.feature_kinds import encoders_of, kind_of
from pipeline.features.feature_set import FeatureSet, load_features
from pipeline.settings.training import section_of
from pipeline.settings.tree import Settings
from pipeline.training.methods import method_class
from pipeline.training.network_size import with_network_size

_STAGE_VERSION = 5  # version of the training code: add one for each change that can change the weights
_ORDER_BEFORE: Mapping[str, bool] = {"off": False, "avca": True}  # as earlier versions named it, for equal hashes
_LEAST_CLASSES = 2
ConfigT = TypeVar("ConfigT", bound=MethodConfig)
_NAMES_SHOWN = 5


@dataclass(frozen=True)
class TrainingInputs:
    """The inputs of one run. Legend: M selected videos, C classes."""

    dataset: Dataset
    features: FeatureSet
    splits: Splits
    embeddings: ClassEmbeddings
    config: MethodConfig  # with the widths of the data
    settings: Settings
    anchor: ZeroShotConfig | None = None  # the frozen encoders that the distances are mixed with

    def indices(self, *splits: str) -> Tensor:
        """Return the indices (M,) of the videos of the named splits."""
        return self.features.indices([key for name in splits for key in self.splits.by_name[name]])

    def videos_of_classes(self, *splits: str) -> Tensor:
        """Count the videos of each class (C,) in the named splits."""
        return self.features.videos_of_classes(self.indices(*splits))

    def classes_of(self, *splits: str) -> Tensor:
        """Return flags (C,): whether a class has a video in the named splits."""
        return self.videos_of_classes(*splits) > 0

    def names_of(self, *splits: str) -> list[str]:
        """Return the names of the classes that have a video in the named splits."""
        return self.names_where(self.classes_of(*splits))

    def names_where(self, flags: Tensor) -> list[str]:
        """Return the names of the classes whose flag (C,) is True."""
        return [self.dataset.classes[index] for index in torch.nonzero(flags).flatten().tolist()]

    def with_settings(self, settings: Settings) -> "TrainingInputs":
        """Return the inputs of another run on the same features, splits and class embeddings.

        Args:
            settings: settings that differ only in the method, its options and those of training.

        Raises:
            UsageError: features or widths that the method does not take.
        """
        settings = with_network_size(settings, len(self.splits.by_name["train"]))
        config = _config_of(settings, self.features, self.embeddings)
        anchor = _anchor_of(settings, self.features, self.embeddings)
        return dataclasses.replace(self, config=config, settings=settings, anchor=anchor)

    @cached_property
    def fingerprint(self) -> str:
        """A hash over everything that can change the weights."""
        legacy_order = self.settings.text.legacy_class_order
        return fingerprint(
            {
                "stage": _STAGE_VERSION,
                "features": self.features.attributes["content"],
                "splits": self.splits.by_name,
                "classes": list(zip(self.dataset.classes, map(phrases_text, self.embeddings.phrases), strict=True)),
                "text": dict(self.embeddings.encoder),
                "legacy_class_order": _ORDER_BEFORE.get(legacy_order, legacy_order),
                self.settings.training.method: dataclasses.asdict(self.config),
                "training": _without_method(dataclasses.asdict(self.settings.training)),
                **({"anchor": dataclasses.asdict(self.anchor)} if self.anchor else {}),
            }
        )


def _without_method(training: dict[str, Any]) -> dict[str, Any]:
    """Leave out the method, which the name of its options says, and the extractor, which the features say."""
    return {name: value for name, value in training.items() if name not in {"method", "extractor"}}


def gather_inputs(
    workspace: Workspace, settings: Settings, unseen: Sequence[str] | None, *, hold_out_anew: bool, reporter: Reporter
) -> TrainingInputs:
    """Load features, choose splits and embed class names; report which classes are unseen.

    Args:
        workspace: the workspace with dataset and features.
        settings: all settings.
        unseen: classes to hold out for test; None to use the dataset's splits, or a random choice if it has none.
        hold_out_anew: whether to hold classes out at random even if the dataset has splits.
        reporter: receives the unseen classes and everything unusual about the inputs.

    Raises:
        PipelineError: a missing stage, splits or widths that do not fit, or fewer than two classes to train on.
    """
    dataset = load_dataset(workspace.dataset_folder)
    use_features_of(workspace, settings.training.extractor or None, reporter)
    features_file = workspace.current_features()
    features = load_features(features_file, dataset.classes)
    if "content" not in features.attributes:
        raise PipelineError(f"{features_file} does not say what it contains: run avzsl extract again, which merges it")
    given = workspace.dataset_folder / "splits.yaml"
    if given.exists() and unseen is None and not hold_out_anew:
        splits, how = read_splits(given, dataset), "by the dataset's splits"
        shared = shared_recordings(splits, dataset.videos)
        if shared:
            reporter.warn(f"{given}: {shared}")
    else:
        splits, how = _held_out(dataset, features, settings, unseen)
    embeddings = embed_classes(workspace, dataset.phrases, settings.text.encoder, settings.text.templates)
    _check_vectors(embeddings, dataset.classes, reporter)
    order = settings.text.legacy_class_order
    if order != "off":
        embeddings = embed_in_legacy_order(workspace, dataset, embeddings, order, reporter)
    splits = _usable(splits, features, reporter)
    settings = with_network_size(settings, len(splits.by_name["train"]))
    config = _config_of(settings, features, embeddings)
    anchor = _anchor_of(settings, features, embeddings)
    inputs = TrainingInputs(dataset, features, splits, embeddings, config, settings, anchor)
    _check_classes(inputs, how, reporter)
    _report_small_numbers(inputs, reporter)
    idle = inputs.config.idle_options(int(features.seconds.max()))
    if idle:
        reporter.say(idle)
    return inputs


def _usable(splits: Splits, features: FeatureSet, reporter: Reporter) -> Splits:
    """Restrict the splits to videos with features; warn about seen classes that have no training video left."""
    class_of = {
        key: features.classes[label] for key, label in zip(features.keys, features.labels.tolist(), strict=True)
    }
    restricted = splits.restricted_to(features.keys)
    usable = restricted.without_untrained_classes(class_of)
    kept = {key for keys in usable.by_name.values() for key in keys}
    lost = sorted({class_of[key] for keys in restricted.by_name.values() for key in keys if key not in kept})
    if lost:
        reporter.warn(f"no training video is left for these classes, so they are not tested as seen: {', '.join(lost)}")
    return usable


def _held_out(
    dataset: Dataset, features: FeatureSet, settings: Settings, unseen: Sequence[str] | None
) -> tuple[Splits, str]:
    """Hold out the named classes or random ones; return the splits and how the classes were chosen."""
    videos_of: dict[str, list[str]] = {}
    for key, label in zip(features.keys, features.labels.tolist(), strict=True):
        videos_of.setdefault(features.classes[label], []).append(key)
    seed, fraction = settings.holdout.seed, settings.holdout.unseen_fraction
    recordings = recordings_of(dataset.videos)
    if unseen is None:
        splits = hold_out(videos_of, unseen_fraction=fraction, seed=seed, recording_of=recordings)
        return splits, f"held out at random, seed {seed}; --unseen names others"
    named = [_find_class(name, dataset) for name in with_known_names(unseen, dataset.classes)]
    splits = hold_out(videos_of, unseen=named, unseen_fraction=fraction, seed=seed, recording_of=recordings)
    return splits, "by --unseen"


def _find_class(name: str, dataset: Dataset) -> str:
    """Find the class with a name or phrase, ignoring case; return an unknown name as it is."""
    wanted = comparable_phrases([name])
    for known, phrases in dataset.phrases.items():
        if any(comparable_phrases([one]) == wanted for one in (known, phrases_text(phrases), *phrases)):
            return known
    return name.strip()


def _config_of(settings: Settings, features: FeatureSet, embeddings: ClassEmbeddings) -> MethodConfig:
    """Return the options of the method, with the widths of the data.

    Raises:
        UsageError: features or widths that the method does not take.
    """
    method = settings.training.method
    if method_class(method).needs.paired_text:
        _check_paired(method, features)
    return _with_widths(
        _with_scales(settings.method_config, features),
        section_of(method),
        audio=features.audio.shape[1],
        visual=features.visual.shape[1],
        text=embeddings.vectors.shape[1],
    )


def _anchor_of(settings: Settings, features: FeatureSet, embeddings: ClassEmbeddings) -> ZeroShotConfig | None:
    """Return the options of the frozen encoders that distances are mixed with; None if they are not.

    Raises:
        UsageError: features that have no text encoder, or class embeddings of another one.
    """
    if not settings.score.anchor or not method_class(settings.training.method).needs.training:
        return None
    _check_paired("score.anchor", features)
    return _with_widths(
        _with_scales(ZeroShotConfig(), features),
        "score.anchor",
        audio=features.audio.shape[1],
        visual=features.visual.shape[1],
        text=embeddings.vectors.shape[1],
    )


def _with_scales(config: ConfigT, features: FeatureSet) -> ConfigT:
    """Fill in the scales of the encoders, if the method has such options and the features name them."""
    scales: dict[str, Any] = {
        option: scale
        for option, scale in logit_scales(features.attributes).items()
        if getattr(config, option, None) == 0
    }
    return dataclasses.replace(config, **scales)


def _check_paired(method: str, features: FeatureSet) -> None:
    """Refuse features whose encoders have no text encoder."""
    widths = {"audio_width": features.audio.shape[1], "visual_width": features.visual.shape[1]}
    kind, named = kind_of(features.attributes, **widths), encoders_of(features.attributes, **widths)
    is_paired = bool(features.attributes.get("paired_text")) or (kind is not None and kind.paired_text)
    if named and not is_paired:
        raise UsageError(
            f"{method} compares features with class texts of the same encoders, but these features are {named}, "
            "without a text encoder: use features of clip-clap or pe-av, or train a method (avzsl methods)"
        )


def _with_widths(config: ConfigT, section: str, *, audio: int, visual: int, text: int) -> ConfigT:
    """Fill the data's widths into the configuration; refuse a width that was set to another value."""
    for kind, width in (("audio", audio), ("visual", visual), ("text", text)):
        name = f"{kind}_width"
        if getattr(config, name) not in {width, getattr(type(config)(), name)}:
            raise UsageError(
                f"{section}.{name} is {getattr(config, name)}, but the {kind} vectors are {width} wide: "
                f"leave {section}.{name} out, it is taken from the data"
            )
    try:
        return dataclasses.replace(config, audio_width=audio, visual_width=visual, text_width=text)
    except ValueError as error:  # options that do not fit the data
        raise UsageError(f"{section}.{error}") from error


def _check_classes(inputs: TrainingInputs, how: str, reporter: Reporter) -> None:
    """Refuse too few seen classes; report which classes are unseen."""
    trained = inputs.names_of("train")
    if len(trained) < _LEAST_CLASSES:
        raise UsageError(f"classes to train on: {len(trained)}; at least {_LEAST_CLASSES} seen classes are needed")
    seen, unseen = len(inputs.names_of("train", "val_seen", "val_unseen")), inputs.names_of("test_unseen")
    names = joined_names(unseen) or "none"
    reporter.say(f"{seen + len(unseen)} classes: {seen} seen, {len(unseen)} unseen: {names} ({how})")


def _check_vectors(embeddings: ClassEmbeddings, names: Sequence[str], reporter: Reporter) -> None:
    """Refuse classes that share one vector; warn of classes that nearly do."""
    alike = alike_classes(names, embeddings.vectors)
    same = [f"{first!r} and {second!r}" for first, second, cosine in alike if cosine > THE_SAME]
    if same:
        raise UsageError(
            f"the text encoder {embeddings.encoder['encoder']} gives the same vector to {some_of(same)}: "
            "give them other phrases in classes.csv, or name another encoder with --text"
        )
    if alike:
        pairs = some_of([f"{first!r} and {second!r} ({cosine:.2f})" for first, second, cosine in alike])
        reporter.warn(f"classes with nearly the same vector, which predictions will confuse: {pairs}")


def _report_small_numbers(inputs: TrainingInputs, reporter: Reporter) -> None:
    """Report classes with a single video or recording, and batches that are smaller than the settings ask for."""
    only_trained = inputs.classes_of("train") & ~inputs.classes_of("val_seen", "test_seen")
    single = only_trained & (inputs.videos_of_classes("train") == 1)
    for thing, flags in (("video", single), ("recording", only_trained & ~single & _have_one_recording(inputs))):
        names = inputs.names_where(flags)
        if names:
            more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
            shown = f"{', '.join(names[:_NAMES_SHOWN])}{more}"
            reporter.say(f"classes with only one {thing}: {shown}; used for training, not for testing")
    videos, pairs = len(inputs.indices("train")), inputs.settings.training.batch_pairs
    has_batches = method_class(inputs.settings.training.method).needs.training
    if has_batches and videos < pairs and inputs.settings.training.network == "paper":
        reporter.say(
            f"batches of {videos} pairs: there are only {videos} training videos (training.batch_pairs is {pairs})"
        )


def _have_one_recording(inputs: TrainingInputs) -> Tensor:
    """Return flags (C,): whether all training videos of a class come from one recording."""
    recording_of = recordings_of(inputs.dataset.videos)
    labels = inputs.features.labels[inputs.indices("train")].tolist()
    pairs = {(label, recording_of.get(key, key)) for label, key in zip(labels, inputs.splits.train, strict=True)}
    recordings = torch.tensor([label for label, _ in pairs], dtype=torch.int64)
    return torch.bincount(recordings, minlength=len(inputs.dataset.classes)) == 1
