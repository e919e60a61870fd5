"""pipeline/scoring/calibration.py: no beta and no temperature is better than the one that is found."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.scoring.calibration import (
    PUBLISHED_GRIDS,
    HarmonicMeans,
    best_temperature,
    lasting_beta,
    lasting_temperature,
)
from pipeline.scoring.metrics import gzsl_metrics, probabilities
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


def slow_mean(case: Case, beta: float) -> float:
    """Compute HM with loops: add beta to the distances of seen classes, choose each video's class, and count."""
    recalls: dict[bool, list[float]] = {True: [], False: []}
    for label in sorted(set(case[1].tolist())):
        rows = [row for row, true in zip(case[0].tolist(), case[1], strict=True) if true == label]
        hits = sum(slow_choice(row, case[2], beta) == label for row in rows)
        recalls[bool(case[2][label])].append(100 * hits / len(rows))
    if not (recalls[True] and recalls[False]):
        return 0.0
    s, u = (sum(recalls[group]) / len(recalls[group]) for group in (True, False))
    return 0.0 if s + u == 0 else 2 * s * u / (s + u)


def slow_choice(row: list[float], seen: np.ndarray, beta: float) -> int:
    """Choose the nearest class after calibration; of equally near classes an unseen one, else the first."""
    groups = {
        group: min((index for index in range(len(row)) if seen[index] == group), key=lambda index: row[index])
        for group in set(seen.tolist())
    }
    if len(groups) == 1:
        return next(iter(groups.values()))
    return groups[True] if beta < row[groups[False]] - row[groups[True]] else groups[False]


def means_of(distances: Any, labels: Any, seen: Any) -> HarmonicMeans:
    """Compute HM over betas from distances (N, C)."""
    return HarmonicMeans.over_betas(NearestClasses.from_distances(distances, seen), labels)


def candidates(distances: np.ndarray) -> list[float]:
    """List betas at, between and outside the differences of a video's distances."""
    tried = sorted({0.0, *(float(b) - float(a) for row in distances for a in row for b in row)})
    between = [(low + high) / 2 for low, high in itertools.pairwise(tried)]
    return [tried[0] - 1, *tried, *between, tried[-1] + 1]


@given(cases())
def test_hm_at_every_beta_equals_that_of_loops(case: Case) -> None:
    """The betas are at, between and outside the steps of the curve."""
    means = means_of(*case)
    for beta in candidates(case[0]):
        found = means.means[np.count_nonzero(means.switching_betas <= beta)]
        assert found == pytest.approx(slow_mean(case, beta))


@given(cases())
def test_no_beta_is_better_than_the_best_beta(case: Case) -> None:
    """No beta at, between or outside the switching betas of the videos has a higher HM."""
    found = slow_mean(case, means_of(*case).best_beta())
    assert found == pytest.approx(max(slow_mean(case, beta) for beta in candidates(case[0])))


@given(cases(), st.sampled_from(PUBLISHED_GRIDS).map(lambda grid: grid.betas) | st.lists(st.floats(-9, 9), min_size=1))
def test_the_choice_from_a_grid_equals_that_of_trying_every_beta(case: Case, betas: tuple[float, ...]) -> None:
    """It is the beta of the grid with the highest HM; if several have it, the first."""
    tried = [slow_mean(case, beta) for beta in betas]
    first = next(beta for beta, mean in zip(betas, tried, strict=True) if mean >= max(tried) - 1e-9)
    assert means_of(*case).best_of(betas) == first


@given(cases())
def test_no_grid_is_better_than_the_exact_beta(case: Case) -> None:
    """The exact optimum is at least as good as the choice from each published grid."""
    means = means_of(*case)
    exact = slow_mean(case, means.best_beta())
    for grid in PUBLISHED_GRIDS:
        assert slow_mean(case, means.best_of(grid.betas)) <= exact + 1e-9


def test_the_published_grids_are_those_of_the_published_code() -> None:
    """They are linspace(0, 3, 16) and linspace(0, 5, 76)."""
    steps = {grid.name: (grid.betas[0], grid.betas[-1], len(grid.betas)) for grid in PUBLISHED_GRIDS}
    assert steps == {"avca": (0, 3, 16), "clipclap": (0, 5, 76)}
    assert PUBLISHED_GRIDS[0].betas[1] == pytest.approx(0.2)
    assert PUBLISHED_GRIDS[1].betas[1] == pytest.approx(1 / 15)


