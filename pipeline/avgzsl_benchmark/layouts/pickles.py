"""Pickles that the benchmark's public code reads: its Python is 3.8, its numpy 1.20.

Numpy 2 writes names of modules into a pickle that numpy 1 does not have. So arrays are written here as `numpy.ndarray`
with a state, which every version understands.
"""

import pickle
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy_format

from pipeline.base.files import replacing

_PROTOCOL = 4  # the newest of Python 3.8's that needs no out-of-band buffers
_STATE_VERSION = 1  # of ndarray.__setstate__


class _PortablePickler(pickle.Pickler):
    def reducer_override(self, value: object) -> Any:  # noqa: ANN401 - what pickle asks for: a tuple, or NotImplemented
        if type(value) is not np.ndarray or value.dtype.hasobject:
            return NotImplemented
        state = (_STATE_VERSION, value.shape, value.dtype, False, value.tobytes())
        return np.ndarray, ((0,),), state


def write_pickle(path: Path, value: object) -> None:
    """Pickle lists, dicts, texts, numbers and arrays of numbers; the file appears whole or not at all.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        _dump(file, value)


def write_pickled_npy(path: Path, value: object) -> None:
    """As `numpy.save` writes an object that is no array, such as a dict of arrays.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        header = {"descr": "|O", "fortran_order": False, "shape": ()}
        npy_format.write_array_header_1_0(file, header)
        # What numpy pickles is an array without axes, which is asked for its one object.
        _dump(file, _WithoutAxes(value))


class _WithoutAxes:
    """An array of objects without axes that holds one object."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __reduce__(self) -> Any:  # noqa: ANN401 - what pickle asks for
        state = (_STATE_VERSION, (), np.dtype(object), False, [self._value])
        return np.ndarray, ((0,),), state


def _dump(file: BinaryIO, value: object) -> None:
    _PortablePickler(file, _PROTOCOL).dump(value)
