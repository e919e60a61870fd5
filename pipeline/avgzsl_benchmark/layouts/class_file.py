"""One file of an official feature folder: the videos of a class in one modality and one protocol stage."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.base.errors import UsageError

Rows = NDArray[np.floating]


@dataclass(frozen=True)
class ClassFile:
    """The N videos of a file.

    Attributes:
        path: the file.
        names: N names of videos.
        rows: N arrays (T, D); T = 1 if features are averages.
    """

    path: Path
    names: tuple[str, ...]
    rows: tuple[Rows, ...]


def checked_class_file(path: Path, names: Iterable[object], rows: Sequence[object]) -> ClassFile:
    """Check what was read from a file and return it as a `ClassFile`.

    Args:
        path: the file, for messages.
        names: names of videos, as text or as bytes in UTF-8.
        rows: an array of numbers (T, D) for each name.

    Raises:
        UsageError: different numbers of names and arrays, an empty name, or features that are not a (T, D) array of
            finite numbers.
    """
    texts = tuple(_text(path, name) for name in names)
    if len(texts) != len(rows):
        raise UsageError(f"{path} lists {len(texts)} videos but has features of {len(rows)}: make or download it again")
    return ClassFile(path, texts, tuple(_checked(path, name, row) for name, row in zip(texts, rows, strict=True)))


def _text(path: Path, name: object) -> str:
    if not isinstance(name, str | bytes | int | float):  # the text of a container can be longer than any memory
        raise UsageError(f"{path}: a {type(name).__name__} is not a name of a video: make or download the file again")
    # A name cut at 80 bytes may end in the middle of a character.
    text = name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else str(name)
    if not text.strip() or "\0" in text:
        raise UsageError(f"{path}: {text!r} is not a name of a video: make or download the file again")
    return text


def _checked(path: Path, name: str, rows: object) -> Rows:
    if not isinstance(rows, np.ndarray) or rows.dtype.kind not in "fiu" or rows.ndim != 2 or not rows.shape[1]:
        found = f"an array {rows.shape} of {rows.dtype}" if isinstance(rows, np.ndarray) else f"a {type(rows).__name__}"
        raise UsageError(
            f"{path}: the features of {name!r} are {found}, must be an array of numbers (seconds, width): "
            "make or download the file again"
        )
    with np.errstate(over="ignore"):  # a number beyond float32 becomes infinite
        stored = rows if rows.dtype in {np.dtype(np.float16), np.dtype(np.float32)} else rows.astype(np.float32)
    if not np.isfinite(stored).all():
        raise UsageError(
            f"{path}: the features of {name!r} are not all finite numbers of float32: extract that video again"
        )
    return stored
