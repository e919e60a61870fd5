"""pipeline/avgzsl_benchmark/layouts/pickles.py: pickles without names that only new versions of numpy have."""

import io
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from extractors.files.safe_pickle import load_npy, load_pickle
from pipeline.avgzsl_benchmark.layouts.pickles import write_pickle, write_pickled_npy


class _Listing(pickle.Unpickler):
    """Loads a pickle and records the names that it imports."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content))
        self.names: set[str] = set()

    def find_class(self, module: str, name: str) -> object:
        self.names.add(f"{module}.{name}")
        return super().find_class(module, name)


def names_in(content: bytes) -> set[str]:
    """Collect the names that a pickle imports, with their modules."""
    listing = _Listing(content)
    listing.load()
    return listing.names


arrays = npst.arrays(
    st.sampled_from(["<f2", "<f4", ">f8", "<i4"]), npst.array_shapes(max_dims=3, min_side=0, max_side=4)
)


@given(st.lists(arrays, min_size=1, max_size=3), st.text())
def test_arrays_are_restored_by_any_reader(tmp_path_factory: pytest.TempPathFactory, rows: list, name: str) -> None:
    """Python's unpickler and the restricted one read the same arrays, for any order in memory."""
    path = tmp_path_factory.mktemp("pickle") / "a.pkl"
    write_pickle(path, {"features": [np.asfortranarray(row) for row in rows], "video_names": [name]})
    content = path.read_bytes()

    for read in (pickle.load, load_pickle):
        back = read(io.BytesIO(content))
        assert back["video_names"] == [name]
        for expected, found in zip(rows, back["features"], strict=True):
            assert found.dtype.newbyteorder("=") == expected.dtype.newbyteorder("=")
            np.testing.assert_array_equal(found, expected)


def test_only_names_that_every_numpy_has_are_written(tmp_path: Path) -> None:
    """The files do not use numpy.core or numpy._core, and Python 3.8 can read their protocol."""
    write_pickle(tmp_path / "a.pkl", {"features": [np.ones((2, 3), np.float32)]})
    write_pickled_npy(tmp_path / "a.npy", {"dog": np.ones(3, np.float32)})

    npy = (tmp_path / "a.npy").read_bytes()
    assert names_in((tmp_path / "a.pkl").read_bytes()) == {"numpy.ndarray", "numpy.dtype"}
    assert names_in(npy[npy.index(b"\n") + 1 :]) == {"numpy.ndarray", "numpy.dtype"}


def test_a_dict_in_an_npy_file_is_read_as_numpy_saves_it(tmp_path: Path) -> None:
    """`numpy.load(...).item()`, which the AVCA code calls, returns the dict."""
    write_pickled_npy(tmp_path / "a.npy", {"a dog": np.arange(3, dtype=np.float32), "ö": np.ones(1, np.float32)})

    for back in (np.load(tmp_path / "a.npy", allow_pickle=True).item(), load_npy(tmp_path / "a.npy")):
        assert list(back) == ["a dog", "ö"]
        np.testing.assert_array_equal(back["a dog"], [0, 1, 2])
