"""One file of an official feature folder: the videos of a class, in one modality, at one stage."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.base.errors import UsageError

Rows = NDArray[np.floating]


@dataclass(frozen=True)
class ClassFile:
    """N videos as they stand in a file.

    Attributes:
        path: the file.
        names: N.
        rows: N arrays (T, D), T = 1 where features are averages.
    """

    path: Path
    names: tuple[str, ...]
    rows: tuple[Rows, ...]


def checked_class_file(path: Path, names: Iterable[object], rows: Sequence[object]) -> ClassFile:
    """What was read from a file, if it is what belongs there.

    Args:
        path: for messages.
        names: texts, or their bytes in UTF-8.
        rows: for each name an array of numbers (T, D).

    Raises:
        UsageError: as many names as vectors are not there, a name is empty, or what stands for a video is no (T, D)
            array of finite numbers.
    """
    texts = tuple(_text(path, name) for name in names)
    if len(texts) != len(rows):
        raise UsageError(f"{path} names {len(texts)} videos and has features of {len(rows)}: make or download it again")
    return ClassFile(path, texts, tuple(_checked(path, name, row) for name, row in zip(texts, rows, strict=True)))


def _text(path: Path, name: object) -> str:
    # A name cut at 80 bytes may end amid a character.
    text = name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else str(name)
    if not text.strip() or "\0" in text:
        raise UsageError(f"{path}: {text!r} is no name of a video: make or download the file again")
    return text


def _checked(path: Path, name: str, rows: object) -> Rows:
    if not isinstance(rows, np.ndarray) or rows.dtype.kind not in "fiu" or rows.ndim != 2 or not rows.shape[1]:
        found = f"an array {rows.shape} of {rows.dtype}" if isinstance(rows, np.ndarray) else f"a {type(rows).__name__}"
        raise UsageError(f"{path}: what stands for {name!r} is {found}, must be numbers (seconds, width)")
    if not np.isfinite(rows).all():
        raise UsageError(f"{path}: the features of {name!r} are not all finite numbers: extract that video again")
    return rows if rows.dtype in {np.dtype(np.float16), np.dtype(np.float32)} else rows.astype(np.float32)
