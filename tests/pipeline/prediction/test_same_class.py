"""pipeline/prediction/same_class.py: which new names mean a trained class, with the bundled text encoder."""

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from extractors.text.encoder import TextEncoder
from pipeline.class_embeddings.embed import encode_classes, load_encoder, read_spec
from pipeline.datasets.phrases import phrases_of_name
from pipeline.prediction.same_class import Resemblance, resemblances
from pipeline.training.trained_model import ModelClass

SAMPLES = Path(__file__).resolve().parents[3] / "sample_videos"
SAMPLE_CLASSES = tuple(sorted(path.name for path in SAMPLES.iterdir() if (path / "000.mp4").exists()))


@functools.cache
def minilm() -> TextEncoder:
    """Load the bundled encoder once."""
    return load_encoder(read_spec("minilm"))


def found(names: Sequence[str], classes: Sequence[str], *, unseen: Sequence[str] = ()) -> list[Resemblance | None]:
    """Compare names with classes by MiniLM vectors."""
    entries = [ModelClass(name, phrases_of_name(name), name not in unseen) for name in classes]
    phrases = [phrases_of_name(name) for name in names]
    vectors = encode_classes(minilm(), phrases)
    return resemblances(phrases, vectors, entries, encode_classes(minilm(), [entry.phrases for entry in entries]))


def meant(names: Sequence[str], classes: Sequence[str], *, unseen: Sequence[str] = ()) -> list[str | None]:
    """Name the class that each name means; None if it is new."""
    return [
        classes[one.index] if one is not None and one.same else None for one in found(names, classes, unseen=unseen)
    ]


def test_articles_pronouns_and_endings_do_not_make_a_new_class() -> None:
    """For every sample class, twelve ways to write it mean the class."""
    assert len(SAMPLE_CLASSES) == 24
    ways = (
        "a {0} {1} {2}",
        "the {0} {1} {2}",
        "{0} {1}s {2}",
        "a {0} {1} is {2}",
        "{0} {1} {3}",
        "a video of a {0} {1} {2}",
        "one {0} {1} {2}",
        "that {0} {1} {2}",
        "my {0} {1} {2}",
        "it is a {0} {1} {2}",
        "there is a {0} {1} {2}",
        "{0} {1} {2} video",
    )
    for way in ways:
        names = []
        for name in SAMPLE_CLASSES:
            colour, thing, motion = name.split("_")
            stem = motion.removesuffix("ing")
            verb = {"bounc": "bounces", "slid": "slides", "shak": "shakes", "spinn": "spins"}.get(stem, f"{stem}s")
            names.append(way.format(colour, thing, motion, verb))
        assert meant(names, SAMPLE_CLASSES) == list(SAMPLE_CLASSES), way


def test_classes_that_differ_in_one_word_stay_different() -> None:
    """All classes of the sample vocabulary one word away from a trained class are new, with a hint for some."""
    colours, things = ("red", "green", "blue", "yellow", "purple"), ("ball", "square", "star", "heart", "triangle")
    motions = ("bouncing", "sliding", "spinning", "blinking", "shaking", "swinging")
    others = [f"{a} {b} {c}" for a in colours for b in things for c in motions]
    others = [name for name in others if name.replace(" ", "_") not in SAMPLE_CLASSES]
    compared = found(others, SAMPLE_CLASSES)
    assert not any(one.same for one in compared if one is not None)
    assert sum(one.close for one in compared if one is not None) < 0.01 * len(others)
    assert 0 < sum(one is not None for one in compared) < len(others)


@pytest.mark.parametrize(
    ("name", "trained"),
    [
        ("opening door", "closing door"),
        ("man speaking", "woman speaking"),
        ("pull ups", "push ups"),
        ("puppy barking", "dog barking"),
        ("locking a door", "unlocking a door"),
        ("staring", "star"),
        ("two dogs barking", "one dog barking"),
    ],
)
def test_opposites_and_other_things_are_new(name: str, trained: str) -> None:
    """Their vectors are near, with cosines up to 0.91, but not near enough."""
    assert meant([name], [trained, "yoga", "fireworks"]) == [None]


@pytest.mark.parametrize(
    ("name", "trained"),
    [
        ("a dog barks", "dog barking"),
        ("playing the guitar", "playing_guitar"),
        ("bouncing red ball", "red ball bouncing"),
        ("Baby cries", "baby crying"),
        ("applying eye makeup", "ApplyEyeMakeup"),
    ],
)
def test_other_words_of_the_same_class_mean_it(name: str, trained: str) -> None:
    """Either the words are the same apart from their forms, or the vectors nearly are."""
    assert meant([name], ["yoga", trained, "fireworks"]) == [trained]


def test_names_near_an_unseen_class_are_left_alone() -> None:
    """The model was not trained on it, so that nothing changes."""
    assert found(["a dog barks"], ["dog barking", "yoga"], unseen=["dog barking"]) == [None]


def test_a_model_with_nearly_equal_classes_asks_for_more() -> None:
    """A vector must be nearer than the two most similar classes of the model are; here these are nearly equal."""
    entries = [ModelClass(name, (name,), True) for name in ("one", "two")]
    vectors = np.array([[1.0, 0.0], [np.cos(0.1), np.sin(0.1)]], np.float32)  # cosine 0.995
    near = np.array([[np.cos(0.25), -np.sin(0.25)], [np.cos(0.05), -np.sin(0.05)]], np.float32)  # 0.969 and 0.999
    compared = resemblances([("x",), ("y",)], near, entries, vectors)
    assert [one is not None and one.same for one in compared] == [False, True]


def test_without_names_or_classes_nothing_is_compared() -> None:
    """Neither is an error."""
    assert resemblances([], np.zeros((0, 3), np.float32), [], np.zeros((0, 3), np.float32)) == []
    assert resemblances([("x",)], np.ones((1, 3), np.float32), [], np.zeros((0, 3), np.float32)) == [None]
