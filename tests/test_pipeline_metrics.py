"""pipeline/metrics.py against slow loops that say what each score is."""

import itertools
import math
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.metrics import (
    best_beta,
    best_temperature,
    classes_without_samples,
    confusion_matrix,
    gzsl_predictions,
    gzsl_scores,
    probabilities,
    recall_per_class,
)

Case = tuple[np.ndarray, np.ndarray, np.ndarray]


@st.composite
def cases(draw: st.DrawFn, smallest: int = 0) -> Case:
    """Distances (N, C) with many ties, labels and seen flags, groups and classes without samples among them."""
    n_classes, n_videos = draw(st.integers(1, 6)), draw(st.integers(smallest, 12))
    numbers = draw(st.sampled_from([st.integers(0, 6), st.floats(0, 10, width=32)]))
    row = st.lists(numbers, min_size=n_classes, max_size=n_classes)
    distances = draw(st.lists(row, min_size=n_videos, max_size=n_videos))
    labels = draw(st.lists(st.integers(0, n_classes - 1), min_size=n_videos, max_size=n_videos))
    seen = draw(st.lists(st.booleans(), min_size=n_classes, max_size=n_classes))
    return np.array(distances, np.float32).reshape(n_videos, n_classes), np.array(labels, int), np.array(seen)


def slow_choice(row: np.ndarray, seen: np.ndarray, beta: float) -> int:
    """The nearest class; of a seen and an unseen one, the unseen unless the seen one is nearer by more than beta."""
    nearest: dict[bool, int] = {}
    for place in range(len(row)):
        group = bool(seen[place])
        if group not in nearest or row[place] < row[nearest[group]]:
            nearest[group] = place
    if len(nearest) == 1:
        return next(iter(nearest.values()))
    return nearest[True] if beta < float(row[nearest[False]]) - float(row[nearest[True]]) else nearest[False]


def slow_mean_recall(choices: list[int], labels: np.ndarray, classes: list[int]) -> float:
    """The mean over classes that have samples of the share of them that is right, in percent."""
    recalls = []
    for one in classes:
        hits = [choice == one for choice, label in zip(choices, labels, strict=True) if label == one]
        if hits:
            recalls.append(100 * sum(hits) / len(hits))
    return sum(recalls) / len(recalls) if recalls else math.nan


def slow_scores(case: Case, beta: float) -> list[float]:
    """S, U, HM, ZSL by loops."""
    distances, labels, seen = case
    groups = {group: [place for place in range(len(seen)) if seen[place] == group] for group in (True, False)}
    choices = [slow_choice(row, seen, beta) for row in distances]
    s, u = (slow_mean_recall(choices, labels, groups[group]) for group in (True, False))
    hm = 0.0 if s + u == 0 else 2 * s * u / (s + u)
    unseen = [min(groups[False], key=lambda place: row[place]) if groups[False] else -1 for row in distances]
    return [s, u, hm, slow_mean_recall(unseen, labels, groups[False])]


@given(cases(), st.integers(-7, 7) | st.floats(-10, 10))
def test_scores_are_what_the_loops_say(case: Case, beta: float) -> None:
    """S, U, HM and ZSL, with ties, negative betas and empty groups."""
    scores = gzsl_scores(*case, beta)
    np.testing.assert_allclose([scores.S, scores.U, scores.HM, scores.ZSL], slow_scores(case, beta), atol=1e-9)
    assert scores.beta == beta


@given(cases())
def test_no_beta_beats_the_best_beta(case: Case) -> None:
    """Of all betas at, between and beyond the gaps of the videos, none has a higher HM."""
    distances, labels, seen = case
    found = slow_scores(case, best_beta(*case))[2]
    tried = {0.0, *(float(b) - float(a) for row in distances for a in row for b in row)}
    between = sorted(tried)
    tried |= {(low + high) / 2 for low, high in itertools.pairwise(between)} | {
        between[0] - 1,
        between[-1] + 1,
    }
    best = max(
        (hm for beta in tried if not math.isnan(hm := slow_scores((distances, labels, seen), beta)[2])), default=0.0
    )
    assert math.isnan(found) or found == pytest.approx(best)


def test_the_best_beta_is_the_middle_of_the_widest_best_stretch() -> None:
    """Far from any change: gaps at 1 and 5 hold both classes right, the middle is 3."""
    distances = np.array([[0.0, 5.0], [0.0, 1.0]])
    assert best_beta(distances, [0, 1], [True, False]) == 3.0
    assert gzsl_scores(distances, [0, 1], [True, False], 3.0).HM == 100
    # A third video, wrong at every beta, parts no stretch.
    assert best_beta([*distances, [0.0, 4.0]], [0, 1, 1], [True, False]) == 4.5


def test_wrong_videos_between_do_not_part_a_stretch() -> None:
    """A change that leaves HM as it was is no end of a stretch."""
    distances = [[0.0, 9.0, 5.0], [9.0, 0.0, 1.0], [0.0, 9.0, 2.0]]
    labels = [0, 2, 1]
    assert best_beta(distances, labels, [True, True, False]) == 3.0


