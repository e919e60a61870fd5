"""Scores of generalised zero-shot learning: per-class recall, calibrated stacking, and its exact optimum.

N videos, C classes. `distances` (N, C): smaller is likelier, and every one is finite. `labels` (N,): places of the
true classes. `seen` (C,): which classes were trained on. Scores are in percent.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
_SAME_PERCENT = 1e-9  # two harmonic means nearer than this differ by rounding alone
_TEMPERATURES = (1e-3, 1e3)
_MOST_STEPS = 60


@dataclass(frozen=True)
class Scores:
    """Percent; NaN where a group of classes has no samples. Named as in the literature."""

    S: float  # mean recall of seen classes, choosing among all classes
    U: float  # mean recall of unseen classes, choosing among all classes
    HM: float  # harmonic mean of both
    ZSL: float  # mean recall of unseen classes, choosing among unseen classes only
    beta: float  # what calibrated stacking added to the distances of seen classes


def gzsl_scores(distances: ArrayLike, labels: ArrayLike, seen: ArrayLike, beta: float) -> Scores:
    """S, U, HM and ZSL of distances (N, C) at one beta; classes without samples are left out of the means.

    Raises:
        ValueError: shapes that do not fit, labels that are no classes, or distances that are not finite.
    """
    checked, places, is_seen = _checked(distances, labels, seen)
    recall = recall_per_class(gzsl_predictions(checked, is_seen, beta), places, len(is_seen))
    unseen = np.flatnonzero(~is_seen)
    among_unseen = np.full(len(places), -1)
    if len(unseen):
        among_unseen = unseen[np.argmin(checked[:, unseen], axis=1)]
    zero_shot = recall_per_class(among_unseen, places, len(is_seen))
    recall_seen, recall_unseen = _mean(recall[is_seen]), _mean(recall[~is_seen])
    return Scores(
        S=recall_seen,
        U=recall_unseen,
        HM=float(_harmonic_mean(np.float64(recall_seen), np.float64(recall_unseen))),
        ZSL=_mean(zero_shot[~is_seen]),
        beta=float(beta),
    )


def gzsl_predictions(distances: ArrayLike, seen: ArrayLike, beta: float) -> Places:
    """The nearest class (N,) of each video after adding beta to the distances (N, C) of seen classes.

    Between a seen and an unseen class that are then equally near, the unseen one is chosen; else the first.
    """
    rivals = _rivals(np.asarray(distances, np.float64), np.asarray(seen, bool))
    return np.where(beta < rivals.crossing, rivals.seen, rivals.unseen)


def best_beta(distances: ArrayLike, labels: ArrayLike, seen: ArrayLike) -> float:
    """The beta with the highest HM of all real numbers.

    A video's prediction changes only where beta passes the gap between its nearest seen and its nearest unseen class,
    so HM is constant between neighbouring gaps, and trying each interval finds the optimum. Where several stretches
    of betas share it, the widest is taken, of equally wide ones the lowest, and of that the middle: the farthest from
    a change. Below the lowest gap and above the highest HM is 0, so an endless stretch never wins; where HM is 0
    everywhere, or seen or unseen classes have no samples, there is nothing to calibrate and beta is 0.

    Raises:
        ValueError: as `gzsl_scores`.
    """
    checked, places, is_seen = _checked(distances, labels, seen)
    if not (is_seen[places].any() and (~is_seen[places]).any()):
        return 0.0
    rivals = _rivals(checked, is_seen)
    # What a right answer of a video adds to the mean recall of its group of classes.
    samples = np.bincount(places, minlength=len(is_seen))
    classes_with_samples = np.where(is_seen, *(np.count_nonzero(samples[group]) for group in (is_seen, ~is_seen)))
    worth = 100.0 / (samples * np.maximum(classes_with_samples, 1))[places]
    right_seen = np.where(rivals.seen == places, worth, 0.0)
    right_unseen = np.where(rivals.unseen == places, worth, 0.0)
    order = np.argsort(rivals.crossing, kind="stable")
    # Behind its gap, a video that was rightly called seen is lost, and one that is rightly called unseen is won.
    recall_seen = right_seen.sum() - np.cumsum(right_seen[order])
    recall_unseen = np.cumsum(right_unseen[order])
    gaps = rivals.crossing[order]
    last = np.append(gaps[1:] != gaps[:-1], True)  # videos of equal gaps change together
    gaps, means = gaps[last], _harmonic_mean(recall_seen[last], recall_unseen[last])
    return _middle_of_widest(gaps, means)


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


def classes_without_samples(labels: ArrayLike, n_classes: int) -> Places:
    """Places of the classes that no label (N,) names, ascending."""
    return np.flatnonzero(np.bincount(np.asarray(labels, np.int64), minlength=n_classes) == 0)


def confusion_matrix(predictions: ArrayLike, labels: ArrayLike, n_classes: int) -> Places:
    """Counts (C, C): a row a true class, a column a predicted one."""
    predicted, true = np.asarray(predictions, np.int64), np.asarray(labels, np.int64)
    return np.bincount(true * n_classes + predicted, minlength=n_classes**2).reshape(n_classes, n_classes)


def best_temperature(distances: ArrayLike, labels: ArrayLike) -> float:
    """The temperature at which softmax(-distance / temperature) gives the labels the highest likelihood.

    Between 0.001 and 1000, to a thousandth of itself; 1 where there are no videos. The negative log likelihood is
    convex in 1 / temperature, so Newton's steps within a shrinking bracket find its one minimum.

    Raises:
        ValueError: as `gzsl_scores`.
    """
    checked, places, _ = _checked(distances, labels, None)
    if not len(places):
        return 1.0
    # Only differences count: from the nearest class on, exponents are at most 0.
    excess = checked - checked.min(axis=1, keepdims=True)
    excess_of_label = excess[np.arange(len(places)), places].mean()
    low, high = 1 / _TEMPERATURES[1], 1 / _TEMPERATURES[0]
    inverse = float(np.clip(1 / max(float(excess.mean()), 1e-12), low, high))
    for _ in range(_MOST_STEPS):
        mean, variance = _moments(excess, inverse)
        slope = excess_of_label - mean  # of the negative log likelihood
        low, high = (low, inverse) if slope > 0 else (inverse, high)
        newton = inverse - slope / variance if variance > 0 else np.inf
        # Outside the bracket, halve it on the scale on which temperatures differ: the logarithm.
        following = float(newton) if low < newton < high else float(np.sqrt(low * high))
        if abs(following - inverse) <= 1e-3 * inverse:
            return 1 / following
        inverse = following
    return 1 / inverse


def probabilities(distances: ArrayLike, temperature: float) -> Floats:
    """softmax(-distance / temperature) over classes, (N, C)."""
    exponents = -np.asarray(distances, np.float64) / temperature
    weights: Floats = np.exp(exponents - exponents.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return weights


@dataclass(frozen=True)
class _Rivals:
    """Each video's nearest seen and nearest unseen class, (N,), and the beta from which the unseen one is nearer."""

    seen: Places
    unseen: Places
    crossing: Floats


