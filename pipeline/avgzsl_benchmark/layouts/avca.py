"""AVCA's averaged features: an HDF5 file a class, a vector a video (benchmark.md, Feature layouts)."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from pipeline.avgzsl_benchmark.layouts.class_file import ClassFile, checked_class_file
from pipeline.base.errors import UsageError
from pipeline.base.files import storage_errors
from pipeline.base.hdf5 import HDF5_ERRORS, new_hdf5

ENDING = ".h5"

METHOD = "main_features"


def read_class_file(path: Path) -> ClassFile:
    """The videos in a file with the datasets `data` (N, D) and `video_urls` (N,); each has a single row (1, D).

    Raises:
        UsageError: it is no HDF5 file, or holds something else.
        StorageError: it cannot be read.
    """
    with storage_errors(path), path.open("rb"):
        pass  # HDF5 does not tell what may not be read from what is damaged
    with _foreign_hdf5(path):
        file = h5py.File(path, "r")
    with file:
        data, urls = _own_dataset(path, file, "data"), _own_dataset(path, file, "video_urls")
        with _foreign_hdf5(path):
            shapes = data.shape, urls.shape
        _check_shapes(path, *shapes)
        with _foreign_hdf5(path):
            features, names = data[...], urls[...].tolist()
    if not names:
        return ClassFile(path, (), ())
    return checked_class_file(path, names, [features[place : place + 1] for place in range(len(features))])


@contextlib.contextmanager
def _foreign_hdf5(path: Path) -> Iterator[None]:
    """Convert what h5py raises on a file of another kind. Put nothing but calls of h5py inside."""
    try:
        yield
    except MemoryError as error:
        raise UsageError(f"{path} declares more numbers than fit into memory: make or download it again") from error
    except HDF5_ERRORS as error:
        raise _wrong_file(path) from error


def _wrong_file(path: Path) -> UsageError:
    return UsageError(
        f"{path} is not a file of averaged features: expected HDF5 with the datasets data (N, D) and video_urls (N,)"
    )


def _own_dataset(path: Path, file: h5py.File, name: str) -> h5py.Dataset:
    """Find a dataset whose numbers are in this file: HDF5 can make other files of the machine look like part of it."""
    with _foreign_hdf5(path):
        links, key = file.id.links, name.encode()  # looking a name up the usual way would follow its link
        is_hard = links.exists(key) and links.get_info(key).type == h5py.h5l.TYPE_HARD
        exists = links.exists(key)
        found = file[name] if is_hard else None
        is_own = isinstance(found, h5py.Dataset) and found.external is None and not found.is_virtual
    if not exists:
        raise _wrong_file(path)
    if not is_own:
        raise UsageError(f"{path}: {name} is not a dataset of its own, which another file may hold: nothing was read")
    return found


def _check_shapes(path: Path, data: tuple[int, ...], urls: tuple[int, ...]) -> None:
    """What a file declares is compared before any of it is read: it need not have it."""
    empty = urls == (0,) and 0 in data
    if not empty and (len(data) != 2 or len(urls) != 1):
        raise UsageError(f"{path}: data is {data}, must be (N, D), a vector for each of the video_urls (N,)")
    if not empty and data[0] != urls[0]:
        raise UsageError(f"{path} names {urls[0]} videos and has features of {data[0]}: make or download it again")


def write_class_file(path: Path, names: Sequence[str], features: Sequence[NDArray[np.floating]]) -> None:
    """Write the mean over the seconds of N videos (T, D) as `data` (N, D), and `video_urls` (N,) of 80 bytes.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    means = [rows.mean(axis=0, dtype=np.float64) for rows in features]
    with new_hdf5(path) as file:
        file["data"] = np.stack(means).astype(np.float32)
        file["video_urls"] = np.array([name.encode() for name in names], "S80")
