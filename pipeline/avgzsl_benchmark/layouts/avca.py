"""The averaged features of the AVCA code: one HDF5 file per class, one vector per video.

The layout is described in pipeline/avgzsl_benchmark/README.md.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from pipeline.avgzsl_benchmark.layouts.class_file import ClassFile, checked_class_file
from pipeline.base.errors import UsageError
from pipeline.base.hdf5.reading import opened_hdf5, own_dataset, reading_hdf5
from pipeline.base.hdf5.writing import new_hdf5

ENDING = ".h5"

METHOD = "main_features"


def read_class_file(path: Path) -> ClassFile:
    """Read a file with the datasets `data` (N, D) and `video_urls` (N,); each video gets a single row (1, D).

    Raises:
        UsageError: a file that is not HDF5, or has other content.
        StorageError: a file that cannot be read.
    """
    with opened_hdf5(path, lambda error: _wrong_file(path, error)) as file:
        data, urls = _own_dataset(path, file, "data"), _own_dataset(path, file, "video_urls")
        with _foreign_hdf5(path):
            shapes = data.shape, urls.shape
        _check_shapes(path, *shapes)
        with _foreign_hdf5(path):
            features, names = data[...], urls[...].tolist()
    if not names:
        return ClassFile(path, (), ())
    return checked_class_file(path, names, [features[index : index + 1] for index in range(len(features))])


@contextlib.contextmanager
def _foreign_hdf5(path: Path) -> Iterator[None]:
    """Convert the errors that h5py raises on a file of another kind. Put only calls of h5py inside."""
    try:
        with reading_hdf5(lambda error: _wrong_file(path, error), path):
            yield
    except MemoryError as error:
        raise UsageError(f"{path} declares more numbers than fit into memory: make or download it again") from error


def _wrong_file(path: Path, error: Exception | None = None) -> UsageError:
    why = f" ({' '.join(str(error).split())})" if error else ""
    return UsageError(
        f"{path} is not a file of averaged features{why}: "
        "expected HDF5 with the datasets data (N, D) and video_urls (N,)"
    )


def _own_dataset(path: Path, file: h5py.File, name: str) -> h5py.Dataset:
    """Find a dataset whose numbers are in this file."""
    with _foreign_hdf5(path):
        exists, found = file.id.links.exists(name.encode()), own_dataset(file, name)
    if not exists:
        raise _wrong_file(path)
    if found is None:
        raise UsageError(
            f"{path}: the numbers of {name} are not in this file; nothing was read: make or download it again"
        )
    return found


def _check_shapes(path: Path, data: tuple[int, ...], urls: tuple[int, ...]) -> None:
    """Compare the shapes that a file declares before reading it, because its content may not match them."""
    empty = urls == (0,) and 0 in data
    if not empty and (len(data) != 2 or len(urls) != 1):
        raise UsageError(f"{path}: data is {data}, must be (N, D) with one vector for each of the video_urls (N,)")
    if not empty and data[0] != urls[0]:
        raise UsageError(f"{path} lists {urls[0]} videos but has features of {data[0]}: make or download it again")


def write_class_file(path: Path, names: Sequence[str], features: Sequence[NDArray[np.floating]]) -> None:
    """Write the mean over the seconds of N videos (T, D) as `data` (N, D), and their names as `video_urls` (N,), S80.

    Raises:
        StorageError: a full disk, or a folder that cannot be written.
    """
    means = [rows.mean(axis=0, dtype=np.float64) for rows in features]
    with new_hdf5(path) as file:
        file["data"] = np.stack(means).astype(np.float32)
        file["video_urls"] = np.array([name.encode() for name in names], "S80")
