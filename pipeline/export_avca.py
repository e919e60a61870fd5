"""AVCA's averaged features: an HDF5 file a class, a vector a video (benchmark.md, Feature layouts)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.base.hdf5 import new_hdf5

METHOD = "main_features"
ENDING = ".h5"


def write_class_file(path: Path, names: Sequence[str], features: Sequence[NDArray[np.floating]]) -> None:
    """Write the mean over the seconds of N videos (T, D) as `data` (N, D), and `video_urls` (N,) of 80 bytes.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    means = [rows.mean(axis=0, dtype=np.float64) for rows in features]
    with new_hdf5(path) as file:
        file["data"] = np.stack(means).astype(np.float32)
        file["video_urls"] = np.array([name.encode() for name in names], "S80")
