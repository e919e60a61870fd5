"""pipeline/scoring/intervals.py: bootstrap intervals over classes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.scoring.intervals import DRAWS, bootstrap_intervals, paired_intervals
from pipeline.scoring.metrics import ClassRecalls

recalls = st.lists(st.floats(0, 100), min_size=2, max_size=8).map(np.array)


@st.composite
def runs(draw: st.DrawFn) -> ClassRecalls:
    """Draw the recalls of a run with two to eight seen and unseen classes."""
    unseen = draw(recalls)
    zero_shot = draw(st.lists(st.floats(0, 100), min_size=len(unseen), max_size=len(unseen)).map(np.array))
    return ClassRecalls(draw(recalls), unseen, zero_shot)


def slow_intervals(run: ClassRecalls) -> dict[str, tuple[float, float]]:
    """Draw classes one draw at a time with the same random numbers, and sort the metrics."""
    random = np.random.default_rng(0)
    seen = random.integers(len(run.seen), size=(DRAWS, len(run.seen)))
    unseen = random.integers(len(run.unseen), size=(DRAWS, len(run.unseen)))
    values: dict[str, list[float]] = {"S": [], "U": [], "HM": [], "ZSL": []}
    for of_seen, of_unseen in zip(seen, unseen, strict=True):
        s = math.fsum(run.seen[index] for index in of_seen) / len(of_seen)
        u = math.fsum(run.unseen[index] for index in of_unseen) / len(of_unseen)
        values["S"].append(s)
        values["U"].append(u)
        values["HM"].append(2 * s * u / (s + u) if s + u else 0.0)
        values["ZSL"].append(math.fsum(run.zero_shot[index] for index in of_unseen) / len(of_unseen))
    return {name: tuple(np.quantile(sorted(of_metric), [0.025, 0.975])) for name, of_metric in values.items()}


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_the_intervals_equal_those_of_drawing_one_by_one(classes: int) -> None:
    """Seen classes are drawn for S, unseen ones for U and ZSL, and both for HM."""
    random = np.random.default_rng(classes)
    run = ClassRecalls(*(random.uniform(0, 100, size) for size in (classes + 2, classes, classes)))
    expected = slow_intervals(run)
    for name, interval in bootstrap_intervals([run]).items():
        assert interval == pytest.approx(expected[name])


def slow_paired_zsl(above: list[ClassRecalls], below: list[ClassRecalls]) -> tuple[float, float]:
    """Draw the classes of both methods and the seeds of each, one draw at a time, with the same random numbers."""
    random = np.random.default_rng(0)
    random.integers(len(above[0].seen), size=(DRAWS, len(above[0].seen)))
    classes = random.integers(len(above[0].unseen), size=(DRAWS, len(above[0].unseen)))
    means = []
    for runs_of_method in (above, below):
        seeds = random.integers(len(runs_of_method), size=(len(runs_of_method), DRAWS))
        means.append(
            [
                math.fsum(
                    math.fsum(runs_of_method[seed].zero_shot[index] for index in classes[draw]) / len(classes[draw])
                    for seed in seeds[:, draw]
                )
                / len(runs_of_method)
                for draw in range(DRAWS)
            ]
        )
    differences = [first - second for first, second in zip(*means, strict=True)]
    low, high = np.quantile(differences, [0.025, 0.975])
    return float(low), float(high)


def some_runs(count: int, seed: int) -> list[ClassRecalls]:
    """Make runs on six seen and five unseen classes."""
    random = np.random.default_rng(seed)
    return [ClassRecalls(*(random.uniform(0, 100, size) for size in (6, 5, 5))) for _ in range(count)]


def test_paired_intervals_equal_those_of_drawing_one_by_one() -> None:
    """The same classes count for both methods; each method's seeds are drawn too."""
    above, below = some_runs(3, 0), some_runs(2, 1)
    assert paired_intervals(above, below)["ZSL"] == pytest.approx(slow_paired_zsl(above, below))


def test_a_method_that_is_better_by_the_same_amount_in_every_class_has_no_spread() -> None:
    """What both methods find easy or hard does not widen the interval; with equal runs it cannot be known."""
    (run,) = some_runs(1, 0)
    better = ClassRecalls(run.seen + 5, run.unseen + 5, run.zero_shot + np.array([5, 5, 5, 5, 6.0]))
    low, high = paired_intervals([better], [run])["ZSL"]
    assert 5 - 1e-9 <= low <= high <= 6
    assert all(math.isnan(limit) for limit in paired_intervals([run], [run])["S"])


def test_runs_on_other_classes_cannot_be_paired() -> None:
    """Their classes have nothing to do with each other."""
    (run,) = some_runs(1, 0)
    with pytest.raises(ValueError, match="give runs on the same classes"):
        paired_intervals([run], [ClassRecalls(run.seen[1:], run.unseen, run.zero_shot)])


@given(runs())
def test_an_interval_lies_within_the_recalls_and_around_their_middle(run: ClassRecalls) -> None:
    """No mean of drawn classes is outside the lowest and highest recall; equal runs give the same interval."""
    found = bootstrap_intervals([run])
    for name, values in (("S", run.seen), ("U", run.unseen), ("ZSL", run.zero_shot)):
        low, high = found[name]
        assert math.isnan(low) or values.min() - 1e-9 <= low <= high <= values.max() + 1e-9
    for name, interval in bootstrap_intervals([run, run]).items():
        assert interval == pytest.approx(found[name], nan_ok=True)


def test_the_interval_of_many_classes_is_that_of_a_mean() -> None:
    """With 400 classes it is the mean plus and minus 1.96 standard errors."""
    seen = np.random.default_rng(0).uniform(0, 100, 400)
    low, high = bootstrap_intervals([ClassRecalls(seen, seen, seen)])["S"]
    error = 1.96 * seen.std() / 20
    assert (low, high) == pytest.approx((seen.mean() - error, seen.mean() + error), abs=0.15 * error)


def test_fewer_than_two_classes_have_no_interval() -> None:
    """Their spread is not known; HM needs both kinds."""
    found = bootstrap_intervals([ClassRecalls(np.array([1.0, 2.0]), np.array([3.0]), np.array([3.0]))])
    assert found["S"] == (1.0, 2.0)
    assert all(math.isnan(bound) for name in ("U", "HM", "ZSL") for bound in found[name])
    empty = ClassRecalls(np.zeros(0), np.zeros(0), np.zeros(0))
    assert all(math.isnan(bound) for bounds in bootstrap_intervals([empty]).values() for bound in bounds)


def test_the_interval_of_several_runs_is_that_of_their_mean() -> None:
    """All runs use the same draws of classes: opposite recalls cancel out."""
    seen = np.array([0.0, 100.0, 50.0])
    up, down = ClassRecalls(seen, seen, seen), ClassRecalls(100 - seen, 100 - seen, 100 - seen)
    assert all(map(math.isnan, bootstrap_intervals([up, down])["S"]))  # always 50, as if there were one class
    half = ClassRecalls(100 - seen / 2, seen, seen)
    assert bootstrap_intervals([up, half])["S"] == pytest.approx(
        tuple(50 + bound / 4 for bound in bootstrap_intervals([up])["S"])
    )


@pytest.mark.parametrize("recall", [0.0, 100.0])
def test_equal_classes_have_no_interval(recall: float) -> None:
    """An interval without width would claim a certainty that a few clips do not give."""
    equal, other = np.full(2, recall), np.array([10.0, 30.0])
    found = bootstrap_intervals([ClassRecalls(equal, other, other)])
    assert all(map(math.isnan, found["S"]))
    assert found["U"] == (10.0, 30.0)