def test_a_grid_that_ends_too_early_gives_a_beta_inside_it() -> None:
    """If no beta of the grid changes a prediction, the first one is chosen: 0."""
    distances = np.array([[0.0, 100.0], [0.0, 60.0]])
    assert means_of(distances, [0, 1], [True, False]).best_of(PUBLISHED_GRIDS[1].betas) == 0.0
    nearer = np.array([[0.0, 100.0], [0.0, 4.99]])
    assert means_of(nearer, [0, 1], [True, False]).best_of(PUBLISHED_GRIDS[1].betas) == 5.0


def test_the_best_beta_is_the_middle_of_the_widest_best_interval() -> None:
    """Both classes are right between the switching betas 1 and 5; the middle is 3."""
    distances = np.array([[0.0, 5.0], [0.0, 1.0]])
    assert means_of(distances, [0, 1], [True, False]).best_beta() == 3.0
    assert gzsl_metrics(NearestClasses.from_distances(distances, [True, False]), [0, 1], 3.0).HM == 100
    # A third video with the switching beta 4 is right only from there on.
    assert means_of([*distances, [0.0, 4.0]], [0, 1, 1], [True, False]).best_beta() == 4.5


def test_a_change_that_keeps_hm_does_not_end_an_interval() -> None:
    """A video that is wrong at every beta changes its prediction inside the best interval."""
    distances = [[0.0, 9.0, 5.0], [9.0, 0.0, 1.0], [0.0, 9.0, 2.0]]
    labels = [0, 2, 1]
    assert means_of(distances, labels, [True, True, False]).best_beta() == 3.0


@pytest.mark.parametrize(
    ("labels", "seen"), [([0, 0], [True, False]), ([1, 1], [True, False]), ([0, 1], [True, True]), ([], [True, False])]
)
def test_without_seen_or_unseen_samples_beta_is_zero(labels: list[int], seen: list[bool]) -> None:
    """There is nothing to calibrate, and HM is undefined."""
    distances = np.ones((len(labels), 2))
    assert means_of(distances, labels, seen).best_beta() == 0.0
    assert means_of(distances, labels, seen).best_of((0.0, 1.0)) == 0.0
    assert math.isnan(gzsl_metrics(NearestClasses.from_distances(distances, seen), labels, 0.0).HM)


def test_the_best_beta_may_be_outside_every_published_grid() -> None:
    """The grids end at 3 and 5, but distances may be larger."""
    distances = np.array([[0.0, 100.0], [0.0, 60.0]])
    assert means_of(distances, [0, 1], [True, False]).best_beta() == 80.0


def test_switching_betas_that_are_neighbouring_floats_give_the_best_beta() -> None:
    """There is no float between them, so the lower one is the beta."""
    next_float = np.nextafter(1.0, 2.0)
    distances = np.array([[0.0, next_float], [0.0, 1.0]])
    beta = means_of(distances, [0, 1], [True, False]).best_beta()
    assert gzsl_metrics(NearestClasses.from_distances(distances, [True, False]), [0, 1], beta).HM == 100


