"""The temporal features of the TCaF and ClipClap code: one pickle per class, one sequence per video.

The layout is described in pipeline/avgzsl_benchmark/README.md.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from extractors.files.safe_pickle import PickleRefusedError, load_pickle
from pipeline.avgzsl_benchmark.layouts.class_file import ClassFile, checked_class_file
from pipeline.avgzsl_benchmark.layouts.pickles import write_pickle
from pipeline.base.errors import UsageError
from pipeline.base.files import storage_errors
from pipeline.base.wording import some_of

ENDING = ".pkl"
_LAYOUT = "a dict of features (arrays (T, D)), video_names and fps"

METHOD = "main_features_non_averaged"
_FRAMES_PER_SECOND = 25  # the value in the published files for every video; the TCaF code does not use it


def read_class_file(path: Path) -> ClassFile:
    """Read a pickled dict of `features` (N arrays (T, D)), `video_names` (N) and `fps`.

    The frame rate is not used: one row counts as one second.

    Raises:
        UsageError: a pickle that loads more than plain data (the message names it), is damaged, or has other content.
        StorageError: a file that cannot be read.
    """
    try:
        with storage_errors(path), path.open("rb") as file:
            stored = load_pickle(file)
    except PickleRefusedError as error:
        raise UsageError(f"{path} is refused: {error}") from error
    if not isinstance(stored, dict) or not {"features", "video_names"} <= stored.keys():
        found = (
            f"a dict of {some_of([str(key) for key in stored])}"
            if isinstance(stored, dict)
            else f"a {type(stored).__name__}"
        )
        raise UsageError(f"{path} contains {found}: expected {_LAYOUT}")
    rows = [_as_rows(value) for value in _members(path, stored["features"])]
    return checked_class_file(path, _members(path, stored["video_names"]), rows)


def _as_rows(value: object) -> object:
    """Make one row of the single vector (D,) that the ClipClap code has for a video."""
    return value[None] if isinstance(value, np.ndarray) and value.ndim == 1 else value


def _members(path: Path, value: object) -> Sequence[object]:
    """Return the members of a list, a tuple or an array; the members of an array (N, T, D) are (T, D)."""
    if isinstance(value, np.ndarray) and value.ndim:
        return value.tolist() if value.dtype.kind in "SU" else list(value)
    if isinstance(value, list | tuple):
        return value
    raise UsageError(f"{path} contains a {type(value).__name__} instead of a list: expected {_LAYOUT}")


def write_class_file(path: Path, names: Sequence[str], features: Sequence[NDArray[np.floating]]) -> None:
    """Write the seconds of N videos, (T, D) each, as a pickled dict of `features`, `video_names` and `fps`.

    Raises:
        StorageError: a full disk, or a folder that cannot be written.
    """
    document = {
        "features": [np.ascontiguousarray(rows, np.float32) for rows in features],
        "video_names": list(names),
        "fps": [_FRAMES_PER_SECOND] * len(names),
    }
    write_pickle(path, document)
