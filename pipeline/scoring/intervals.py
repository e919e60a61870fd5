"""Bootstrap intervals of the metrics over classes: how much they depend on the classes that the test happened to have.

Legend: R draws, S seen and U unseen classes with samples.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.scoring.metrics import METRICS, ClassRecalls, harmonic_mean
from pipeline.scoring.nearest_classes import Floats, Indices

LEVEL = 0.95
DRAWS = 2000
# Lowest and highest value, in percent; NaN if there are fewer than two classes, or if all of them are equal.
Interval = tuple[float, float]
_SAME_PERCENT = 1e-9  # a smaller difference comes from rounding
FEW_CLASSES = 10  # of one kind: the bootstrap then makes intervals that are too narrow


def bootstrap_intervals(runs: Sequence[ClassRecalls]) -> dict[str, Interval]:
    """Compute 95 % intervals of S, U, HM and ZSL by drawing classes with replacement.

    Seen and unseen classes are drawn separately; U and ZSL use the same draws. Equal arguments give equal intervals.

    Args:
        runs: the recalls of one run; of several runs on the same classes, for intervals of the mean over the runs.
    """
    random = np.random.default_rng(0)
    seen, unseen = (_draws(len(group), random) for group in (runs[0].seen, runs[0].unseen))
    values = _metrics_of_draws(runs, seen, unseen)
    return {name: _interval(np.mean(of_runs, axis=0)) for name, of_runs in values.items()}


def paired_intervals(runs: Sequence[ClassRecalls], others: Sequence[ClassRecalls]) -> dict[str, Interval]:
    """Compute 95 % intervals of how much S, U, HM and ZSL of one method are above those of another.

    Classes are drawn with replacement, the same ones for both methods, because easy classes are easy for both. Of each
    method, seeds are drawn too. Equal arguments give equal intervals.

    Args:
        runs: the recalls of the runs of one method, one per seed.
        others: those of the other method, on the same classes.

    Raises:
        ValueError: other numbers of classes.
    """
    sizes = {(len(run.seen), len(run.unseen)) for run in (*runs, *others)}
    if len(sizes) > 1:
        raise ValueError(f"runs with {sorted(sizes)} seen and unseen classes: give runs on the same classes")
    random = np.random.default_rng(0)
    seen, unseen = (_draws(len(group), random) for group in (runs[0].seen, runs[0].unseen))
    above, below = (_drawn_means(each, seen, unseen, random) for each in (runs, others))
    return {name: _interval(above[name] - below[name]) for name in METRICS}


def _drawn_means(
    runs: Sequence[ClassRecalls], seen: Indices, unseen: Indices, random: np.random.Generator
) -> dict[str, Floats]:
    """Average the metrics over runs drawn with replacement: metric -> means (R,)."""
    drawn = random.integers(len(runs), size=(len(runs), DRAWS))
    values = _metrics_of_draws(runs, seen, unseen)
    return {name: np.take_along_axis(np.stack(of_runs), drawn, axis=0).mean(axis=0) for name, of_runs in values.items()}


def _metrics_of_draws(runs: Sequence[ClassRecalls], seen: Indices, unseen: Indices) -> dict[str, list[Floats]]:
    """Compute the metrics of each draw of classes: metric -> one array (R,) per run."""
    values: dict[str, list[Floats]] = {name: [] for name in METRICS}
    for run in runs:
        of_seen, of_unseen = _means(run.seen, seen), _means(run.unseen, unseen)
        values["S"].append(of_seen)
        values["U"].append(of_unseen)
        values["HM"].append(harmonic_mean(of_seen, of_unseen))
        values["ZSL"].append(_means(run.zero_shot, unseen))
    return values


def intervals_to_json(intervals: Mapping[str, Mapping[str, Interval]]) -> dict[str, Any]:
    """Make the entry of a JSON document: score -> metric -> [lowest, highest], with their level and number of draws."""
    by_score = {score: {name: list(pair) for name, pair in of_score.items()} for score, of_score in intervals.items()}
    return {**by_score, "level": LEVEL, "draws": DRAWS}


def _draws(classes: int, random: np.random.Generator) -> Indices:
    """Draw indices of classes (R, classes); none if there are fewer than two, whose spread is not known."""
    drawn = classes if classes > 1 else 0
    return random.integers(max(drawn, 1), size=(DRAWS, drawn))


def _means(recalls: Floats, draws: Indices) -> Floats:
    """Average the recalls of each draw (R,); NaN without draws."""
    return recalls[draws].mean(axis=1) if draws.shape[1] else np.full(DRAWS, np.nan)


def _interval(values: Floats) -> Interval:
    if np.ptp(values) < _SAME_PERCENT:  # the classes are equal, so that their spread is not known
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
