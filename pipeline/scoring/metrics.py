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
_BINS = 15  # of the expected calibration error, as in the literature (Guo et al. 2017)


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
    recalls = class_recalls(nearest, labels, beta)
    recall_seen, recall_unseen = _mean(recalls.seen), _mean(recalls.unseen)
    return Metrics(
        S=recall_seen,
        U=recall_unseen,
        HM=float(harmonic_mean(np.float64(recall_seen), np.float64(recall_unseen))),
        ZSL=_mean(recalls.zero_shot),
        beta=float(beta),
    )


@dataclass(frozen=True)
class ClassRecalls:
    """The recall of each class with samples, in percent. Legend: S seen and U unseen classes."""

    seen: Floats  # (S,) predictions among all classes
    unseen: Floats  # (U,) predictions among all classes
    zero_shot: Floats  # (U,) predictions among unseen classes only


def class_recalls(nearest: NearestClasses, labels: ArrayLike, beta: float) -> ClassRecalls:
    """Compute the recall of each class at one beta; classes without samples are left out.

    Raises:
        ValueError: labels do not fit the videos, or are not indices of classes.
    """
    indices, seen = nearest.checked_labels(labels), nearest.seen
    recall = recall_per_class(nearest.predictions(beta), indices, len(seen))
    zero_shot = recall_per_class(nearest.nearest_unseen, indices, len(seen))
    known = ~np.isnan(recall)
    return ClassRecalls(recall[seen & known], recall[~seen & known], zero_shot[~seen & known])


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


@dataclass(frozen=True)
class CalibrationError:
    """How far the probabilities of first classes are from the fraction of them that is right, all from 0 to 1."""

    value: float  # the mean over equally wide bins of probability, weighted by their videos; NaN without videos
    bins: int
    videos: int
    mean_confidence: float  # mean probability of the first class
    accuracy: float  # fraction of videos whose first class is right


def expected_calibration_error(distances: ArrayLike, labels: ArrayLike, temperature: float) -> CalibrationError:
    """Compare the probability of each video's first class with how often it is right.

    Args:
        distances: (N, C), calibrated.
        labels: (N,) indices of the true classes.
        temperature: temperature of the softmax.
    """
    chances, true = probabilities(distances, temperature), np.asarray(labels, np.int64)
    if not len(true):
        return CalibrationError(math.nan, _BINS, 0, math.nan, math.nan)
    confidence, right = chances.max(axis=1), chances.argmax(axis=1) == true
    bins = np.minimum((confidence * _BINS).astype(np.int64), _BINS - 1)
    # The gap of a bin times its share of the videos is the difference of two sums over its videos.
    gaps = np.bincount(bins, confidence - right, minlength=_BINS)
    return CalibrationError(
        value=float(np.abs(gaps).sum() / len(true)),
        bins=_BINS,
        videos=len(true),
        mean_confidence=float(confidence.mean()),
        accuracy=float(right.mean()),
    )


def _mean(recall: Floats) -> float:
    """Average over classes; NaN if there are none."""
    return float(recall.mean()) if len(recall) else float("nan")


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
