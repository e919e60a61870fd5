"""Load plain data and numpy arrays from foreign pickles; anything else is refused by name and never loaded.

No name in a pickle is ever imported. The few names that numpy's own pickles use are replaced by the stand-ins below,
which only record what was stored. Arrays are built afterwards, from their bytes, with checked types. Numpy's own
`__setstate__` is not used: a forged dtype can make it interpret raw bytes as object pointers.

The instructions are executed by Python's own slower unpickler. The one in C takes as much memory as the number in an
instruction says, and it hashes keys that a few bytes can make to contain each other billions of times.
"""

import io
import math
import os
import pickle
import struct
import sys
import tokenize
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from extractors.errors import ExtractorError

NPY_MAGIC = b"\x93NUMPY"
_MAX_DEPTH = 100  # of nested containers
_KINDS = "biufcSU"  # booleans, numbers and strings: types whose values are only their bytes
_DAMAGED = (
    pickle.UnpicklingError,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RecursionError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    tokenize.TokenError,  # numpy reads a header with Python's parser
)
_KEYS = (str, bytes, int, float, type(None))  # whose hash takes no walk
# Sets hash their members, and the others name objects outside the file. No file that is read here has any of them.
_REFUSED = (
    *(pickle.EMPTY_SET, pickle.ADDITEMS, pickle.FROZENSET, pickle.NEXT_BUFFER, pickle.READONLY_BUFFER),
    *(pickle.PERSID, pickle.BINPERSID, pickle.EXT1, pickle.EXT2, pickle.EXT4),
)


class PickleRefusedError(ExtractorError):
    """Raised if a pickle is damaged or holds more than plain data; the message says what, without the file's name."""


class _StoredDtype:
    """A dtype as a pickle describes it."""

    def __init__(self, code: str = "", *_flags: object) -> None:
        self._code, self._byte_order = code, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._byte_order = state[1]

    def built(self) -> np.dtype[Any]:
        code, order = self._code, self._byte_order
        if not (isinstance(code, str) and code[:1] in {*_KINDS, "O"} and code[1:].isdecimal()):
            raise PickleRefusedError(f"it holds an array of the type {code!r}: only numbers and strings are read")
        if order not in {"<", ">", "|", "="}:
            raise PickleRefusedError(f"it holds an array of the byte order {order!r}: the file is damaged")
        return np.dtype(code if order == "|" else order + code)


class _StoredArray:
    """An array or a numpy number as a pickle describes it."""

    def __init__(
        self, data: object = b"", dtype: object = None, shape: object = (), order: object = "C", axes: object = None
    ) -> None:
        self._data, self._dtype, self._shape, self._order, self._axes = data, dtype, shape, order, axes

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _version, self._shape, self._dtype, is_fortran, self._data = state
        self._order = "F" if is_fortran else "C"

    def built(self, contents: Callable[[object], object]) -> NDArray[Any]:
        """Build the array; `contents` converts each member of an array of objects to plain data."""
        dtype = self._dtype.built() if isinstance(self._dtype, _StoredDtype) else None
        if dtype is None:
            raise PickleRefusedError("it holds an array without a type: the file is damaged")
        flat: NDArray[Any]
        if dtype.hasobject and isinstance(self._data, list):
            flat = np.empty(len(self._data), dtype)
            for index, member in enumerate(self._data):
                flat[index] = contents(member)
        elif not dtype.hasobject and isinstance(self._data, bytes | bytearray):
            flat = np.frombuffer(self._data, dtype).astype(dtype.newbyteorder("="))  # a writable copy
        else:
            raise PickleRefusedError("it holds an array without its numbers: the file is damaged")
        if self._axes is not None:  # protocol 5, order neither C nor Fortran
            return flat.reshape(self._shape).transpose(self._axes)  # type: ignore[call-overload, no-any-return] # numpy checks them
        return flat.reshape(self._shape, order=self._order)  # type: ignore[call-overload, no-any-return] # numpy checks them


class _StoredScalar(_StoredArray):
    """A single numpy number as a pickle describes it."""

    def __init__(self, dtype: object = None, data: object = b"") -> None:
        super().__init__(data, dtype, ())


def _latin1_bytes(text: str, encoding: str) -> bytes:
    """Decode bytes as protocols before 3 store them."""
    if encoding != "latin1":
        raise PickleRefusedError(f"it stores bytes as {encoding!r} text: only latin1 is read")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """Return empty bytes, which protocols before 3 store in this way."""
    return b""


