"""How much to hold out from training: numbers or fractions of classes, and fractions of videos."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

from pipeline.base.errors import UsageError

LEAST_TRAINED_CLASSES = 2
_VIDEO_FRACTION = 0.2  # of the videos of a class: held out for test, and of the rest for validation
_ROUNDING = 1e-9  # 0.1 * 30 is more than 3 in floating point


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """How much to hold out. For None, `hold_out` takes the number nearest to its own fraction.

    Attributes:
        unseen_test: classes held out for test: their number (int) or at least this fraction of all classes (float).
        unseen_val: classes held out for validation, as number, or as fraction of the classes that are then left.
        seen_test: at least this fraction of the videos of each seen class is held out for test. One recording of each
            class always stays for training, so a class with one recording gives none.
        seen_val: at least this fraction of the remaining videos of each trained class is held out for
            validation. Again one recording always stays.

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
        """Count the videos of one class to hold out for seen_test or seen_val, if it has more than one recording."""
        asked: float | None = getattr(self, name)
        if asked is None:
            return max(1, round(_VIDEO_FRACTION * videos))
        return math.ceil(asked * videos - _ROUNDING)

    def check_videos(self, counts: Mapping[str, int]) -> None:
        """Refuse splits that hold out fewer videos than asked for, because classes with one recording give none.

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
                    "held out, as each class keeps one recording to train on: ask for fewer, or leave small classes "
                    "out with --least-videos 3"
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
