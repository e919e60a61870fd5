"""pipeline/avgzsl_benchmark/layouts/notes.py: notes are read back as written; every damaged entry is one line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.avgzsl_benchmark.layouts.notes import NOTES_FILE, ExportNotes, read_notes, write_notes
from pipeline.base.errors import UsageError

NOTES = ExportNotes(
    layout="tcaf",
    dtype="float32",
    attributes={"extractor": "selavi", "picture_mean": 0.45, "seed": 0},
    videos={"a": "dog/a ü.mp4"},
    classes={"Dog": "dog"},
    phrases={"dog": ("dog", "a dog")},
    phrase_vectors={"a dog": np.float32([1.5, -2.5])},
    absent={"visual": ("a",), "audio": ()},
    segments={"a": (0.5, None)},
    duration_seconds={"a": 2.5},
    warnings={"a": "late"},
)


def test_notes_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    """Every entry keeps its value and type."""
    write_notes(NOTES, tmp_path)
    found = read_notes(tmp_path)
    assert found is not None
    np.testing.assert_array_equal(found.phrase_vectors["a dog"], NOTES.phrase_vectors["a dog"])
    assert vars(found) | {"phrase_vectors": None} == vars(NOTES) | {"phrase_vectors": None}


@pytest.mark.parametrize(
    "value", [None, 3, True, "text", ["a"], {"a": None}, {"\0": "a"}, {"a": "\0"}, {"a": "\ud800"}]
)
@pytest.mark.parametrize(
    "name",
    [
        "layout",
        "dtype",
        "attributes",
        "videos",
        "classes",
        "phrases",
        "phrase_vectors",
        "absent",
        "segments",
        "warnings",
    ],
)
def test_an_entry_of_another_type_is_refused_in_one_line(tmp_path: Path, name: str, value: Any) -> None:
    """Also half of a character and a zero byte, which no file can store; without a checksum, as strangers write."""
    write_notes(NOTES, tmp_path)
    document = json.loads((tmp_path / NOTES_FILE).read_text())
    del document["checksum"]
    (tmp_path / NOTES_FILE).write_text(json.dumps({**document, name: value}))
    with pytest.raises(UsageError, match=rf"{NOTES_FILE} is damaged \({name}") as caught:
        read_notes(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1.0])
def test_a_duration_that_there_is_not_is_refused(tmp_path: Path, seconds: float) -> None:
    """JSON of other programs may have NaN."""
    write_notes(NOTES, tmp_path)
    document = json.loads((tmp_path / NOTES_FILE).read_text())
    del document["checksum"]
    (tmp_path / NOTES_FILE).write_text(json.dumps({**document, "duration_seconds": {"a": seconds}}))
    with pytest.raises(UsageError, match=r"duration_seconds\.a"):
        read_notes(tmp_path)
