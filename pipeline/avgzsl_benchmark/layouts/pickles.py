"""Write pickles that the published code can read with Python 3.8 and numpy 1.20.

Numpy 2 writes module names into a pickle that numpy 1 does not have. Therefore arrays are written here as
`numpy.ndarray` with a state, which every version of numpy can read.
"""

import pickle
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy_format

from pipeline.base.files import replacing

_PROTOCOL = 4  # the newest protocol of Python 3.8 without out-of-band buffers
_STATE_VERSION = 1  # the version that ndarray.__setstate__ expects


class _PortablePickler(pickle.Pickler):
    def reducer_override(self, value: object) -> Any:  # noqa: ANN401 - pickle expects a tuple or NotImplemented
        if type(value) is not np.ndarray or value.dtype.hasobject:
            return NotImplemented
        state = (_STATE_VERSION, value.shape, value.dtype, False, value.tobytes())
        return np.ndarray, ((0,),), state


def write_pickle(path: Path, value: object) -> None:
    """Pickle lists, dicts, texts, numbers and arrays of numbers. The file is written completely or not at all.

    Raises:
        StorageError: a full disk, or a folder that cannot be written.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        _dump(file, value)


def write_pickled_npy(path: Path, value: object) -> None:
    """Write an object that is not an array, such as a dict of arrays, in the form of `numpy.save`.

    Raises:
        StorageError: a full disk, or a folder that cannot be written.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        header = {"descr": "|O", "fortran_order": False, "shape": ()}
        npy_format.write_array_header_1_0(file, header)
        # Numpy pickles an array without axes, and a reader takes its one object with `.item()`.
        _dump(file, _WithoutAxes(value))


class _WithoutAxes:
    """An array of objects without axes that contains one object."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __reduce__(self) -> Any:  # noqa: ANN401 - the type that pickle expects
        state = (_STATE_VERSION, (), np.dtype(object), False, [self._value])
        return np.ndarray, ((0,),), state


def _dump(file: BinaryIO, value: object) -> None:
    _PortablePickler(file, _PROTOCOL).dump(value)
