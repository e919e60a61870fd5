"""pipeline/scoring/held_out.py: the calibration for any numbers of seen and unseen names, from validation videos."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.scoring.calibration import HarmonicMeans, calibrated, lasting_beta, lasting_temperature
from pipeline.scoring.held_out import Calibration, HeldOutDistances
from pipeline.scoring.metrics import gzsl_metrics
from pipeline.scoring.nearest_classes import NearestClasses


def held_out(seen: int, unseen: int, videos: int = 10, advantage: float = 3.0, seed: int = 0) -> HeldOutDistances:
    """Generate distances of `videos` videos per class; seen classes are nearer by `advantage`, own classes by 4."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(seen + unseen), videos)
    distances = random.normal(20, 2, (len(labels), seen + unseen))
    distances[np.arange(len(labels)), labels] -= 4
    distances[:, :seen] -= advantage
    return HeldOutDistances(distances.astype(np.float32), labels, np.arange(seen + unseen) < seen)


def test_with_as_many_names_as_classes_all_videos_are_used_once() -> None:
    """Beta, temperature and the farthest distance are those of all videos among all classes."""
    held = held_out(4, 3)

    found = held.calibration(4, 3)

    nearest = NearestClasses.from_distances(held.distances, held.seen)
    beta = lasting_beta([HarmonicMeans.over_betas(nearest, held.labels)])
    distances = calibrated(held.distances, held.seen, beta)
    assert found.beta == beta
    assert found.temperature == pytest.approx(lasting_temperature(distances, held.labels, videos=70))
    assert found.farthest is not None
    assert np.mean(distances.min(axis=1) > found.farthest) == pytest.approx(0.05, abs=0.02)
    assert found.videos == 70
    assert held.calibration(9, 8) == found  # more names than classes of validation


@given(st.integers(0, 7), st.integers(0, 6))
def test_the_calibration_exists_for_any_numbers_of_names(seen: int, unseen: int) -> None:
    """Names of one kind get no beta; equal numbers give equal calibrations."""
    held = held_out(5, 4, videos=4)
    found = held.calibration(seen, unseen)
    assert found == held.calibration(seen, unseen)
    assert np.isfinite([found.beta, found.temperature]).all()
    if not (seen and unseen):
        assert found.beta == 0.0
    assert (found.farthest is None) == (seen + unseen == 0)


def test_few_seen_names_get_a_smaller_beta_than_many() -> None:
    """The nearest of many classes is nearer by chance; a beta for many seen names would lose the videos of a few."""
    held, among = held_out(20, 8, seed=1), held_out(20, 8, seed=2)
    few, full = held.calibration(1, 5), held.calibration(20, 8)
    assert few.beta < full.beta
    kept, lost = 0.0, 0.0
    for seen in range(20):
        columns = np.array([seen, *range(20, 25)])
        rows = np.isin(among.labels, columns)
        nearest = NearestClasses.from_distances(among.distances[rows][:, columns], among.seen[columns])
        labels = np.searchsorted(columns, among.labels[rows])
        kept += gzsl_metrics(nearest, labels, few.beta).HM / 20
        lost += gzsl_metrics(nearest, labels, full.beta).HM / 20
    assert kept > lost


def test_draws_average_over_the_choice_of_classes() -> None:
    """A beta for two of many classes equals that of the mean curve over the same draws, computed one by one."""
    held = held_out(6, 5)
    random = np.random.default_rng(0)
    curves = []
    for _ in range(50):
        columns = np.concatenate(
            [random.choice(np.arange(6), 2, replace=False), random.choice(np.arange(6, 11), 3, replace=False)]
        )
        kept = [
            (row[columns], list(columns).index(label))
            for row, label in zip(held.distances, held.labels, strict=True)
            if label in columns
        ]
        nearest = NearestClasses.from_distances(np.array([row for row, _ in kept]), held.seen[columns])
        curves.append(HarmonicMeans.over_betas(nearest, [label for _, label in kept]))
    assert held.calibration(2, 3).beta == lasting_beta(curves)


def test_one_name_is_judged_by_the_distances_to_own_classes() -> None:
    """95 % of the videos are nearer to their own class than the farthest usual distance."""
    held = held_out(0, 6, videos=50)
    own = held.distances[np.arange(300), held.labels]
    found = held.calibration(0, 1)
    assert found.farthest == pytest.approx(np.quantile(own, 0.95), abs=0.5)
    assert found.temperature == 1.0


def test_without_videos_of_the_asked_kind_there_is_no_calibration() -> None:
    """Validation without unseen classes cannot tell anything about unseen names alone."""
    assert held_out(3, 0).calibration(0, 4) == Calibration.none("no class of the validation was unseen")
    assert held_out(0, 3).calibration(4, 0) == Calibration.none("no validation video was of a trained class")


@pytest.mark.parametrize(
    ("seen", "unseen", "missing"),
    [(3, 0, "no class of the validation was unseen"), (0, 3, "no validation video was of a trained class")],
)
def test_validation_of_one_kind_gives_no_beta_and_says_why(seen: int, unseen: int, missing: str) -> None:
    """Names of both kinds need a beta, which nothing can choose; names of the kind at hand need none."""
    found = held_out(seen, unseen).calibration(2, 4)

    assert (found.beta, found.missing) == (0.0, missing)
    assert found.videos > 0
    assert held_out(seen, unseen).calibration(2 if seen else 0, 2 if unseen else 0).missing == ""
    assert held_out(3, 3).calibration(2, 4).missing == ""


@pytest.mark.parametrize(
    ("distances", "labels", "seen", "message"),
    [
        ([[1.0, 2.0]], [0, 1], [True, False], "expected"),
        ([[1.0, 2.0]], [0], [True], "expected"),
        ([[1.0, 2.0]], [2], [True, False], "expected indices of 2 classes"),
        ([[1.0, float("nan")]], [0], [True, False], "not all finite"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(distances: Any, labels: Any, seen: Any, message: str) -> None:
    """They may come from a damaged file."""
    with pytest.raises(ValueError, match=message):
        HeldOutDistances(np.array(distances, np.float32), np.array(labels, np.int64), np.array(seen))