def slow_likelihood(distances: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    """Compute the negative log likelihood with loops."""
    total = 0.0
    for row, label in zip(distances.astype(float), labels, strict=True):
        nearest = min(row)
        total += (row[label] - nearest) / temperature
        total += math.log(sum(math.exp((nearest - distance) / temperature) for distance in row))
    return total


@given(cases(1))
def test_no_temperature_is_better_than_the_best_temperature(case: Case) -> None:
    """No temperature of a grid over the whole allowed range has a higher likelihood."""
    distances, labels, _ = case
    found = best_temperature(distances, labels)
    assert 1e-3 <= found <= 1e3 * (1 + 1e-9)
    best = min(slow_likelihood(distances, labels, temperature) for temperature in np.logspace(-3, 3, 61))
    assert slow_likelihood(distances, labels, found) <= best + 1e-4 * len(labels)


def test_the_temperature_of_a_sample_is_found() -> None:
    """For labels drawn at temperature 0.3, the result is about 0.3."""
    rng = np.random.default_rng(0)
    distances = rng.uniform(0, 2, (20_000, 10))
    labels = (probabilities(distances, 0.3).cumsum(1) > rng.uniform(size=(len(distances), 1))).argmax(1)
    assert best_temperature(distances, labels) == pytest.approx(0.3, rel=0.05)


@given(cases(1), st.floats(0, 1))
def test_doubt_counts_like_labels_spread_evenly_over_the_classes(case: Case, doubt: float) -> None:
    """The likelihood is that of every row with its label, and with each class as its label, by their weights."""
    distances, labels, _ = case
    n_classes = distances.shape[1]

    def likelihood(temperature: float) -> float:
        given_labels = slow_likelihood(distances, labels, temperature)
        evenly = sum(slow_likelihood(distances, np.full(len(labels), each), temperature) for each in range(n_classes))
        return (1 - doubt) * given_labels + doubt * evenly / n_classes

    found = best_temperature(distances, labels, doubt=doubt)
    assert likelihood(found) <= min(map(likelihood, np.logspace(-3, 3, 61))) + 1e-4 * len(labels)


def test_few_videos_that_are_all_right_do_not_make_a_network_certain() -> None:
    """Without doubt the temperature would be the lowest; with many videos the doubt vanishes."""
    distances = np.tile([[0.0, 4.0]], (10, 1))
    assert best_temperature(distances, np.zeros(10, int)) == 1e-3
    few = lasting_temperature(distances, np.zeros(10, int), videos=10)
    many = lasting_temperature(distances, np.zeros(10, int), videos=10_000)
    assert probabilities(distances, few)[0, 1] == pytest.approx(1 / 12, rel=1e-4)  # half of two videos, of twelve
    assert probabilities(distances, many)[0, 1] == pytest.approx(1 / 10_002, rel=1e-4)


def test_without_videos_the_temperature_is_one() -> None:
    """A temperature of 1 changes nothing."""
    assert best_temperature(np.zeros((0, 3)), []) == 1.0


@pytest.mark.parametrize(
    ("distances", "labels", "message"),
    [
        ([1.0, 2.0], [0], r"expected \(N, C\) and \(N,\)"),
        ([[1.0, 2.0]], [0, 1], r"expected \(N, C\) and \(N,\)"),
        ([[1.0, 2.0]], [2], "expected indices of 2 classes"),
    ],
)
def test_best_temperature_refuses_arrays_that_do_not_fit(distances: Any, labels: Any, message: str) -> None:
    """A shape is wrong, or a label is not the index of a class."""
    with pytest.raises(ValueError, match=message):
        best_temperature(distances, labels)


def test_harmonic_means_refuse_labels_that_do_not_fit() -> None:
    """Each video needs one label."""
    with pytest.raises(ValueError, match="for 1 videos"):
        means_of([[1.0, 2.0]], [0, 1], [True, False])


def slow_lasting_beta(curves: list[HarmonicMeans]) -> float:
    """Average HM over curves and over normally distributed errors of beta, and shrink the best beta, with loops."""
    switching = [beta for curve in curves for beta in curve.switching_betas]
    spread = float(np.std(switching))
    grid = np.linspace(min(switching) - 2 * spread, max(switching) + 2 * spread, 400)
    smooth = []
    for centre in grid:
        weights = [math.exp(-0.5 * ((beta - centre) / (0.5 * spread)) ** 2) for beta in grid]
        means = [
            sum(curve.means[np.count_nonzero(curve.switching_betas <= beta)] for curve in curves) / len(curves)
            for beta in grid
        ]
        smooth.append(sum(w * mean for w, mean in zip(weights, means, strict=True)) / sum(weights))
    return 0.85 * float(grid[int(np.argmax(smooth))])


def test_the_lasting_beta_is_the_best_of_the_smooth_curves() -> None:
    """It equals a slow computation, for one curve and for several."""
    random = np.random.default_rng(0)
    distances = random.uniform(0, 4, (12, 4)) - np.array([2, 2, 0, 0])
    labels, seen = random.integers(0, 4, 12), np.array([True, True, False, False])
    curves = [means_of(distances, labels, seen), means_of(distances + random.normal(size=(12, 4)), labels, seen)]
    for chosen in (curves[:1], curves):
        assert lasting_beta(chosen) == pytest.approx(slow_lasting_beta(chosen))


def test_the_lasting_beta_avoids_a_narrow_peak() -> None:
    """The exact optimum lies in an interval of width 0.1; the lasting beta lies on the wide plateau beside it."""
    means = HarmonicMeans(np.array([0.0, 8.0, 9.9, 10.0]), np.array([0.0, 60.0, 40.0, 61.0, 0.0]))
    assert means.best_beta() == pytest.approx(9.95)
    assert 0 < lasting_beta([means]) < 8


def test_without_an_hm_the_lasting_beta_is_zero() -> None:
    """There is nothing to choose by."""
    assert lasting_beta([]) == 0.0
    assert lasting_beta([means_of([[0.0, 1.0]], [0], [True, False])]) == 0.0
