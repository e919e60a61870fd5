"""pipeline/scoring/metrics.py: the metrics equal those of slow loops that follow the definitions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.scoring.metrics import (
    classes_without_samples,
    confusion_matrix,
    expected_calibration_error,
    gzsl_metrics,
    probabilities,
    recall_per_class,
)
from pipeline.scoring.nearest_classes import NearestClasses

Case = tuple[np.ndarray, np.ndarray, np.ndarray]


@st.composite
def cases(draw: st.DrawFn, smallest: int = 0) -> Case:
    """Draw distances (N, C) with many ties, labels and seen flags; groups and classes may have no samples."""
    n_classes, n_videos = draw(st.integers(1, 6)), draw(st.integers(smallest, 12))
    numbers = draw(st.sampled_from([st.integers(0, 6), st.floats(0, 10, width=32)]))
    row = st.lists(numbers, min_size=n_classes, max_size=n_classes)
    distances = draw(st.lists(row, min_size=n_videos, max_size=n_videos))
    labels = draw(st.lists(st.integers(0, n_classes - 1), min_size=n_videos, max_size=n_videos))
    seen = draw(st.lists(st.booleans(), min_size=n_classes, max_size=n_classes))
    return np.array(distances, np.float32).reshape(n_videos, n_classes), np.array(labels, int), np.array(seen)


def slow_choice(row: np.ndarray, seen: np.ndarray, beta: float) -> int:
    """Choose the nearest unseen class, or the nearest seen class if it is nearer by more than beta."""
    nearest: dict[bool, int] = {}
    for index in range(len(row)):
        group = bool(seen[index])
        if group not in nearest or row[index] < row[nearest[group]]:
            nearest[group] = index
    if len(nearest) == 1:
        return next(iter(nearest.values()))
    return nearest[True] if beta < float(row[nearest[False]]) - float(row[nearest[True]]) else nearest[False]


def slow_mean_recall(choices: list[int], labels: np.ndarray, classes: list[int]) -> float:
    """Average the recall in percent over the classes with samples."""
    recalls = []
    for index in classes:
        hits = [choice == index for choice, label in zip(choices, labels, strict=True) if label == index]
        if hits:
            recalls.append(100 * sum(hits) / len(hits))
    return sum(recalls) / len(recalls) if recalls else math.nan


def slow_metrics(case: Case, beta: float) -> list[float]:
    """Compute S, U, HM and ZSL with loops."""
    distances, labels, seen = case
    groups = {group: [index for index in range(len(seen)) if seen[index] == group] for group in (True, False)}
    choices = [slow_choice(row, seen, beta) for row in distances]
    s, u = (slow_mean_recall(choices, labels, groups[group]) for group in (True, False))
    hm = 0.0 if s + u == 0 else 2 * s * u / (s + u)
    unseen = [min(groups[False], key=lambda index: row[index]) if groups[False] else -1 for row in distances]
    return [s, u, hm, slow_mean_recall(unseen, labels, groups[False])]


@given(cases(), st.integers(-7, 7) | st.floats(-10, 10))
def test_metrics_equal_those_of_loops(case: Case, beta: float) -> None:
    """The cases include ties, negative betas and empty groups."""
    distances, labels, seen = case
    metrics = gzsl_metrics(NearestClasses.from_distances(distances, seen), labels, beta)
    np.testing.assert_allclose([metrics.S, metrics.U, metrics.HM, metrics.ZSL], slow_metrics(case, beta), atol=1e-9)
    assert metrics.beta == beta


@given(cases())
def test_counts_equal_those_of_loops(case: Case) -> None:
    """The counts are recall, confusion matrix and classes without samples."""
    distances, labels, seen = case
    predictions, n_classes = NearestClasses.from_distances(distances, seen).predictions(0.5), len(seen)
    matrix = np.zeros((n_classes, n_classes), int)
    for label, prediction in zip(labels, predictions, strict=True):
        matrix[label, prediction] += 1
    recall = [slow_mean_recall(list(predictions), labels, [index]) for index in range(n_classes)]
    np.testing.assert_array_equal(confusion_matrix(predictions, labels, n_classes), matrix)
    np.testing.assert_allclose(recall_per_class(predictions, labels, n_classes), recall)
    assert list(classes_without_samples(labels, n_classes)) == [c for c in range(n_classes) if c not in labels]


@given(cases(1), st.floats(1e-3, 1e3))
def test_probabilities_are_a_softmax(case: Case, temperature: float) -> None:
    """They sum to 1, the nearest class has the highest, and large distances cause no overflow."""
    distances = case[0] * 1000
    found = probabilities(distances, temperature)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    for row, given_row in zip(found, distances, strict=True):
        assert row[np.argmin(given_row)] == row.max()
    assert np.isfinite(found).all()


def test_a_label_that_is_not_a_class_is_refused() -> None:
    """It is not counted as a class."""
    with pytest.raises(ValueError, match="expected indices of 2 classes"):
        gzsl_metrics(NearestClasses.from_distances([[1.0, 2.0]], [True, False]), [2], 0.0)


@given(cases(1), st.floats(0.1, 10))
def test_the_calibration_error_equals_that_of_loops(case: Case, temperature: float) -> None:
    """Videos are sorted into 15 bins by the probability of their first class."""
    distances, labels, _ = case
    bins: dict[int, list[tuple[float, bool]]] = {}
    for row, label in zip(probabilities(distances, temperature), labels, strict=True):
        confidence = max(row)
        bins.setdefault(min(14, int(confidence * 15)), []).append((confidence, list(row).index(confidence) == label))
    expected = sum(
        abs(sum(c for c, _ in videos) / len(videos) - sum(r for _, r in videos) / len(videos))
        * len(videos)
        / len(labels)
        for videos in bins.values()
    )
    found = expected_calibration_error(distances, labels, temperature)
    assert found.value == pytest.approx(expected)
    assert (found.bins, found.videos) == (15, len(labels))
    assert abs(found.mean_confidence - found.accuracy) <= found.value + 1e-9


def test_without_videos_the_calibration_error_is_not_defined() -> None:
    """There are no probabilities."""
    found = expected_calibration_error(np.zeros((0, 3)), [], 1.0)
    assert math.isnan(found.value)
    assert found.videos == 0
