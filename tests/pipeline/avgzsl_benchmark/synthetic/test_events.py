"""pipeline/avgzsl_benchmark/synthetic/events.py: pairs of classes whose order can be told from their vectors."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.avgzsl_benchmark.synthetic.events import OrderPairs, Scenes
from pipeline.avgzsl_benchmark.synthetic.recipe import SyntheticRecipe


def vectors_of(classes: int, seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Draw unit vectors."""
    vectors = np.random.default_rng(seed).standard_normal((classes, 7)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@given(st.integers(4, 30), st.floats(0, 1), st.integers(0, 50))
def test_pairs_are_within_groups_and_a_linear_rule_tells_the_order(classes: int, fraction: float, seed: int) -> None:
    """Each class is in at most one pair; one direction of the vectors separates the two orders."""
    vectors, groups = vectors_of(classes, seed), np.arange(classes) % 3

    pairs = OrderPairs.choose(vectors, groups, fraction)

    paired = np.flatnonzero(pairs.direction)
    assert (pairs.partner[pairs.partner] == np.arange(classes)).all()
    assert (groups[pairs.partner] == groups).all()
    assert (pairs.direction + pairs.direction[pairs.partner] == 0)[paired].all()
    assert set(np.flatnonzero(pairs.partner != np.arange(classes))) == set(paired)
    for group in range(3):
        members = groups == group
        assert (pairs.direction[members] != 0).sum() <= 2 * round(fraction * members.sum() / 2)
    if len(paired):
        centred = vectors - vectors.mean(axis=0)
        components = np.linalg.svd(centred.astype(np.float64), full_matrices=False)[2][:5]
        sides = centred @ components.T
        sides -= np.median(sides, axis=0)
        told = (np.sign(sides[paired]) == pairs.direction[paired, None]).all(axis=0)
        assert told.any()


def test_a_pair_shares_one_content() -> None:
    """The content comes from the mean of both vectors, with their length."""
    vectors = vectors_of(12, 1)
    pairs = OrderPairs.choose(vectors, np.zeros(12, np.int64), 0.5)

    shared = pairs.shared_vectors(vectors)

    assert np.count_nonzero(pairs.direction) == 6
    np.testing.assert_allclose(shared, shared[pairs.partner], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(shared, axis=1), 1, atol=1e-5)
    alone = pairs.direction == 0
    assert np.array_equal(shared[alone], vectors[alone])
    assert np.array_equal(pairs.content_of[pairs.partner], pairs.content_of)


@given(st.lists(st.integers(1, 12), min_size=1, max_size=20), st.floats(0, 0.95), st.floats(0, 1), st.integers(0, 9))
def test_every_video_shows_its_class_in_one_run_of_seconds(
    seconds: list[int], background: float, foreign: float, seed: int
) -> None:
    """The run has the right length, its halves have equal lengths, and foreign sound is of another class."""
    recipe = SyntheticRecipe(background=background, foreign_sound=foreign, seed=seed)
    labels = np.arange(len(seconds)) % 3

    scenes = Scenes.draw(recipe, labels, np.array(seconds), 3)

    start = 0
    for length in seconds:
        span = slice(start, start + length)
        shown = np.flatnonzero(scenes.shows_class[span])
        assert len(shown) == max(1, round((1 - background) * length))
        assert shown[-1] - shown[0] + 1 == len(shown)
        expected = np.sign(np.arange(len(shown))[::-1] - np.arange(len(shown)))
        np.testing.assert_array_equal(scenes.half[span][shown], expected)
        assert not scenes.half[span][~scenes.shows_class[span]].any()
        np.testing.assert_array_equal(scenes.positions[span], np.arange(length))
        start += length
    assert foreign != 0 or np.array_equal(scenes.sound_labels, labels)
    assert foreign != 1 or (scenes.sound_labels != labels).all()


def test_one_property_does_not_change_the_choices_of_another() -> None:
    """Foreign sound has its own stream of random numbers."""
    labels, seconds = np.arange(50) % 5, np.full(50, 6)
    recipe = SyntheticRecipe(background=0.5)

    plain = Scenes.draw(recipe, labels, seconds, 5)
    foreign = Scenes.draw(dataclasses.replace(recipe, foreign_sound=0.5), labels, seconds, 5)

    assert np.array_equal(plain.shows_class, foreign.shows_class)
    assert np.array_equal(plain.backgrounds, foreign.backgrounds)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"autocorrelation": 1.0}, "autocorrelation is 1.0, must be less than 1"),
        ({"zeros": 1.0}, "zeros is 1.0, must be less than 1"),
        ({"unreliable": 1.5}, "unreliable is 1.5, must be at most 1"),
        ({"spectrum": float("inf")}, "spectrum is inf, must be at least 0 and finite"),
    ],
)
def test_an_impossible_strength_is_refused(change: dict[str, float], message: str) -> None:
    """The message names the field, its value and what is allowed."""
    with pytest.raises(ValueError, match=message):
        SyntheticRecipe(**change)  # type: ignore[arg-type]  # numbers
