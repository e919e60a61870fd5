"""extractors/files/safe_pickle.py: plain data is loaded, anything else is refused."""

import io
import os
import pickle
import re
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from extractors.files.safe_pickle import PickleRefusedError, load_npy, load_pickle

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def read(value: Any, protocol: int = pickle.DEFAULT_PROTOCOL) -> Any:
    """Pickle a value and load it with the restricted reader."""
    return load_pickle(io.BytesIO(pickle.dumps(value, protocol)))


class Hostile:
    """Runs a command when an ordinary unpickler reads it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(plain, st.sampled_from(PROTOCOLS))
def test_plain_data_comes_back_as_it_was(value: Any, protocol: int) -> None:
    """Numbers, strings and containers of them come back with every protocol."""
    assert read(value, protocol) == value


@given(
    npst.arrays(
        st.sampled_from(["?", "<i2", ">i4", "<u8", "<f2", ">f4", "<f8", "<c16", "<U3", "S4"]),
        npst.array_shapes(min_dims=0, min_side=0, max_side=4),
    ),
    st.sampled_from(PROTOCOLS),
    st.sampled_from("CF"),
)
def test_arrays_come_back_as_they_were(array: np.ndarray, protocol: int, order: Any) -> None:
    """Every protocol keeps shapes, orders, byte orders and types, and the result is writable."""
    back = read({"features": [np.asarray(array, order=order)]}, protocol)["features"][0]
    assert type(back) is np.ndarray
    assert back.shape == array.shape
    assert back.dtype == array.dtype.newbyteorder("=")
    assert back.flags.writeable
    np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_transposed_arrays_numbers_and_arrays_of_objects_come_back(protocol: int) -> None:
    """The values come back with every protocol, also from a memory layout that is neither C nor Fortran."""
    mixed = np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(1, 0, 2)
    np.testing.assert_array_equal(read(mixed, protocol), mixed)
    number = read(np.float32(1.5), protocol)
    assert (number, type(number)) == (1.5, np.float32)
    ragged = np.empty(2, object)
    ragged[:] = [np.ones((2, 3)), {"a": [1, "b"]}]
    back = read(ragged, protocol)
    np.testing.assert_array_equal(back[0], np.ones((2, 3)))
    assert back[1] == {"a": [1, "b"]}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_hostile_pickle_is_refused_by_name_and_not_run(tmp_path: Path, protocol: int) -> None:
    """The message names os.system, and it is never called."""
    with pytest.raises(PickleRefusedError, match=rf"would load {os.system.__module__}\.system"):
        read({"features": [np.ones(2), Hostile(tmp_path / "run")]}, protocol)
    assert not (tmp_path / "run").exists()


def test_a_line_break_in_a_name_leaves_the_message_one_line() -> None:
    """Names in damaged or hostile pickles hold anything."""
    with pytest.raises(PickleRefusedError, match=re.escape(r"would load numpy.\u2028nd\narray, which")):
        load_pickle(io.BytesIO(b"\x80\x04\x8c\x05numpy\x8c\x0b" + "\u2028nd\narray".encode() + b"\x93."))


@pytest.mark.parametrize("value", [print, Path("a"), np.dtype("M8[s]"), getattr, 1j])
def test_functions_classes_and_other_objects_are_refused_by_name(value: Any) -> None:
    """Only plain data is loaded."""
    with pytest.raises(PickleRefusedError, match=r"would load|type|unfinished"):
        read([value, np.zeros(1, value) if isinstance(value, np.dtype) else 0])


@pytest.mark.parametrize("value", [{1, 2}, bytearray(b"x"), np.zeros(2, [("a", "f4")]), np.zeros(1, "M8[s]")])
def test_other_types_are_refused(value: Any) -> None:
    """Sets, byte arrays, structured arrays and dates are not used by any format that is read here."""
    with pytest.raises(PickleRefusedError, match="it holds"):
        read(value, 5)


class ForgedDtype:
    """Pickles as a dtype of objects whose flags say that it contains no objects."""

    def __reduce__(self) -> Any:
        return np.dtype, ("O8", False, True), (3, "|", None, None, None, -1, -1, 0)


class ForgedArray:
    """Pickles as an array of such objects, with bytes of the file as their pointers."""

    def __reduce__(self) -> Any:
        rebuild = np.zeros(0).__reduce__()[0]
        return rebuild, (np.ndarray, (0,), b"b"), (1, (1,), ForgedDtype(), False, b"A" * 8)


def test_a_forged_dtype_cannot_turn_bytes_into_objects() -> None:
    """Numpy itself uses the bytes of such an array as pointers; here the array is refused."""
    with pytest.raises(PickleRefusedError, match="array without its numbers"):
        read({"features": [ForgedArray()]})


def test_attributes_that_a_pickle_sets_do_not_affect_the_next_one() -> None:
    """A BUILD instruction on a stand-in changes nothing for the next file."""
    poison = b"\x80\x02c_codecs\nencode\n(N}X\x0c\x00\x00\x00__defaults__(X\x04\x00\x00\x00utf8tstb."
    with pytest.raises(PickleRefusedError):
        load_pickle(io.BytesIO(poison))
    assert read(b"abc", 0) == b"abc"


def test_a_list_that_contains_itself_is_refused() -> None:
    """Endless structures raise the named error and do not crash."""
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(PickleRefusedError, match="contains itself"):
        read(endless)


def test_shared_members_are_loaded_once() -> None:
    """A small pickle whose lists contain each other twice stays small in memory."""
    value: list[Any] = []
    for _ in range(60):
        value = [value, value]
    assert len(read(value)) == 2


def is_plain(value: object) -> bool:
    """Check that a value holds arrays of numbers or strings, plain containers and plain values, and nothing else."""
    if isinstance(value, dict):
        return all(is_plain(member) for pair in value.items() for member in pair)
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    if isinstance(value, np.ndarray):
        return not value.dtype.hasobject or all(map(is_plain, value.ravel().tolist()))
    return value is None or isinstance(value, bool | int | float | str | bytes | np.generic)


@given(st.data())
def test_damaged_pickles_raise_only_the_named_error(data: st.DataObject) -> None:
    """Lost or changed bytes give other plain data or the named error, and nothing else."""
    protocol = data.draw(st.sampled_from(PROTOCOLS))
    content = bytearray(pickle.dumps({"a": [np.arange(4, dtype="f4"), "text", 1.5]}, protocol))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 127))
    cut = content[: data.draw(st.integers(0, len(content)))]
    for damaged in (content, cut):
        try:
            value = load_pickle(io.BytesIO(damaged))
        except PickleRefusedError:
            continue
        assert is_plain(value)


def test_npy_files_give_arrays_and_objects(tmp_path: Path) -> None:
    """Plain arrays come back as arrays, and a saved dict as a dict."""
    path = tmp_path / "a.npy"
    np.save(path, np.asfortranarray(np.arange(6.0).reshape(2, 3)))
    np.testing.assert_array_equal(load_npy(path), np.arange(6.0).reshape(2, 3))
    np.save(path, {"dog": np.ones(3, np.float32)}, allow_pickle=True)  # type: ignore[arg-type] # as the benchmark does
    back = load_npy(path)
    assert isinstance(back, dict)
    np.testing.assert_array_equal(back["dog"], np.ones(3))


@pytest.mark.parametrize("content", [b"", b"\x93NUM", b"\x93NUMPY\x01\x00\x05\x00{'a'}", b"\x93NUMPY\x09\x00", b"text"])
def test_damaged_npy_files_fail(tmp_path: Path, content: bytes) -> None:
    """A file without a valid header raises the named error."""
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    with pytest.raises(PickleRefusedError, match=r"not a \.npy file"):
        load_npy(path)


def memory_of(content: bytes) -> int:
    """Load a refused pickle and return the most memory that Python took for it, in bytes."""
    tracemalloc.start()
    try:
        with pytest.raises(PickleRefusedError):
            load_pickle(io.BytesIO(content))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x04N" + b"r" + (2**31 - 1).to_bytes(4, "little"),  # LONG_BINPUT: the C unpickler makes a table for it
        b"\x80\x04Np2147483647\n",
        b"\x80\x05\x96" + (2**40).to_bytes(8, "little") + b"ab.",  # BYTEARRAY8
        b"\x80\x04\x8e" + (2**40).to_bytes(8, "little") + b"ab",  # BINBYTES8
        b"\x80\x04\x95" + (2**40).to_bytes(8, "little") + b"N",  # FRAME
        b"\x80\x04\x8b" + (2**31 - 1).to_bytes(4, "little") + b"ab",  # LONG4
    ],
)
def test_a_number_in_an_instruction_takes_no_memory(content: bytes) -> None:
    """A few bytes that declare gigabytes are refused at once."""
    assert memory_of(content) < 2_000_000


def shared_tuples(levels: int) -> bytes:
    """Pickle a tuple that holds the same tuple ten times, and so on."""
    body = b")\x94"  # an empty tuple, memo 0
    for level in range(levels):
        body += b"(" + (b"h" + bytes([level])) * 10 + b"t\x94"
    return body


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x04}" + shared_tuples(30) + b"Ns.",  # a key
        b"\x80\x04}(" + shared_tuples(30) + b"Nu.",
        b"\x80\x04(" + shared_tuples(30) + b"Nd.",
        b"\x80\x04\x8f(" + shared_tuples(30) + b"\x90.",  # a member of a set
        b"\x80\x04(" + shared_tuples(30) + b"\x91.",  # of a frozenset
    ],
)
def test_a_key_whose_hash_would_never_end_is_refused(content: bytes) -> None:
    """A tuple is hashed anew wherever it is a member."""
    assert memory_of(content) < 2_000_000


def test_containers_nested_deeply_are_refused_without_the_stack_of_c() -> None:
    """A hundred thousand levels end in the named error."""
    content = b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b"."
    with pytest.raises(PickleRefusedError, match="nested more than"):
        load_pickle(io.BytesIO(content))


@pytest.mark.parametrize("header", [b"{'descr': '<f4', 'shape': (3", b"((((", b"{'descr': '<f4'", b"'" * 40])
def test_a_damaged_npy_header_is_refused(tmp_path: Path, header: bytes) -> None:
    """Numpy's parser raises several kinds of errors."""
    path = tmp_path / "a.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(PickleRefusedError, match="damaged or not a"):
        load_npy(path)


def test_an_npy_file_that_declares_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    """The numbers are compared with the size of the file before memory is taken."""
    path = tmp_path / "a.npy"
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(80))
    with pytest.raises(PickleRefusedError, match="damaged"):
        load_npy(path)
