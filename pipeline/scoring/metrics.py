"""Metrics of generalised zero-shot learning: per-class recall among all classes and among the unseen ones.

N videos, C classes. `labels` (N,): places of the true classes. Metrics are in percent.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pipeline.scoring.nearest_classes import Floats, Indices, NearestClasses

METRICS = ("S", "U", "HM", "ZSL")


@dataclass(frozen=True)
class Metrics:
    """Percent; NaN where a group of classes has no samples. Named as in the literature."""

    S: float  # mean recall of seen classes, choosing among all classes
    U: float  # mean recall of unseen classes, choosing among all classes
    HM: float  # harmonic mean of both
    ZSL: float  # mean recall of unseen classes, choosing among unseen classes only
    beta: float  # what calibrated stacking added to the distances of seen classes


def gzsl_metrics(nearest: NearestClasses, labels: ArrayLike, beta: float) -> Metrics:
    """S, U, HM and ZSL of N videos at one beta; classes without samples are left out of the means.

    Raises:
        ValueError: labels that do not fit the videos, or are no classes.
    """
    places, seen = nearest.checked_labels(labels), nearest.seen
    recall = recall_per_class(nearest.predictions(beta), places, len(seen))
    zero_shot = recall_per_class(nearest.nearest_unseen, places, len(seen))
    recall_seen, recall_unseen = _mean(recall[seen]), _mean(recall[~seen])
    return Metrics(
        S=recall_seen,
        U=recall_unseen,
        HM=float(harmonic_mean(np.float64(recall_seen), np.float64(recall_unseen))),
        ZSL=_mean(zero_shot[~seen]),
        beta=float(beta),
    )


def recall_per_class(predictions: ArrayLike, labels: ArrayLike, n_classes: int) -> Floats:
    """Percent (C,) of each class's videos that were predicted as it; NaN for a class without samples.

    Args:
        predictions: (N,) places of classes; -1 is no class and wrong.
        labels: (N,) places of the true classes.
        n_classes: C.
    """
    predicted, true = np.asarray(predictions), np.asarray(labels, np.int64)
    samples = np.bincount(true, minlength=n_classes)
    hits = np.bincount(true[predicted == true], minlength=n_classes)
    return np.where(samples > 0, 100.0 * hits / np.maximum(samples, 1), np.nan)


def classes_without_samples(labels: ArrayLike, n_classes: int) -> Indices:
    """Indices of the classes that no label (N,) names, ascending."""
    return np.flatnonzero(np.bincount(np.asarray(labels, np.int64), minlength=n_classes) == 0)


def confusion_matrix(predictions: ArrayLike, labels: ArrayLike, n_classes: int) -> Indices:
    """Counts (C, C): a row a true class, a column a predicted one."""
    predicted, true = np.asarray(predictions, np.int64), np.asarray(labels, np.int64)
    return np.bincount(true * n_classes + predicted, minlength=n_classes**2).reshape(n_classes, n_classes)


def harmonic_mean(first: Floats | np.float64, second: Floats | np.float64) -> Floats:
    """2ab / (a + b), 0 where both are 0."""
    both = np.asarray(first + second)
    return np.where(both == 0, 0.0, 2 * first * second / np.where(both == 0, 1.0, both))


def probabilities(distances: ArrayLike, temperature: float) -> Floats:
    """softmax(-distance / temperature) over classes, (N, C)."""
    exponents = -np.asarray(distances, np.float64) / temperature
    weights: Floats = np.exp(exponents - exponents.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return weights


def _mean(recall: Floats) -> float:
    """Mean over classes with samples; NaN where there are none."""
    with_samples = recall[~np.isnan(recall)]
    return float(with_samples.mean()) if len(with_samples) else float("nan")


def mean_and_deviation(runs: Sequence[Mapping[str, float | None]]) -> tuple[dict[str, float], dict[str, float]]:
    """Mean and sample standard deviation (n - 1 in the denominator) of S, U, HM and ZSL over runs.

    A figure that is not defined in every run has a mean of NaN; the deviation of a single run is NaN.
    """
    mean: dict[str, float] = {}
    deviation: dict[str, float] = {}
    for name in METRICS:
        known = [value for run in runs if (value := run.get(name)) is not None and math.isfinite(value)]
        everywhere = len(known) == len(runs)
        mean[name] = statistics.fmean(known) if everywhere else math.nan
        deviation[name] = statistics.stdev(known) if everywhere and len(runs) > 1 else math.nan
    return mean, deviation
