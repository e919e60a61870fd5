"""Read HDF5 files that may be damaged, or that another program has open."""

import contextlib
import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pipeline.base.files import errno_of, refuse_endless, storage_error, storage_errors
from pipeline.base.hdf5 import guard

# The errors that h5py raises on damaged bytes, found by flipping bits of small files. Catch them only around calls of
# h5py: an error in our own code must keep its traceback.
HDF5_ERRORS = (OSError, RuntimeError, LookupError, ValueError, TypeError)

# The machine raises these, and not the bytes of a file: a whole file is not taken for damaged.
_OF_THE_MACHINE = {
    getattr(errno, name)
    for name in ("EACCES", "EPERM", "EIO", "ENOMEM", "EMFILE", "ENFILE", "EAGAIN", "ENOLCK", "ESTALE", "ETIMEDOUT")
    if hasattr(errno, name)
}


@contextlib.contextmanager
def reading_hdf5(damage: Callable[[Exception], Exception], path: Path) -> Iterator[None]:
    """Convert what h5py raises on damaged bytes.

    Put only calls of h5py inside: an error in our own code must keep its traceback.

    Args:
        damage: makes the error to raise instead.
        path: the file.

    Raises:
        StorageError: the machine could not read the file, which may be whole.
    """
    try:
        yield
    except HDF5_ERRORS as error:
        if isinstance(error, OSError) and errno_of(error) in _OF_THE_MACHINE:
            raise storage_error(error, path) from error
        raise damage(error) from error


@contextlib.contextmanager
def opened_hdf5(path: Path, damage: Callable[[Exception], Exception]) -> Iterator[Any]:
    """Open an existing HDF5 file for reading, after another process could read it.

    No lock is taken: a file that another program has open can be read, and so can one on a file system without locks.

    Args:
        path: the file.
        damage: makes the error to raise if the file is not HDF5 or is damaged.

    Raises:
        StorageError: the machine could not read the file.
    """
    refuse_endless(path)
    with storage_errors(path):
        with path.open("rb"):
            pass  # HDF5 does not separate a missing permission from damage
        fault = guard.fault_in(path)
    if fault is not None:
        raise damage(OSError(fault))
    with reading_hdf5(damage, path):
        file = h5py.File(path, "r", locking=False)
    with file:
        yield file


def own_dataset(file: Any, name: str) -> Any | None:  # noqa: ANN401 - h5py has no types
    """Find a dataset whose values are in this file; call it inside `reading_hdf5`.

    HDF5 can make other files of the machine look like a dataset of this file.

    Args:
        file: an open file.
        name: a name in its root.

    Returns:
        The dataset; None if there is none of this name, or its values are elsewhere.
    """
    links, key = file.id.links, name.encode()  # file[name] would follow a link to another file
    if not links.exists(key) or links.get_info(key).type != h5py.h5l.TYPE_HARD:
        return None
    found = file[name]
    is_own = isinstance(found, h5py.Dataset) and found.external is None and not found.is_virtual
    return found if is_own else None


def plain_attributes(item: Any) -> dict[str, Any]:  # noqa: ANN401 - h5py has no types
    """Read the attributes of a file or dataset as Python values; call it inside `reading_hdf5`."""
    values = dict(item.attrs)
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in values.items()}
