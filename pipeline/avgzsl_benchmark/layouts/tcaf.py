"""TCAF's and ClipClap's temporal features: a pickle a class, a sequence a video (benchmark.md, Feature layouts)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from extractors.files.safe_pickle import PickleRefusedError, load_pickle
from pipeline.avgzsl_benchmark.layouts.class_file import ClassFile, checked_class_file
from pipeline.avgzsl_benchmark.layouts.pickles import write_pickle
from pipeline.base.errors import UsageError
from pipeline.base.files import storage_errors

ENDING = ".pkl"
_LAYOUT = "a dict of features (arrays (T, D)), video_names and fps"

METHOD = "main_features_non_averaged"
_FRAMES_A_SECOND = 25  # what public files say of every video; public code does not use it


def read_class_file(path: Path) -> ClassFile:
    """The videos in a pickled dict `features` (N arrays (T, D)), `video_names` (N), `fps`.

    The frame rate is not used: a row counts as a second.

    Raises:
        UsageError: the pickle wants more than plain data (named), is damaged, or holds something else.
        StorageError: it cannot be read.
    """
    try:
        with storage_errors(path), path.open("rb") as file:
            stored = load_pickle(file)
    except PickleRefusedError as error:
        raise UsageError(f"{path} is refused: {error}") from error
    if not isinstance(stored, dict) or not {"features", "video_names"} <= stored.keys():
        found = f"a dict of {', '.join(map(str, stored))}" if isinstance(stored, dict) else f"a {type(stored).__name__}"
        raise UsageError(f"{path} holds {found}: expected {_LAYOUT}")
    return checked_class_file(path, _members(path, stored["video_names"]), _members(path, stored["features"]))


def _members(path: Path, value: object) -> Sequence[object]:
    """The members of a list, a tuple or an array; those of an array of three axes are (T, D)."""
    if isinstance(value, np.ndarray) and value.ndim:
        return value.tolist() if value.dtype.kind in "SU" else list(value)
    if isinstance(value, list | tuple):
        return value
    raise UsageError(f"{path}: what should be a list is a {type(value).__name__}: expected {_LAYOUT}")


def write_class_file(path: Path, names: Sequence[str], features: Sequence[NDArray[np.floating]]) -> None:
    """Write the seconds of N videos, (T, D) each, as a pickled dict `features`, `video_names`, `fps`.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    document = {
        "features": [np.ascontiguousarray(rows, np.float32) for rows in features],
        "video_names": list(names),
        "fps": [_FRAMES_A_SECOND] * len(names),
    }
    write_pickle(path, document)
