"""AVCA's averaged features: an HDF5 file a class, a vector a video (benchmark.md, Feature layouts)."""

from pathlib import Path

import h5py

from pipeline.errors import UsageError
from pipeline.files import storage_errors
from pipeline.official_class_file import ClassFile, checked_class_file

ENDING = ".h5"


def read_class_file(path: Path) -> ClassFile:
    """The videos in a file with the datasets `data` (N, D) and `video_urls` (N,); each has a single row (1, D).

    Raises:
        UsageError: it is no HDF5 file, or holds something else.
        StorageError: it cannot be read.
    """
    with storage_errors(path), path.open("rb"):
        pass  # HDF5 does not tell what may not be read from what is damaged
    try:
        with h5py.File(path, "r") as file:
            data, names = file["data"][...], file["video_urls"][...].tolist()
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{path} is no file of averaged features: expected HDF5 with the datasets data (N, D) and video_urls (N,)"
        ) from error
    if not isinstance(names, list) or data.ndim != 2:
        if getattr(data, "size", 1) == 0 and names == []:
            return ClassFile(path, (), ())
        raise UsageError(f"{path}: data is {data.shape}, must be (N, D), a vector for each of the video_urls (N,)")
    return checked_class_file(path, names, [data[place : place + 1] for place in range(len(data))])