@pytest.mark.parametrize(
    ("labels", "seen"), [([0, 0], [True, False]), ([1, 1], [True, False]), ([0, 1], [True, True]), ([], [True, False])]
)
def test_without_seen_or_unseen_samples_beta_is_zero(labels: list[int], seen: list[bool]) -> None:
    """There is nothing to calibrate, and HM is undefined rather than wrong."""
    distances = np.ones((len(labels), 2))
    assert best_beta(distances, labels, seen) == 0.0
    assert math.isnan(gzsl_scores(distances, labels, seen, 0.0).HM)


def test_the_best_beta_lies_beyond_every_published_grid_where_it_must() -> None:
    """A fixed grid ends at 3 or 5; distances know no such end."""
    distances = np.array([[0.0, 100.0], [0.0, 60.0]])
    assert best_beta(distances, [0, 1], [True, False]) == 80.0


def test_gaps_that_are_neighbouring_numbers_still_give_the_best_beta() -> None:
    """Between two floats without a number between them, the lower is the beta."""
    gap = np.nextafter(1.0, 2.0)
    distances = np.array([[0.0, gap], [0.0, 1.0]])
    beta = best_beta(distances, [0, 1], [True, False])
    assert gzsl_scores(distances, [0, 1], [True, False], beta).HM == 100


@given(cases())
def test_counts_are_what_the_loops_say(case: Case) -> None:
    """Recall, confusion and classes without samples."""
    distances, labels, seen = case
    predictions, n_classes = gzsl_predictions(distances, seen, 0.5), len(seen)
    matrix = np.zeros((n_classes, n_classes), int)
    for label, prediction in zip(labels, predictions, strict=True):
        matrix[label, prediction] += 1
    recall = [slow_mean_recall(list(predictions), labels, [place]) for place in range(n_classes)]
    np.testing.assert_array_equal(confusion_matrix(predictions, labels, n_classes), matrix)
    np.testing.assert_allclose(recall_per_class(predictions, labels, n_classes), recall)
    assert list(classes_without_samples(labels, n_classes)) == [c for c in range(n_classes) if c not in labels]


def slow_likelihood(distances: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    """Negative log likelihood by loops."""
    total = 0.0
    for row, label in zip(distances.astype(float), labels, strict=True):
        near = min(row)
        total += (row[label] - near) / temperature + math.log(sum(math.exp((near - d) / temperature) for d in row))
    return total


@given(cases(1))
def test_no_temperature_beats_the_best_temperature(case: Case) -> None:
    """On a grid over the whole allowed range, no temperature has a higher likelihood."""
    distances, labels, _ = case
    found = best_temperature(distances, labels)
    assert 1e-3 <= found <= 1e3 * (1 + 1e-9)
    best = min(slow_likelihood(distances, labels, temperature) for temperature in np.logspace(-3, 3, 61))
    assert slow_likelihood(distances, labels, found) <= best + 1e-4 * len(labels)


def test_the_temperature_behind_a_sample_is_found_again() -> None:
    """Labels drawn at temperature 0.3 are best explained by about 0.3."""
    rng = np.random.default_rng(0)
    distances = rng.uniform(0, 2, (20_000, 10))
    labels = (probabilities(distances, 0.3).cumsum(1) > rng.uniform(size=(len(distances), 1))).argmax(1)
    assert best_temperature(distances, labels) == pytest.approx(0.3, rel=0.05)


def test_without_videos_the_temperature_is_one() -> None:
    """Nothing to fit changes nothing."""
    assert best_temperature(np.zeros((0, 3)), []) == 1.0


@given(cases(1), st.floats(1e-3, 1e3))
def test_probabilities_are_a_softmax(case: Case, temperature: float) -> None:
    """They sum to 1, fall with distance, and large distances overflow nothing."""
    distances = case[0] * 1000
    found = probabilities(distances, temperature)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    for row, given_row in zip(found, distances, strict=True):
        assert row[np.argmin(given_row)] == row.max()
    assert np.isfinite(found).all()


@pytest.mark.parametrize(
    ("distances", "labels", "seen", "message"),
    [
        ([1.0, 2.0], [0], [True, False], r"expected \(N, C\) and \(N,\)"),
        ([[1.0, 2.0]], [0, 1], [True, False], r"expected \(N, C\) and \(N,\)"),
        ([[1.0, 2.0]], [0], [True], "expected a flag a class"),
        ([[1.0, 2.0]], [2], [True, False], "expected places of 2 classes"),
        ([[1.0, 2.0]], [-1], [True, False], "expected places of 2 classes"),
        ([[1.0, 2.0], [1.0, math.nan]], [0, 0], [True, False], "video 1 are not all finite"),
    ],
)
def test_arrays_that_do_not_fit_fail(distances: Any, labels: Any, seen: Any, message: str) -> None:
    """A wrong shape, a label without a class, or a diverged network is said, not scored."""
    for function in (best_beta, lambda *arrays: gzsl_scores(*arrays, 0.0)):
        with pytest.raises(ValueError, match=message):
            function(distances, labels, seen)


def test_a_large_test_set_takes_under_two_seconds() -> None:
    """15,000 videos of 300 classes: calibration, temperature and scores together."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 300, 15_000)
    distances = rng.normal(5, 1, (15_000, 300)).astype(np.float32)
    distances[np.arange(15_000), labels] -= 2
    seen = np.arange(300) < 200
    begin = time.process_time()
    beta = best_beta(distances, labels, seen)
    gzsl_scores(distances, labels, seen, beta)
    best_temperature(distances, labels)
    assert time.process_time() - begin < 2
