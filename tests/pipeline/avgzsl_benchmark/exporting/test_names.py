"""pipeline/avgzsl_benchmark/exporting/names.py: names fit into files, lists and 80 bytes."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.avgzsl_benchmark.exporting.names import class_names, class_wording, video_names

texts = st.lists(st.text(min_size=1), unique=True, max_size=8)


@given(texts)
def test_names_of_videos_fit_into_80_bytes_and_are_unique(keys: list[str]) -> None:
    """Short plain names do not change."""
    named = video_names(keys)

    assert len(set(named.values())) == len(keys)
    for key, name in named.items():
        encoded = name.encode()
        assert 0 < len(encoded) <= 80
        assert "\0" not in name
        if len(key.encode("utf-8", "replace")) <= 80 and key.isprintable():
            assert name == key


@given(texts)
def test_names_of_classes_fit_into_lines_and_files_and_differ_by_more_than_case(names: list[str]) -> None:
    """The published code strips each line and compares in lower case."""
    named = class_names(names)

    assert len({name.casefold() for name in named.values()}) == len(names)
    for name in named.values():
        assert name.strip() == name != ""
        assert not set(name) & set('/\\:*?"<>|')
        assert len(name.splitlines()) == 1


@given(texts)
def test_wordings_of_classes_fit_into_a_list_and_are_unique(names: list[str]) -> None:
    """Each wording is one cell of a CSV file."""
    wordings = class_wording([(name,) for name in names])
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows([(wording,) for wording in wordings.values()])

    assert [row[0] for row in csv.reader(io.StringIO(buffer.getvalue(), newline=""))] == list(wordings.values())
    assert len(set(wordings.values())) == len(names)


@pytest.mark.parametrize("name", ["NA", "nan", "12", "1e3", "null", "True", ".hidden", "inf"])
def test_a_class_that_pandas_does_not_read_as_text_is_renamed(name: str) -> None:
    """Pandas takes some names for a number, a truth value or a missing value."""
    assert class_names([name])[name].startswith("class ")
    assert class_wording([(name,)])[(name,)].startswith("class ")


def test_a_long_name_keeps_its_end() -> None:
    """A hash separates names with the same end."""
    named = video_names(["a" * 90 + "/clip.mp4", "b" * 90 + "/clip.mp4"])
    first, second = named.values()
    assert first.endswith("/clip.mp4")
    assert second.endswith("/clip.mp4")
    assert first != second
