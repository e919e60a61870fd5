"""New HDF5 files that appear whole or not at all, on a full disk too."""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py

from pipeline.files import replacing


class _PatientFile(io.FileIO):
    """A file that keeps its first failed write to itself.

    The HDF5 library crashes the whole process when the disk is full while it closes a file. So it is told that all
    went well, and whoever opened the file asks for `failure` afterwards.
    """

    failure: OSError | None = None

    def write(self, data: Any, /) -> int:  # noqa: ANN401 - anything with bytes in it
        """Write all of `data`, in several steps where the system takes only a part."""
        rest = memoryview(data).cast("B")
        count = len(rest)
        try:
            while rest:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.failure = self.failure or error
        return count

    def truncate(self, size: int | None = None, /) -> int:
        """Set the file's length."""
        try:
            return super().truncate(size)
        except OSError as error:
            self.failure = self.failure or error
            return size or 0


@contextlib.contextmanager
def new_hdf5(path: Path) -> Iterator[Any]:
    """An h5py.File to fill; it takes the place of `path` only when everything is in it.

    Raises:
        StorageError: the disk is full or the folder cannot be written; what was at `path` is left as it was.
    """
    with replacing(path) as temporary, _PatientFile(temporary, "w+") as raw:
        try:
            with h5py.File(raw, "w") as file:
                yield file
        finally:
            if raw.failure:  # whatever HDF5 says about a file that lacks a part comes from this
                raise raw.failure
