"""Calibration on validation videos: the beta of calibrated stacking, and the temperature of the softmax.

N videos, C classes. `labels` (N,): places of the true classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pipeline.scoring.metrics import harmonic_mean
from pipeline.scoring.nearest_classes import Floats, Places, Rivals, check_places

_SAME_PERCENT = 1e-9  # two harmonic means nearer than this differ by rounding alone
_TEMPERATURES = (1e-3, 1e3)
_MOST_STEPS = 60


@dataclass(frozen=True)
class Grid:
    """Betas among which published code chooses the one with the highest validation HM."""

    name: str
    used_by: str
    betas: tuple[float, ...]  # ascending


def _grid(name: str, used_by: str, last: float, count: int) -> Grid:
    return Grid(name, used_by, tuple(np.linspace(0, last, count).tolist()))


# As the public code of the three methods has them (benchmark.md, Protocol): figures at their betas compare with
# figures in their papers. Both end too early where distances are large, which is why our beta is the exact optimum.
PUBLISHED_GRIDS = (_grid("avca", "AVCA, TCAF", 3, 16), _grid("clipclap", "ClipClap", 5, 76))


@dataclass(frozen=True)
class HarmonicMeans:
    """HM as a function of beta: constant between neighbouring gaps, for only there a prediction changes.

    A gap is the beta at which a video's nearest seen and nearest unseen class are equally far.
    """

    gaps: Floats  # (K,) ascending, each once
    means: Floats  # (K + 1,) percent: below the first gap, then from each gap on

    @classmethod
    def over_betas(cls, rivals: Rivals, labels: ArrayLike) -> "HarmonicMeans":
        """HM of N videos at every beta, after one sort; 0 everywhere where seen or unseen classes have no samples.

        Raises:
            ValueError: labels that do not fit the videos, or are no classes.
        """
        places, seen = rivals.checked_labels(labels), rivals.seen
        if not (seen[places].any() and (~seen[places]).any()):
            return cls(np.zeros(0), np.zeros(1))
        worth = _worth(places, rivals)
        right_seen = np.where(rivals.nearest_seen == places, worth, 0.0)
        right_unseen = np.where(rivals.nearest_unseen == places, worth, 0.0)
        order = np.argsort(rivals.gaps, kind="stable")
        gaps = rivals.gaps[order]
        # From its gap on, a video that was rightly called seen is lost, and one that is rightly called unseen is won.
        recall_seen = np.append(np.cumsum(right_seen[order][::-1])[::-1], 0.0)
        recall_unseen = np.append(0.0, np.cumsum(right_unseen[order]))
        last = np.append(gaps[1:] != gaps[:-1], True)  # videos of equal gaps change together
        means = harmonic_mean(recall_seen, recall_unseen)
        return cls(gaps[last], means[np.append(True, last)])

    def best_beta(self) -> float:
        """The beta with the highest HM of all real numbers.

        Where several stretches of betas share it, the widest is taken, of equally wide ones the lowest, and of that
        the middle: the farthest from a change. Below the first gap and from the last one on HM is 0, so an endless
        stretch never wins; where HM is 0 everywhere there is nothing to calibrate and beta is 0.
        """
        best = self.means.max()
        if best <= 0:
            return 0.0
        edges = np.flatnonzero(np.diff(self.means >= best - _SAME_PERCENT))  # where a stretch begins, ends, begins ...
        begins, ends = self.gaps[edges[::2]], self.gaps[edges[1::2]]
        widest = int(np.argmax(ends - begins))
        middle = float(begins[widest] + (ends[widest] - begins[widest]) / 2)
        return middle if middle < ends[widest] else float(begins[widest])  # neighbouring floats have no middle

    def best_of(self, betas: Sequence[float]) -> float:
        """Of some betas the one with the highest HM; of equals the first."""
        means = self.means[np.searchsorted(self.gaps, betas, side="right")]
        return float(betas[int(np.argmax(means >= means.max() - _SAME_PERCENT))])


def best_temperature(distances: ArrayLike, labels: ArrayLike) -> float:
    """The temperature at which softmax(-distance / temperature) gives the labels the highest likelihood.

    Between 0.001 and 1000, to a thousandth of itself; 1 where there are no videos. The negative log likelihood is
    convex in 1 / temperature, so Newton's steps within a shrinking bracket find its one minimum.

    Args:
        distances: (N, C), finite.
        labels: (N,).

    Raises:
        ValueError: shapes that do not fit, or labels that are no classes.
    """
    rows, places = np.asarray(distances, np.float64), np.asarray(labels, np.int64)
    if rows.ndim != 2 or places.shape != rows.shape[:1]:
        raise ValueError(f"distances {rows.shape} and labels {places.shape}: expected (N, C) and (N,)")
    check_places(places, rows.shape[1])
    if not len(places):
        return 1.0
    # Only differences count: from the nearest class on, exponents are at most 0.
    excess = rows - rows.min(axis=1, keepdims=True)
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


def _worth(places: Places, rivals: Rivals) -> Floats:
    """What a right answer of each video (N,) adds to the mean recall of its group of classes, percent."""
    samples = np.bincount(places, minlength=len(rivals.seen))
    classes_with_samples = np.where(
        rivals.seen, *(np.count_nonzero(samples[group]) for group in (rivals.seen, ~rivals.seen))
    )
    return 100.0 / (samples[places] * classes_with_samples[places])


def _moments(excess: Floats, inverse_temperature: float) -> tuple[float, float]:
    """Mean and variance of the excess distance (N, C) under the softmax, averaged over videos."""
    weights = np.exp(-inverse_temperature * excess)
    total = weights.sum(axis=1)
    mean = np.einsum("nc,nc->n", weights, excess) / total
    square = np.einsum("nc,nc,nc->n", weights, excess, excess) / total
    return float(mean.mean()), float((square - mean**2).mean())
