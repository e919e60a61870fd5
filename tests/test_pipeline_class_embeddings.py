"""pipeline/class_embeddings.py: vectors of classes, kept in the workspace, and the public code's wrong order."""

import csv
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.class_embeddings import embed_classes, encode_phrases, in_legacy_order, legacy_phrases
from pipeline.errors import UsageError
from pipeline.workspace import Workspace

PHRASES = {"Alto": "tenor voice", "Bass": "double bass", "Cello": "cello"}


@pytest.fixture
def vectors_file(tmp_path: Path) -> str:
    """Unit vectors along the axes: of every phrase, and of one that no class has."""
    names = [*PHRASES.values(), "a drum"]
    path = tmp_path / "vectors.npy"
    np.save(path, dict(zip(names, np.eye(4, dtype=np.float32), strict=True)))  # type: ignore[arg-type]  # a dict, as the benchmark's
    return str(path)


def test_embeddings_follow_the_classes_and_are_stored_once(tmp_path: Path, vectors_file: str) -> None:
    """The second call reads the file and gives the same."""
    workspace = Workspace(tmp_path / "workspace")

    first = embed_classes(workspace, PHRASES, vectors_file)
    stored = workspace.text_folder / "class_embeddings.h5"
    written = stored.stat().st_mtime_ns
    second = embed_classes(workspace, PHRASES, vectors_file)

    assert first.phrases == second.phrases == tuple(PHRASES.values())
    np.testing.assert_array_equal(first.vectors, np.eye(4)[:3])
    np.testing.assert_array_equal(first.vectors, second.vectors)
    assert stored.stat().st_mtime_ns == written


@given(st.dictionaries(st.text(), st.text(), max_size=8))
def test_the_kth_class_gets_the_kth_phrase_of_sorted_ones(phrases: dict[str, str]) -> None:
    """Classes and phrases are sorted apart from each other, which is the fault."""
    found = legacy_phrases(phrases)

    names, sorted_phrases = list(phrases), list(phrases.values())
    names.sort()
    sorted_phrases.sort()
    for place, name in enumerate(names):
        assert found[name] == sorted_phrases[place]


def test_the_legacy_order_moves_vectors_and_leaves_the_stored_file_right(tmp_path: Path, vectors_file: str) -> None:
    """`cello` sorts first among phrases, so that Alto gets it."""
    workspace = Workspace(tmp_path / "workspace")
    right = embed_classes(workspace, PHRASES, vectors_file)

    wrong = in_legacy_order(right, list(PHRASES), legacy_phrases(PHRASES))

    assert wrong.phrases == ("cello", "double bass", "tenor voice")
    np.testing.assert_array_equal(wrong.vectors, np.eye(4)[[2, 1, 0]])
    with h5py.File(workspace.text_folder / "class_embeddings.h5", "r") as file:
        np.testing.assert_array_equal(file["vectors"][...], right.vectors)


def test_a_class_without_videos_shifts_the_legacy_order(vectors_file: str) -> None:
    """Its phrase, which has no row yet, is embedded for the class that is given it."""
    embeddings = encode_phrases(vectors_file, list(PHRASES.values()))
    listed = {**PHRASES, "Zither": "a drum"}

    wrong = in_legacy_order(embeddings, list(PHRASES), legacy_phrases(listed))

    assert wrong.phrases == ("a drum", "cello", "double bass")
    np.testing.assert_array_equal(wrong.vectors, np.eye(4)[[3, 2, 1]])


def test_a_phrase_without_a_vector_fails(vectors_file: str) -> None:
    """The message names it."""
    with pytest.raises(UsageError, match="has no vector for 'zither'"):
        encode_phrases(vectors_file, ["cello", "zither"])


@pytest.mark.needs_shared
@pytest.mark.parametrize(
    ("folder", "file", "wrong", "classes"),
    [
        ("UCF", "ucf", 79, 101),
        ("ActivityNet", "activitynet", 8, 200),
        ("VGGSound", "vggsound", 205, 309),
    ],
)
def test_the_public_code_gives_so_many_classes_the_wrong_vector(
    shared: Path, folder: str, file: str, wrong: int, classes: int
) -> None:
    """On the benchmark's own lists of names: the counts of benchmark.md."""
    path = shared / "benchmark" / folder / "class-split" / f"{file}_w2v_class_names.csv"
    with path.open(encoding="utf-8", newline="") as lines:
        phrases = {row["original"]: row["manual"] for row in csv.DictReader(lines)}

    given = legacy_phrases(phrases)

    assert len(phrases) == classes
    assert sum(given[name] != phrase for name, phrase in phrases.items()) == wrong
