"""Pickles from strangers: plain data and numpy arrays come out, anything else is refused by name and never loaded.

Nothing a pickle names is ever imported. The few names that numpy's own pickles use are answered by the stand-ins
below, which only note what was stored; arrays are built afterwards, from their bytes, with checked types. Numpy's own
`__setstate__` stays out of it: a forged dtype can make it take raw bytes for object pointers.
"""

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from extractors.errors import ExtractorError

NPY_MAGIC = b"\x93NUMPY"
_DEEPEST = 100  # containers within containers
_KINDS = "biufcSU"  # booleans, numbers and texts: types whose values are nothing but their bytes
_DAMAGED = (
    pickle.UnpicklingError,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
)


class PickleRefusedError(ExtractorError):
    """A pickle is damaged, or holds more than plain data; the message says what, without the file's name."""


class _StoredDtype:
    """What a pickle says of a dtype."""

    def __init__(self, code: str = "", *_flags: object) -> None:
        self._code, self._byte_order = code, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._byte_order = state[1]

    def built(self) -> np.dtype[Any]:
        code, order = self._code, self._byte_order
        if not (isinstance(code, str) and code[:1] in {*_KINDS, "O"} and code[1:].isdecimal()):
            raise PickleRefusedError(f"it holds an array of the type {code!r}: only numbers and texts are read")
        if order not in {"<", ">", "|", "="}:
            raise PickleRefusedError(f"it holds an array of the byte order {order!r}: the file is damaged")
        return np.dtype(code if order == "|" else order + code)


class _StoredArray:
    """What a pickle says of an array or a numpy number."""

    def __init__(
        self, data: object = b"", dtype: object = None, shape: object = (), order: object = "C", axes: object = None
    ) -> None:
        self._data, self._dtype, self._shape, self._order, self._axes = data, dtype, shape, order, axes

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _version, self._shape, self._dtype, is_fortran, self._data = state
        self._order = "F" if is_fortran else "C"

    def built(self, contents: Callable[[object], object]) -> NDArray[Any]:
        """The array; `contents` makes plain the members of an array of objects."""
        dtype = self._dtype.built() if isinstance(self._dtype, _StoredDtype) else None
        if dtype is None:
            raise PickleRefusedError("it holds an array without a type: the file is damaged")
        flat: NDArray[Any]
        if dtype.hasobject and isinstance(self._data, list):
            flat = np.empty(len(self._data), dtype)
            for place, member in enumerate(self._data):
                flat[place] = contents(member)
        elif not dtype.hasobject and isinstance(self._data, bytes | bytearray):
            flat = np.frombuffer(self._data, dtype).astype(dtype.newbyteorder("="))  # a copy: writable
        else:
            raise PickleRefusedError("it holds an array without its numbers: the file is damaged")
        if self._axes is not None:  # protocol 5, neither C nor Fortran order
            return flat.reshape(self._shape).transpose(self._axes)  # type: ignore[call-overload, no-any-return] # numpy checks them
        return flat.reshape(self._shape, order=self._order)  # type: ignore[call-overload, no-any-return] # numpy checks them


class _StoredScalar(_StoredArray):
    """A single numpy number."""

    def __init__(self, dtype: object = None, data: object = b"") -> None:
        super().__init__(data, dtype, ())


def _latin1_bytes(text: str, encoding: str) -> bytes:
    """How protocols before 3 store bytes."""
    if encoding != "latin1":
        raise PickleRefusedError(f"it stores bytes as {encoding!r} text: only latin1 is read")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """How protocols before 3 store bytes where there are none."""
    return b""


_STAND_INS: Mapping[tuple[str, str], Callable[..., object]] = {
    ("numpy", "ndarray"): _StoredArray,  # only named, as what `_reconstruct` shall make
    ("numpy", "dtype"): _StoredDtype,
    ("_codecs", "encode"): _latin1_bytes,
    ("__builtin__", "bytes"): _no_bytes,
    **{
        (core + module, name): stand_in
        for core in ("numpy.core.", "numpy._core.")  # numpy 1 and 2
        for module, name, stand_in in (
            ("multiarray", "_reconstruct", _StoredArray),
            ("multiarray", "scalar", _StoredScalar),
            ("numeric", "_frombuffer", _StoredArray),
        )
    },
}


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Callable[..., object]:
        stand_in = _STAND_INS.get((module, name))
        if stand_in is None:
            raise PickleRefusedError(
                f"it wants to load {module}.{name}, which is more than data and could run any program: "
                "nothing was loaded; use a file that holds plain arrays"
            )

        def make(*arguments: object) -> object:
            return stand_in(*arguments)

        return make  # a new function each time: a pickle may set attributes of what it is given


def load_pickle(stream: BinaryIO) -> object:
    """What a pickle holds: None, bool, int, float, str, bytes, list, tuple, dict, numpy arrays and numbers.

    Raises:
        PickleRefusedError: it holds or wants to load anything else (named), or is damaged.
    """
    try:
        return _plain(_PlainUnpickler(stream).load(), {}, 0)
    except _DAMAGED as error:
        raise PickleRefusedError("it is damaged or no pickle: make or download it again") from error


def load_npy(path: Path) -> object:
    """The content of a .npy file: an array, or the object that `numpy.save` pickled (a dict, for example).

    Raises:
        PickleRefusedError: as `load_pickle`, or not a .npy file.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        try:
            version = npy_format.read_magic(file)
            read_header = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}[version]
            shape, _fortran, dtype = read_header(file)
            if not dtype.hasobject:
                file.seek(0)
                return npy_format.read_array(file, allow_pickle=False)
        except _DAMAGED as error:
            raise PickleRefusedError("it is damaged or no .npy file: make or download it again") from error
        stored = load_pickle(file)
    # numpy pickles an array of objects; one without axes holds the saved object itself.
    return stored.item() if shape == () and isinstance(stored, np.ndarray) and stored.ndim == 0 else stored


def _plain(value: object, done: dict[int, object], depth: int) -> object:
    """`value` with its stand-ins built; whatever is not plain data is refused."""
    if value is None or type(value) in {bool, int, float, str, bytes}:
        return value
    if id(value) in done:
        return done[id(value)]
    if depth > _DEEPEST:
        raise PickleRefusedError(f"it holds containers more than {_DEEPEST} deep, or one that holds itself")

    def inner(member: object) -> object:
        return _plain(member, done, depth + 1)

    result: object
    if isinstance(value, _StoredArray):
        array = value.built(inner)
        result = array[()] if isinstance(value, _StoredScalar) else array
    elif type(value) is list:
        result = [inner(member) for member in value]
    elif type(value) is tuple:
        result = tuple(inner(member) for member in value)
    elif type(value) is dict:
        result = {inner(key): inner(member) for key, member in value.items()}
    else:
        kind = "an unfinished numpy value" if type(value).__module__ == __name__ else f"a {type(value).__name__}"
        raise PickleRefusedError(f"it holds {kind}: only arrays, lists, dicts, texts, bytes and numbers are read")
    done[id(value)] = result
    return result
