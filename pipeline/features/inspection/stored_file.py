"""The HDF5 file that an inspection reads: opened, and read a block at a time."""

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from pipeline.base.errors import StorageError, UsageError
from pipeline.base.hdf5.reading import opened_hdf5, own_dataset, reading_hdf5
from pipeline.base.wording import not_a_file
from pipeline.features.attributes import READABLE_SCHEMAS, is_schema, read_attributes, scalar_attributes
from pipeline.features.index import (
    FAILURE_DTYPE,
    INDEX_DTYPE,
    MODALITIES,
    are_columns_plain,
    is_table_of_features,
)
from pipeline.features.store import remedy

_BLOCK_VIDEOS = 4096


class StoredFile:
    """An open features.h5 or part file.

    Attributes:
        path: the file.
        schema: the version of its layout.
        attributes: the root attributes as plain values.
        changed_attributes: which of them is not what was written; empty if all are.
        features: the dataset (R, D) of each modality.
        index: the dataset `/index`, with N rows.
        failures: how many rows `/failures` has; 0 in a merged file.

    Raises:
        StorageError: the file is too damaged to say anything about it.
    """

    def __init__(self, file: Any, path: Path, schema: int) -> None:  # noqa: ANN401 - h5py has no types
        self._file = file
        self.path = path
        self.schema = schema
        self.changed_attributes = ""
        with _reading(path):
            try:
                self.attributes = read_attributes(file)
            except ValueError as error:
                self.attributes, self.changed_attributes = scalar_attributes(file), str(error)
            failures = own_dataset(file, "failures")
            self.failures = 0 if failures is None else len(failures)
        self.features = {modality: self._dataset(modality) for modality in MODALITIES}
        for modality, dataset in self.features.items():
            if not is_table_of_features(dataset):
                raise _damage(path, f"/{modality} is not a table of numbers")
        self.index = self._dataset("index")
        dtype = self.index.dtype
        columns = dtype.names or ()
        missing = [name for name in INDEX_DTYPE.names or () if name not in columns]
        if missing:
            raise _damage(path, f"the index lacks {', '.join(missing)}")
        if not are_columns_plain(dtype, INDEX_DTYPE):
            raise _damage(path, "a column of the index has another type")

    def _dataset(self, name: str) -> Any:  # noqa: ANN401 - h5py has no types
        with _reading(self.path):
            dataset = own_dataset(self._file, name)
        if dataset is None:
            raise _damage(self.path, f"/{name} is not a dataset of this file")
        return dataset

    def index_blocks(self) -> Iterator[NDArray[np.void]]:
        """Read the index a block at a time."""
        for start in range(0, len(self.index), _BLOCK_VIDEOS):
            with _reading(self.path):
                block = self.index[start : start + _BLOCK_VIDEOS]
            yield block

    def index_row(self, row: int) -> np.void:
        """Read one row of the index."""
        with _reading(self.path):
            values: np.void = self.index[row]
        return values

    def failures_table(self) -> NDArray[np.void]:
        """Read `/failures`, which is small."""
        with _reading(self.path):
            dtype, table = self._file["failures"].dtype, self._file["failures"][...]
        if not are_columns_plain(dtype, FAILURE_DTYPE):
            raise _damage(self.path, "a column of the failures has another type")
        failures: NDArray[np.void] = table
        return failures

    def written_checksum(self, table: str) -> int | None:
        """Read the checksum that was written with a table; None if there is none."""
        with _reading(self.path):
            checksum = self._file[table].attrs.get("checksum")
        if checksum is not None and not isinstance(checksum, int | np.integer):
            raise _damage(self.path, f"the checksum of /{table} is not a whole number")
        return None if checksum is None else int(checksum)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[StoredFile]:
    """Open a store of this schema.

    Raises:
        UsageError: there is no such file.
        StorageError: the file is not a feature file, or too damaged to say anything about it.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder: give the features.h5 in it")
    if not path.is_file():
        raise UsageError(not_a_file(path))
    with opened_hdf5(path, lambda error: _not_opened(path, error)) as file:
        with _reading(path, "HDF5 file"):
            schema = file.attrs.get("schema")
        if not is_schema(schema):
            what = (
                "HDF5, but not written by avzsl extract"
                if schema is None
                else f"of schema {schema}, not {READABLE_SCHEMAS[-1]}"
            )
            raise StorageError(f"{path} is not a feature file that this avzsl reads: it is {what}")
        yield StoredFile(file, path, int(schema))


def _reading(path: Path, what: str = "feature file") -> AbstractContextManager[None]:
    return reading_hdf5(lambda error: _damage(path, _words(error), what), path)


def _not_opened(path: Path, error: Exception) -> StorageError:
    if h5py.is_hdf5(path):
        return _damage(path, _words(error), "HDF5 file")
    if path.name == "features.h5" or path.name.startswith("part-"):  # avzsl's own names
        return _damage(path, "it is no longer an HDF5 file")
    return StorageError(f"{path} is not a feature file: it is not an HDF5 file. Give a features.h5 of avzsl extract")


def _damage(path: Path, why: str, what: str = "feature file") -> StorageError:
    return StorageError(f"{path} is a damaged {what} ({why}): {remedy(path)}")


def _words(error: Exception) -> str:
    """Return the first line of an error, without quotes around a key."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return text.splitlines()[0] if text else type(error).__name__
