"""How many classes and videos held-out splits take away from training."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace

from pipeline.base.errors import UsageError
from pipeline.base.wording import counted, did_you_mean
from pipeline.datasets.dataset import Video
from pipeline.datasets.splits import Splits

LEAST_TRAINED_CLASSES = 2
_VIDEO_FRACTION = 0.2  # of a class's videos, held out for validation and again for test
_ROUNDING = 1e-9  # 0.1 * 30 is more than 3 in floating point


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """What is asked for; None leaves an amount to `hold_out`, which takes the nearest number to its own share.

    Attributes:
        unseen_test: classes held out for test: how many, or (float) at least which share of all.
        unseen_val: classes held out for validation, of those that are left.
        seen_test: at least which share of each seen class's videos is tested; one video of a class always stays for
            training, so a class of one video gives none.
        seen_val: at least which share of what is then left of a class that is trained on is for validation; again one
            always stays.

    Raises:
        UsageError: a share that is not below 1, or a negative number.
    """

    unseen_test: int | float | None = None
    unseen_val: int | float | None = None
    seen_test: float | None = None
    seen_val: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None or (isinstance(value, int) and field.name in _OF_CLASSES and value >= 0):
                continue
            if not 0 <= value < 1:
                raise UsageError(f"{_option(field.name)} {value}: give {_expected(field.name)}")
        if self.unseen_test == 0:
            raise UsageError("--unseen-test 0: zero-shot learning needs at least 1 unseen class to test on")

    def of_classes(self, name: str, classes: int, fraction: float) -> int:
        """How many of `classes` to hold out: what was asked for, else about a fraction, at least one of them.

        Raises:
            UsageError: fewer than two would be left to train on, and so many were asked for.
        """
        asked: int | float | None = getattr(self, name)
        most = classes - LEAST_TRAINED_CLASSES
        if asked is None:
            return min(max(1, round(fraction * classes)), max(1, most), classes)
        count = asked if isinstance(asked, int) else math.ceil(asked * classes - _ROUNDING)
        if count > most:
            raise UsageError(
                f"{_option(name)} {asked} asks for {count} of {classes} classes, and {LEAST_TRAINED_CLASSES} must be "
                "left to train on: ask for fewer, or add videos of other classes"
            )
        return count

    def of_videos(self, name: str, videos: int) -> int:
        """How many of a class's videos to hold out; its last one stays for training."""
        asked: float | None = getattr(self, name)
        if asked is None:
            return max(1, round(_VIDEO_FRACTION * videos)) if videos > 1 else 0
        return min(math.ceil(asked * videos - _ROUNDING), max(0, videos - 1))

    def check_videos(self, counts: Mapping[str, int]) -> None:
        """Refuse splits that hold out fewer videos than was asked for, as classes of one video give none.

        Args:
            counts: part of the splits -> its videos.

        Raises:
            UsageError: says how many there are.
        """
        seen = counts["test_seen"] + counts["train"] + counts["val_seen"] + counts["val_unseen"]
        trained = counts["train"] + counts["val_seen"]
        for name, part, videos in (("seen_test", "test_seen", seen), ("seen_val", "val_seen", trained)):
            asked = getattr(self, name)
            wanted = 0 if asked is None else math.ceil(asked * videos - _ROUNDING)
            if counts[part] < wanted:
                raise UsageError(
                    f"{_option(name)} {asked} asks for {wanted} of {videos} videos, and only {counts[part]} can be "
                    "held out, as each class keeps one to train on: ask for fewer, or leave small classes out "
                    "with --least-videos 3"
                )


_OF_CLASSES = ("unseen_test", "unseen_val")


def parse_classes(text: str | None, name: str) -> int | float | None:
    """A number of classes (`12`) or a share of them (`0.25`) as a user writes it.

    Raises:
        UsageError: neither.
    """
    if text is None:
        return None
    try:
        return int(text) if text.strip().lstrip("+-").isdigit() else float(text)
    except ValueError as error:
        raise UsageError(f"{_option(name)} {text!r}: give {_expected(name)}") from error


def _expected(name: str) -> str:
    if name in _OF_CLASSES:
        return "a number of classes such as 12, or a share of them from 0 to below 1 such as 0.25"
    return "a share of a class's videos from 0 to below 1, such as 0.2"


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


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


def make_splits(videos: Sequence[Video], amounts: Amounts, *, seed: int, least_videos: int = 1) -> Splits:
    """Hold out classes and videos; equal arguments give equal splits, whatever the order of the videos.

    Args:
        videos: of the dataset.
        amounts: how much to hold out, at least.
        seed: of every choice.
        least_videos: classes with fewer are in no part.

    Raises:
        UsageError: the dataset is too small for what is asked.
    """
    videos_of: dict[str, list[str]] = {}
    for video in videos:
        videos_of.setdefault(video.class_name, []).append(video.key)
    kept = {name: keys for name, keys in videos_of.items() if len(keys) >= least_videos}
    if not kept:
        most = max((len(keys) for keys in videos_of.values()), default=0)
        raise UsageError(f"--least-videos {least_videos}: no class has so many, the largest has {most}")
    needed = LEAST_TRAINED_CLASSES + 1
    if len(kept) < needed:
        raise UsageError(
            f"{counted(len(kept), 'class')}, and at least {needed} are needed, "
            f"to train on {LEAST_TRAINED_CLASSES} and test on an unseen one: add videos of other classes"
        )
    splits = hold_out(kept, amounts=amounts, seed=seed)
    return replace(
        splits, origin={**splits.origin, "least_videos": least_videos} if least_videos > 1 else splits.origin
    )