_STAND_INS: Mapping[tuple[str, str], Callable[..., object]] = {
    ("numpy", "ndarray"): _StoredArray,  # only named, as the type that `_reconstruct` makes
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


class _PlainUnpickler(pickle._Unpickler):  # noqa: SLF001 - the documented base class is the one in C
    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(pickle._Unpickler.dispatch)  # noqa: SLF001

    # What the base class has while it loads.
    stack: list[Any]
    append: Callable[[object], None]
    read: Callable[[int], bytes]
    pop_mark: Callable[[], list[Any]]

    def find_class(self, module: str, name: str) -> Callable[..., object]:
        stand_in = _STAND_INS.get((module, name))
        if stand_in is None:
            what = f"{module}.{name}".encode("unicode_escape").decode()
            raise PickleRefusedError(
                f"it would load {what}, which is more than data and could run any program: "
                "nothing was loaded; use a file that holds plain arrays"
            )

        def make(*arguments: object) -> object:
            return stand_in(*arguments)

        return make  # a new function each time, because a pickle may set attributes of it

    def _refuse(self) -> None:
        raise PickleRefusedError(
            "it holds an object that is not plain data: only arrays, lists, dicts, strings, bytes and numbers are read"
        )

    def _load_bytearray8(self) -> None:
        length = int.from_bytes(self.read(8), "little")
        content = self.read(min(length, sys.maxsize))  # at most what the file has
        if len(content) != length:
            raise EOFError
        self.append(bytearray(content))

    def _load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.stack[-1][_checked_key(key)] = value

    def _load_setitems(self) -> None:
        items = self.pop_mark()
        for key, value in zip(items[::2], items[1::2], strict=True):
            self.stack[-1][_checked_key(key)] = value

    def _load_dict(self) -> None:
        items = self.pop_mark()
        self.append({_checked_key(key): value for key, value in zip(items[::2], items[1::2], strict=True)})

    for _opcode in _REFUSED:
        dispatch[_opcode[0]] = _refuse
    dispatch[pickle.BYTEARRAY8[0]] = _load_bytearray8
    dispatch[pickle.SETITEM[0]] = _load_setitem
    dispatch[pickle.SETITEMS[0]] = _load_setitems
    dispatch[pickle.DICT[0]] = _load_dict


def _checked_key(key: object) -> object:
    if not isinstance(key, _KEYS):
        raise PickleRefusedError(
            f"it holds a dict with a {type(key).__name__} as a key: only strings and numbers are read"
        )
    return key


def load_pickle(stream: BinaryIO) -> object:
    """Load a pickle that holds None, bool, int, float, str, bytes, list, tuple, dict, numpy arrays or numbers.

    Raises:
        PickleRefusedError: a pickle that is damaged, or that contains or imports anything else (which is named).
    """
    try:
        # From memory: a stream would reserve as much as an instruction declares, however short the file is.
        return _plain(_PlainUnpickler(io.BytesIO(stream.read())).load(), {}, 0)
    except _DAMAGED as error:
        raise PickleRefusedError("it is damaged or not a pickle: make or download it again") from error


def load_npy(path: Path) -> object:
    """Load a .npy file: an array, or the object that `numpy.save` pickled (a dict, for example).

    Raises:
        PickleRefusedError: not a .npy file, or a pickle that `load_pickle` refuses.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        try:
            version = npy_format.read_magic(file)
            read_header = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}[version]
            shape, _fortran, dtype = read_header(file)
            if not dtype.hasobject:
                left_bytes = os.fstat(file.fileno()).st_size - file.tell()
                if math.prod(shape) * dtype.itemsize > left_bytes:
                    raise ValueError("the header declares more numbers than the file holds")
                file.seek(0)
                return npy_format.read_array(file, allow_pickle=False)
        except _DAMAGED as error:
            raise PickleRefusedError("it is damaged or not a .npy file: make or download it again") from error
        stored = load_pickle(file)
    # numpy pickles an array of objects; an array without axes contains the saved object itself.
    return stored.item() if shape == () and isinstance(stored, np.ndarray) and stored.ndim == 0 else stored


def _plain(value: object, done: dict[int, object], depth: int) -> object:
    """Return `value` with arrays built from its stand-ins; refuse anything that is not plain data."""
    if value is None or type(value) in {bool, int, float, str, bytes}:
        return value
    if id(value) in done:
        return done[id(value)]
    if depth > _MAX_DEPTH:
        raise PickleRefusedError(f"it holds containers nested more than {_MAX_DEPTH} deep, or one that contains itself")

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
        raise PickleRefusedError(f"it holds {kind}: only arrays, lists, dicts, strings, bytes and numbers are read")
    done[id(value)] = result
    return result
