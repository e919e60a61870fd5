"""How many classes and videos held-out splits take away from training."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

from pipeline.base.errors import UsageError

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
