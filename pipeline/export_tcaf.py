"""TCAF's and ClipClap's temporal features: a pickle a class, a sequence a video (benchmark.md, Feature layouts)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.avgzsl_benchmark.layouts.pickles import write_pickle

METHOD = "main_features_non_averaged"
ENDING = ".pkl"
_FRAMES_A_SECOND = 25  # what public files say of every video; public code does not use it


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
