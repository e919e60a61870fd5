"""pipeline/class_embeddings/neighbours.py: nearest classes, nearly equal classes, classes without a vector."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.base.errors import PipelineError, UsageError
from pipeline.class_embeddings.embed import encode_phrases, read_spec
from pipeline.class_embeddings.neighbours import embedding_table

WORDS = {"dog": [1, 0, 0], "woof": [0.8, 0.6, 0], "cat": [0.9, 0.1, 0.3], "kitten": [0.9, 0.12, 0.3], "yoga": [0, 0, 1]}


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Write GloVe vectors of some words."""
    path = tmp_path / "glove.txt"
    path.write_text("".join(f"{word} {' '.join(map(str, row))}\n" for word, row in WORDS.items()))
    return str(path)


def test_neighbours_have_the_highest_cosine_similarities(file: str) -> None:
    """The nearest is first; the class itself is left out; there are at most as many as requested."""
    phrases = {"Dog": ("dog", "woof"), "Cat": ("cat",), "Yoga": ("yoga",), "Kitten": ("kitten",)}
    table = embedding_table(read_spec(file), phrases, neighbours=2)

    vectors = dict(zip(phrases, encode_phrases(read_spec(file), list(phrases.values())).vectors, strict=True))
    for entry in table.classes:
        cosines = {name: float(vectors[entry.name] @ vector) for name, vector in vectors.items() if name != entry.name}
        expected = sorted(cosines, key=lambda name: -cosines[name])[:2]
        assert [near.name for near in entry.nearest] == expected
        np.testing.assert_allclose([near.cosine for near in entry.nearest], [cosines[name] for name in expected])
    assert table.classes[0].phrases == ("dog", "woof")
    assert (table.width, table.encoder["encoder"]) == (3, "vectors")
    assert len(embedding_table(read_spec(file), phrases, neighbours=9).classes[0].nearest) == 3


def test_nearly_equal_pairs_are_listed_once(file: str) -> None:
    """The most similar pair is first."""
    table = embedding_table(
        read_spec(file),
        {"Cat": ("cat",), "Kitten": ("kitten",), "Kitty": ("kitten", "cat"), "Yoga": ("yoga",)},
        neighbours=1,
    )
    assert {frozenset(pair[:2]) for pair in table.alike} == {
        frozenset(("Cat", "Kitten")),
        frozenset(("Cat", "Kitty")),
        frozenset(("Kitten", "Kitty")),
    }
    assert [pair[2] for pair in table.alike] == sorted((pair[2] for pair in table.alike), reverse=True)
    assert table.alike[-1][:2] == ("Cat", "Kitten")


def test_classes_without_a_vector_are_listed_with_their_unknown_words(file: str) -> None:
    """One phrase without a vector is enough; the other classes are still compared."""
    table = embedding_table(
        read_spec(file), {"Dog": ("dog", "barks loudly"), "Cat": ("cat",), "Zither": ("zither",)}, neighbours=3
    )
    assert table.without_vector == {"Dog": {"barks loudly": ("barks", "loudly")}, "Zither": {"zither": ("zither",)}}
    assert [entry.name for entry in table.classes] == ["Cat"]
    assert table.classes[0].nearest == ()
    assert embedding_table(read_spec(file), {"Zither": ("zither",)}, neighbours=3).classes == ()


def test_an_encoder_that_cannot_be_loaded_is_refused(tmp_path: Path) -> None:
    """An unknown encoder is wrong usage; a damaged file has exit code 1."""
    with pytest.raises(UsageError, match="neither a text encoder"):
        embedding_table(read_spec("nonsense"), {"a": ("a",)}, neighbours=1)
    (tmp_path / "vectors.txt").write_text("dog 1 x\n")
    with pytest.raises(PipelineError) as caught:
        embedding_table(read_spec(str(tmp_path / "vectors.txt")), {"a": ("dog",)}, neighbours=1)
    assert caught.value.exit_code == 1
