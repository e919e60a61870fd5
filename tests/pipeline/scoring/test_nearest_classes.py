"""pipeline/scoring/nearest_classes.py: the results equal those of loops over all distances."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.scoring.nearest_classes import NearestClasses

Case = tuple[np.ndarray, np.ndarray]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw distances (N, C) with many ties, and seen flags; all classes may be in one group."""
    n_classes, n_videos = draw(st.integers(1, 6)), draw(st.integers(0, 12))
    numbers = draw(st.sampled_from([st.integers(0, 6), st.floats(0, 10, width=32)]))
    row = st.lists(numbers, min_size=n_classes, max_size=n_classes)
    distances = draw(st.lists(row, min_size=n_videos, max_size=n_videos))
    seen = draw(st.lists(st.booleans(), min_size=n_classes, max_size=n_classes))
    return np.array(distances, np.float32).reshape(n_videos, n_classes), np.array(seen)


def slow_nearest(row: np.ndarray, classes: list[int]) -> tuple[int, float]:
    """Find the first of the nearest of some classes."""
    best, distance = -1, math.inf
    for index in classes:
        if row[index] < distance:
            best, distance = index, float(row[index])
    return best, distance


@given(cases())
def test_the_nearest_seen_and_unseen_class_equal_those_of_loops(case: Case) -> None:
    """Of equally near classes, the first is kept, with its distance."""
    distances, seen = case
    nearest = NearestClasses.from_distances(distances, seen)
    for video, row in enumerate(distances):
        expected_seen = slow_nearest(row, [index for index in range(len(seen)) if seen[index]])
        expected_unseen = slow_nearest(row, [index for index in range(len(seen)) if not seen[index]])
        assert (nearest.nearest_seen[video], nearest.seen_distances[video]) == expected_seen
        assert (nearest.nearest_unseen[video], nearest.unseen_distances[video]) == expected_unseen


@given(cases(), st.integers(-7, 7) | st.floats(-10, 10))
def test_predictions_are_the_nearest_class_of_the_calibrated_distances(case: Case, beta: float) -> None:
    """The seen class must be nearer by more than beta; of equally near classes in a group, the first counts."""
    distances, seen = case
    for row, choice in zip(distances, NearestClasses.from_distances(distances, seen).predictions(beta), strict=True):
        near_seen = slow_nearest(row, [index for index in range(len(seen)) if seen[index]])
        near_unseen = slow_nearest(row, [index for index in range(len(seen)) if not seen[index]])
        assert choice == (near_seen[0] if beta < near_unseen[1] - near_seen[1] else near_unseen[0])


@given(cases(), st.data())
def test_chunks_in_any_order_give_the_same_as_all_videos_at_once(case: Case, data: st.DataObject) -> None:
    """The results are equal bit for bit."""
    distances, seen = case
    shuffled = np.array(data.draw(st.permutations(range(len(distances)))), int)
    cuts = data.draw(st.lists(st.integers(0, len(distances)), max_size=3).map(sorted))
    filled, whole = NearestClasses.blank(len(distances), seen), NearestClasses.from_distances(distances, seen)
    for rows in np.split(shuffled, cuts):
        filled.put(rows, NearestClasses.from_distances(distances[rows], seen))
    for name in ("nearest_seen", "nearest_unseen", "seen_distances", "unseen_distances"):
        np.testing.assert_array_equal(getattr(filled, name), getattr(whole, name))


@pytest.mark.parametrize(
    ("distances", "seen", "message"),
    [
        ([1.0, 2.0], [True, False], r"expected \(N, C\) and \(C,\)"),
        ([[1.0, 2.0]], [True], "expected"),
        ([[1.0, 2.0], [1.0, math.nan]], [True, False], "video 1 are not all finite"),
        ([[1.0, 2.0], [math.inf, 3.0]], [True, False], "video 1 are not all finite"),
    ],
)
def test_wrong_distances_are_refused(distances: Any, seen: Any, message: str) -> None:
    """A shape is wrong, or a distance is not finite, even if it is not the nearest one."""
    with pytest.raises(ValueError, match=message):
        NearestClasses.from_distances(distances, seen)


@pytest.mark.parametrize(
    ("labels", "message"),
    [([0, 1], "for 1 videos"), ([2], "expected indices of 2 classes"), ([-1], "expected indices of 2 classes")],
)
def test_labels_that_do_not_fit_are_refused(labels: list[int], message: str) -> None:
    """There are too many labels, or a label is not the index of a class."""
    with pytest.raises(ValueError, match=message):
        NearestClasses.from_distances([[1.0, 2.0]], [True, False]).checked_labels(labels)
