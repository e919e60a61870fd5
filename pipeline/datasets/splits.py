"""Which videos are for training, validation and test; classes seen and unseen (benchmark.md, Splits)."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from pipeline.base.errors import UsageError
from pipeline.base.files import read_text, write_text
from pipeline.base.wording import did_you_mean
from pipeline.datasets.dataset import Dataset
from pipeline.datasets.hold_out import LEAST_TRAINED_CLASSES, Amounts

# Parts of seen classes, and the parts that train those.
_TRAINED_BEFORE = {"val_seen": ("train",), "test_seen": ("train", "val_seen", "val_unseen")}

# Those of libyaml read 100,000 videos in half a second instead of five, and write every character so that it is read.
_SAFE_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SAFE_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


@dataclass(frozen=True)
class Splits:
    """Five disjoint sets of video keys; no class is both seen and unseen at one stage.

    Stage 1 trains on `train` and validates on `val_seen` and `val_unseen`; stage 2 trains on all three; the test
    is on `test_seen` and `test_unseen`.
    """

    train: tuple[str, ...]
    val_seen: tuple[str, ...]
    val_unseen: tuple[str, ...]
    test_seen: tuple[str, ...]
    test_unseen: tuple[str, ...]
    origin: Mapping[str, Any] = field(default_factory=dict)  # how they were made; empty: given by the user

    @property
    def parts(self) -> dict[str, tuple[str, ...]]:
        """The five sets by name."""
        return {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name != "origin"}

    def restricted_to(self, keys: Sequence[str]) -> "Splits":
        """The same splits without videos that are not among `keys`, such as those whose extraction failed."""
        known = set(keys)
        parts = {name: tuple(key for key in part if key in known) for name, part in self.parts.items()}
        return Splits(**parts, origin=self.origin)

    def without_strangers(self, class_of: Mapping[str, str]) -> "Splits":
        """The same splits without videos of seen classes that no video is left of to train on.

        Args:
            class_of: video -> class, of every video of the splits.
        """
        parts = self.parts
        for part, trained in _TRAINED_BEFORE.items():
            known = {class_of[key] for other in trained for key in parts[other]}
            parts[part] = tuple(key for key in parts[part] if class_of[key] in known)
        return Splits(**parts, origin=self.origin)


def read_splits(path: Path, dataset: Dataset) -> Splits:
    """Splits of a dataset, as `parse_splits` reads them.

    Raises:
        UsageError: not such a file, an unknown video, a video in two parts, or a class both seen and unseen.
    """
    splits = parse_splits(path)
    check_splits(splits, dataset, str(path))
    return splits


def parse_splits(path: Path) -> Splits:
    """Splits from YAML: a list of video keys for each of train, val_seen, val_unseen, test_seen, test_unseen.

    Raises:
        UsageError: not such a file.
    """
    try:
        document = yaml.load(read_text(path), Loader=_SAFE_LOADER)  # noqa: S506 -- it is one of the safe ones
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        raise UsageError(f"{path}: expected the lists train, val_seen, val_unseen, test_seen and test_unseen")
    names = [entry.name for entry in fields(Splits)]
    for name in document:
        if name not in names:
            raise UsageError(f"{path}: unknown part {name!r}.{did_you_mean(str(name), names)}")
    parts = {name: _keys(document.get(name), f"{path}: {name}") for name in names if name != "origin"}
    origin = document.get("origin") or {}
    if not isinstance(origin, dict):
        raise UsageError(f"{path}: origin is {origin!r}; it says how splits were made, so leave it out")
    return Splits(**parts, origin=origin)


def _keys(value: object, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(key, str) for key in value):
        raise UsageError(f"{where} must be a list of videos, each in 'quotes' where it looks like a number")
    return tuple(value)


def check_splits(splits: Splits, dataset: Dataset, where: str) -> None:
    """Refuse unknown videos, a video in two parts, and classes that are seen and unseen at once."""
    class_of = {video.key: video.class_name for video in dataset.videos}
    part_of: dict[str, str] = {}
    for name, part in splits.parts.items():
        for key in part:
            if key not in class_of:
                raise UsageError(
                    f"{where}: {name} lists {key!r}, which is no video of the dataset.{did_you_mean(key, class_of)}"
                )
            if key in part_of:
                raise UsageError(f"{where}: {key!r} is in {part_of[key]} and in {name}; a video belongs to one part")
            part_of[key] = name
    classes = {name: {class_of[key] for key in part} for name, part in splits.parts.items()}
    for unseen, seen in (
        ("test_unseen", ("train", "val_seen", "val_unseen", "test_seen")),
        ("val_unseen", ("train", "val_seen")),
    ):
        for other in seen:
            both = sorted(classes[unseen] & classes[other])
            if both:
                raise UsageError(
                    f"{where}: class {both[0]!r} is in {unseen} and in {other}; an unseen class is never trained on"
                )
    for tested, trained in _TRAINED_BEFORE.items():
        strangers = sorted(classes[tested] - {name for other in trained for name in classes[other]})
        if strangers:
            raise UsageError(
                f"{where}: class {strangers[0]!r} is in {tested} but has no video in {' or '.join(trained)}; "
                "a seen class is one that is trained on"
            )


def write_splits(splits: Splits, path: Path) -> None:
    """Write splits as YAML, a video a line."""
    document = {
        name: list(value) if isinstance(value, tuple) else dict(value) for name, value in asdict(splits).items()
    }
    text = yaml.dump(document, Dumper=_SAFE_DUMPER, sort_keys=False, allow_unicode=True, default_flow_style=False)
    write_text(path, text)


def hold_out(
    videos_of: Mapping[str, Sequence[str]],
    *,
    unseen: Sequence[str] | None = None,
    unseen_fraction: float = 0.25,
    amounts: Amounts | None = None,
    seed: int = 0,
) -> Splits:
    """Splits for a dataset that has none: some classes are held out for test, some of the rest for validation.

    Args:
        videos_of: class name -> its videos.
        unseen: the classes to hold out for test; None: `unseen_fraction` of them at random, at least one.
        unseen_fraction: also the share of the seen classes that validation holds out.
        amounts: how much of each to hold out, at least; what it leaves open is as above, and a fifth of the videos.
        seed: of every random choice; each class's videos are shuffled by a generator of their own, so adding a class
            does not reshuffle the others.

    Raises:
        UsageError: an unknown class in `unseen`, fewer than two classes left to train on, or less there than asked for.
    """
    amounts = amounts or Amounts()
    classes = sorted(videos_of)
    if unseen is not None and not unseen:
        raise UsageError('--unseen names no class; give names such as --unseen "yoga, drumming"')
    test_unseen = (
        _named_classes(unseen, classes)
        if unseen is not None
        else _random_classes(classes, amounts.of_classes("unseen_test", len(classes), unseen_fraction), f"{seed}/test")
    )
    seen = [name for name in classes if name not in test_unseen]
    _refuse_too_few(classes, test_unseen)
    validation = amounts.of_classes("unseen_val", len(seen), unseen_fraction)
    val_unseen = _random_classes(seen, validation, f"{seed}/validation") if len(seen) > LEAST_TRAINED_CLASSES else []
    parts = _held_out_parts(videos_of, test_unseen, val_unseen, amounts, seed)
    amounts.check_videos({name: len(part) for name, part in parts.items()})
    origin = {"unseen": list(unseen)} if unseen is not None else {"unseen_fraction": unseen_fraction}
    origin |= {name: value for name, value in asdict(amounts).items() if value is not None}
    return Splits(**{name: tuple(sorted(part)) for name, part in parts.items()}, origin={**origin, "seed": seed})


def _held_out_parts(
    videos_of: Mapping[str, Sequence[str]],
    test_unseen: Sequence[str],
    val_unseen: Sequence[str],
    amounts: Amounts,
    seed: int,
) -> dict[str, list[str]]:
    """Part of the splits -> its videos, class by class."""
    parts: dict[str, list[str]] = {"train": [], "val_seen": [], "val_unseen": [], "test_seen": [], "test_unseen": []}
    for name in sorted(videos_of):
        videos = sorted(videos_of[name])
        random.Random(f"{seed}/{name}").shuffle(videos)
        if name in test_unseen:
            parts["test_unseen"] += videos
            continue
        test, rest = _held_out_videos(videos, amounts.of_videos("seen_test", len(videos)))
        parts["test_seen"] += test
        if name in val_unseen:
            parts["val_unseen"] += rest
        else:
            val, train = _held_out_videos(rest, amounts.of_videos("seen_val", len(rest)))
            parts["val_seen"] += val
            parts["train"] += train
    return parts


def _named_classes(names: Sequence[str], classes: Sequence[str]) -> list[str]:
    for name in names:
        if name not in classes:
            raise UsageError(f"--unseen names {name!r}, which is no class of the dataset.{did_you_mean(name, classes)}")
    return list(dict.fromkeys(names))


def _refuse_too_few(classes: Sequence[str], unseen: Sequence[str]) -> None:
    left = len(classes) - len(unseen)
    if left < LEAST_TRAINED_CLASSES:
        raise UsageError(
            f"{len(classes)} classes, {len(unseen)} of them unseen, leave {left} to train on: "
            f"at least {LEAST_TRAINED_CLASSES} seen classes are needed. "
            "Add videos of other classes, or hold out fewer with --unseen"
        )


def _random_classes(classes: Sequence[str], count: int, seed: str) -> list[str]:
    return random.Random(seed).sample(list(classes), count)


def _held_out_videos(videos: Sequence[str], count: int) -> tuple[list[str], list[str]]:
    """(held out, rest)."""
    return list(videos[:count]), list(videos[count:])
