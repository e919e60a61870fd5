"""Metrics of generalised zero-shot learning: per-class recall among all classes and among the unseen ones.

Legend: N videos, C classes. `labels` (N,) are the indices of the true classes. Metrics are in percent.
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
    """The metrics in percent, named as in the literature; NaN if a group of classes has no samples."""

    S: float  # mean recall of seen classes; predictions among all classes
    U: float  # mean recall of unseen classes; predictions among all classes
    HM: float  # harmonic mean of S and U
    ZSL: float  # mean recall of unseen classes; predictions among unseen classes only
    beta: float  # number added to the distances of seen classes (calibrated stacking)


def gzsl_metrics(nearest: NearestClasses, labels: ArrayLike, beta: float) -> Metrics:
    """Compute S, U, HM and ZSL of N videos at one beta; classes without samples are left out of the means.

    Raises:
        ValueError: labels do not fit the videos, or are not indices of classes.
    """
    indices, seen = nearest.checked_labels(labels), nearest.seen
    recall = recall_per_class(nearest.predictions(beta), indices, len(seen))
    zero_shot = recall_per_class(nearest.nearest_unseen, indices, len(seen))
    recall_seen, recall_unseen = _mean(recall[seen]), _mean(recall[~seen])
    return Metrics(
        S=recall_seen,
        U=recall_unseen,
        HM=float(harmonic_mean(np.float64(recall_seen), np.float64(recall_unseen))),
        ZSL=_mean(zero_shot[~seen]),
        beta=float(beta),
    )


def recall_per_class(predictions: ArrayLike, labels: ArrayLike, n_classes: int) -> Floats:
    """Compute the recall (C,) of each class in percent; NaN for a class without samples.

    Args:
        predictions: (N,) indices of the predicted classes; -1 stands for no class and is wrong.
        labels: (N,) indices of the true classes.
        n_classes: C.
    """
    predicted, true = np.asarray(predictions), np.asarray(labels, np.int64)
    samples = np.bincount(true, minlength=n_classes)
    hits = np.bincount(true[predicted == true], minlength=n_classes)
    return np.where(samples > 0, 100.0 * hits / np.maximum(samples, 1), np.nan)


def classes_without_samples(labels: ArrayLike, n_classes: int) -> Indices:
    """Find the indices of the classes without a label in `labels` (N,), ascending."""
    return np.flatnonzero(np.bincount(np.asarray(labels, np.int64), minlength=n_classes) == 0)


def confusion_matrix(predictions: ArrayLike, labels: ArrayLike, n_classes: int) -> Indices:
    """Count videos (C, C) by true class (rows) and predicted class (columns)."""
    predicted, true = np.asarray(predictions, np.int64), np.asarray(labels, np.int64)
    return np.bincount(true * n_classes + predicted, minlength=n_classes**2).reshape(n_classes, n_classes)


def harmonic_mean(first: Floats | np.float64, second: Floats | np.float64) -> Floats:
    """Compute 2ab / (a + b); 0 if both are 0."""
    both = np.asarray(first + second)
    return np.where(both == 0, 0.0, 2 * first * second / np.where(both == 0, 1.0, both))


def probabilities(distances: ArrayLike, temperature: float) -> Floats:
    """Compute softmax(-distance / temperature) over classes, (N, C)."""
    exponents = -np.asarray(distances, np.float64) / temperature
    weights: Floats = np.exp(exponents - exponents.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return weights


def _mean(recall: Floats) -> float:
    """Average over the classes with samples; NaN if there are none."""
    with_samples = recall[~np.isnan(recall)]
    return float(with_samples.mean()) if len(with_samples) else float("nan")


def mean_and_deviation(runs: Sequence[Mapping[str, float | None]]) -> tuple[dict[str, float], dict[str, float]]:
    """Compute mean and sample standard deviation (n - 1 in the denominator) of S, U, HM and ZSL over runs.

    A metric that is not defined in every run has the mean NaN; the deviation of a single run is NaN.
    """
    mean: dict[str, float] = {}
    deviation: dict[str, float] = {}
    for name in METRICS:
        known = [value for run in runs if (value := run.get(name)) is not None and math.isfinite(value)]
        everywhere = len(known) == len(runs)
        mean[name] = statistics.fmean(known) if everywhere else math.nan
        deviation[name] = statistics.stdev(known) if everywhere and len(runs) > 1 else math.nan
    return mean, deviation
