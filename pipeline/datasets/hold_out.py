"""Make splits by holding out classes and videos from training."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace

from pipeline.base.errors import UsageError
from pipeline.base.wording import counted, did_you_mean
from pipeline.datasets.dataset import Video
from pipeline.datasets.splits import Splits

LEAST_TRAINED_CLASSES = 2
_VIDEO_FRACTION = 0.2  # of the videos of a class: held out for test, and of the rest for validation
_ROUNDING = 1e-9  # 0.1 * 30 is more than 3 in floating point


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """How much to hold out. For None, `hold_out` takes the number nearest to its own fraction.

    Attributes:
        unseen_test: classes held out for test: their number (int) or at least this fraction of all classes (float).
        unseen_val: classes held out for validation, as number, or as fraction of the classes that are then left.
        seen_test: at least this fraction of the videos of each seen class is held out for test. One video of each class
            always stays for training, so a class with one video gives none.
        seen_val: at least this fraction of the remaining videos of each trained class is held out for
            validation. Again one video always stays.

    Raises:
        UsageError: a fraction that is not below 1, or a negative number.
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
        """Count the classes to hold out: the amount asked for, or else about `fraction`, but at least one.

        Args:
            name: unseen_test or unseen_val.
            classes: number of classes to choose from.
            fraction: fraction to hold out if no amount was asked for.

        Raises:
            UsageError: an amount that leaves fewer than two classes to train on.
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
        """Count the videos of one class to hold out for seen_test or seen_val; its last video stays for training."""
        asked: float | None = getattr(self, name)
        if asked is None:
            return max(1, round(_VIDEO_FRACTION * videos)) if videos > 1 else 0
        return min(math.ceil(asked * videos - _ROUNDING), max(0, videos - 1))

    def check_videos(self, counts: Mapping[str, int]) -> None:
        """Refuse splits that hold out fewer videos than asked for, because classes with one video give none.

        Args:
            counts: split -> number of its videos.

        Raises:
            UsageError: too few videos; the message gives their number.
        """
        seen = counts["test_seen"] + counts["train"] + counts["val_seen"] + counts["val_unseen"]
        trained = counts["train"] + counts["val_seen"]
        for name, split, videos in (("seen_test", "test_seen", seen), ("seen_val", "val_seen", trained)):
            asked = getattr(self, name)
            wanted = 0 if asked is None else math.ceil(asked * videos - _ROUNDING)
            if counts[split] < wanted:
                raise UsageError(
                    f"{_option(name)} {asked} asks for {wanted} of {videos} videos, and only {counts[split]} can be "
                    "held out, as each class keeps one to train on: ask for fewer, or leave small classes out "
                    "with --least-videos 3"
                )


_OF_CLASSES = ("unseen_test", "unseen_val")


def parse_amount(text: str | None, name: str) -> int | float | None:
    """Parse a number of classes (`12`) or a fraction of them (`0.25`).

    Args:
        text: text from the user; None for no amount.
        name: unseen_test or unseen_val.

    Raises:
        UsageError: text that is neither.
    """
    if text is None:
        return None
    try:
        return int(text) if text.strip().lstrip("+-").isdigit() else float(text)
    except ValueError as error:
        raise UsageError(f"{_option(name)} {text!r}: give {_expected(name)}") from error


def _expected(name: str) -> str:
    if name in _OF_CLASSES:
        return "a number of classes such as 12, or a fraction of them from 0 to below 1 such as 0.25"
    return "a fraction of a class's videos from 0 to below 1, such as 0.2"


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
    """Make splits for a dataset that has none: hold out some classes for test and some of the rest for validation.

    Args:
        videos_of: class name -> keys of its videos.
        unseen: classes to hold out for test; None to choose `unseen_fraction` of the classes at random, at least one.
        unseen_fraction: fraction of the classes held out for test, and of the remaining ones for validation.
        amounts: least amounts to hold out. If it gives none, the fraction above and a fifth of the videos are used.
        seed: random seed. The videos of each class are shuffled with a generator of their own, so adding a class does
            not reshuffle the others.

    Raises:
        UsageError: an unknown class in `unseen`, fewer than two classes left to train on, or less to hold out than
            asked for.
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
    by_name = _split_videos(videos_of, test_unseen, val_unseen, amounts, seed)
    amounts.check_videos({name: len(keys) for name, keys in by_name.items()})
    origin = {"unseen": list(unseen)} if unseen is not None else {"unseen_fraction": unseen_fraction}
    origin |= {name: value for name, value in asdict(amounts).items() if value is not None}
    return Splits(**{name: tuple(sorted(keys)) for name, keys in by_name.items()}, origin={**origin, "seed": seed})


def _split_videos(
    videos_of: Mapping[str, Sequence[str]],
    test_unseen: Sequence[str],
    val_unseen: Sequence[str],
    amounts: Amounts,
    seed: int,
) -> dict[str, list[str]]:
    """Assign the videos of every class to the splits; return split -> its videos."""
    by_name: dict[str, list[str]] = {"train": [], "val_seen": [], "val_unseen": [], "test_seen": [], "test_unseen": []}
    for name in sorted(videos_of):
        videos = sorted(videos_of[name])
        random.Random(f"{seed}/{name}").shuffle(videos)
        if name in test_unseen:
            by_name["test_unseen"] += videos
            continue
        test, rest = _held_out_videos(videos, amounts.of_videos("seen_test", len(videos)))
        by_name["test_seen"] += test
        if name in val_unseen:
            by_name["val_unseen"] += rest
        else:
            val, train = _held_out_videos(rest, amounts.of_videos("seen_val", len(rest)))
            by_name["val_seen"] += val
            by_name["train"] += train
    return by_name


def _named_classes(names: Sequence[str], classes: Sequence[str]) -> list[str]:
    for name in names:
        if name not in classes:
            raise UsageError(
                f"--unseen names {name!r}, which is not a class of the dataset.{did_you_mean(name, classes)}"
            )
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
    """Split videos into the first `count`, which are held out, and the rest."""
    return list(videos[:count]), list(videos[count:])


def make_splits(videos: Sequence[Video], amounts: Amounts, *, seed: int, least_videos: int = 1) -> Splits:
    """Hold out classes and videos. Equal arguments give equal splits; the order of the videos does not matter.

    Args:
        videos: videos of the dataset.
        amounts: least amounts to hold out.
        seed: random seed.
        least_videos: classes with fewer videos are in no split.

    Raises:
        UsageError: a dataset that is too small for the amounts.
    """
    videos_of: dict[str, list[str]] = {}
    for video in videos:
        videos_of.setdefault(video.class_name, []).append(video.key)
    kept = {name: keys for name, keys in videos_of.items() if len(keys) >= least_videos}
    if not kept:
        most = max((len(keys) for keys in videos_of.values()), default=0)
        raise UsageError(f"--least-videos {least_videos}: no class has that many, the largest has {most}")
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