def _rivals(distances: Floats, seen: NDArray[np.bool_]) -> _Rivals:
    nearest = {group: _nearest(distances, seen == group) for group in (True, False)}
    # Where a group has no classes, its distance is infinite and the other is chosen at every beta.
    return _Rivals(nearest[True][0], nearest[False][0], nearest[False][1] - nearest[True][1])


def _nearest(distances: Floats, allowed: NDArray[np.bool_]) -> tuple[Places, Floats]:
    """The nearest of the allowed classes (N,) and its distance."""
    classes = np.flatnonzero(allowed)
    if not len(classes):
        return np.full(len(distances), -1), np.full(len(distances), np.inf)
    among = distances[:, classes]
    first = np.argmin(among, axis=1)
    return classes[first], among[np.arange(len(among)), first]


def _middle_of_widest(gaps: Floats, means: Floats) -> float:
    """The middle of the widest stretch of betas with the highest mean; mean k holds from gap k to gap k + 1."""
    best = means[:-1].max(initial=0.0)
    if best <= 0:
        return 0.0
    is_best = np.concatenate([[False], means[:-1] >= best - _SAME_PERCENT, [False]])
    edges = np.flatnonzero(np.diff(is_best.astype(np.int8)))  # alternately where a stretch begins and ends
    begins, ends = gaps[edges[::2]], gaps[edges[1::2]]
    widest = int(np.argmax(ends - begins))
    middle = float(begins[widest] + (ends[widest] - begins[widest]) / 2)
    return middle if middle < ends[widest] else float(begins[widest])  # neighbouring floats have no middle


def _harmonic_mean(first: Floats | np.float64, second: Floats | np.float64) -> Floats:
    """2ab / (a + b), 0 where both are 0."""
    both = np.asarray(first + second)
    return np.where(both == 0, 0.0, 2 * first * second / np.where(both == 0, 1.0, both))


def _mean(recall: Floats) -> float:
    """Mean over classes with samples; NaN where there are none."""
    with_samples = recall[~np.isnan(recall)]
    return float(with_samples.mean()) if len(with_samples) else float("nan")


def _moments(excess: Floats, inverse_temperature: float) -> tuple[float, float]:
    """Mean and variance of the excess distance (N, C) under the softmax, averaged over videos."""
    weights = np.exp(-inverse_temperature * excess)
    total = weights.sum(axis=1)
    mean = np.einsum("nc,nc->n", weights, excess) / total
    square = np.einsum("nc,nc,nc->n", weights, excess, excess) / total
    return float(mean.mean()), float((square - mean**2).mean())


def _checked(
    distances: ArrayLike, labels: ArrayLike, seen: ArrayLike | None
) -> tuple[Floats, Places, NDArray[np.bool_]]:
    """The three as arrays that fit together."""
    rows, places = np.asarray(distances, np.float64), np.asarray(labels, np.int64)
    if rows.ndim != 2 or places.shape != rows.shape[:1]:
        raise ValueError(f"distances {rows.shape} and labels {places.shape}: expected (N, C) and (N,)")
    is_seen = np.zeros(rows.shape[1], bool) if seen is None else np.asarray(seen, bool)
    if is_seen.shape != rows.shape[1:]:
        raise ValueError(f"seen {is_seen.shape} for distances {rows.shape}: expected a flag a class")
    if len(places) and not 0 <= places.min() <= places.max() < rows.shape[1]:
        raise ValueError(f"labels from {places.min()} to {places.max()}: expected places of {rows.shape[1]} classes")
    if not np.isfinite(rows).all():
        row = int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
        raise ValueError(f"the distances of video {row} are not all finite: an absent modality needs a distance too")
    return rows, places, is_seen
