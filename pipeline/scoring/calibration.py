"""Calibration on validation videos: the beta of calibrated stacking, and the temperature of the softmax.

Legend: N videos, C classes, K betas. `labels` (N,) are the indices of the true classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.scoring.metrics import harmonic_mean
from pipeline.scoring.nearest_classes import Flags, Floats, Indices, NearestClasses, check_labels

_SAME_PERCENT = 1e-9  # a smaller difference of two harmonic means comes from rounding
# How a beta of stage 1 carries over to the network of stage 2 (pipeline/scoring/README.md has the figures).
_SMOOTHING = 0.5  # of the standard deviation of the switching betas: the beta still fits when it is off by this much
_SHRINKAGE = 0.85  # stage 2 knows more classes, so that its unseen classes are nearer than those of stage 1
_GRID_POINTS = 400  # of a smoothed curve
_DOUBT_VIDEOS = 2  # imagined videos that could be of any class: a few videos alone make a network look too certain
_TEMPERATURES = (1e-3, 1e3)
_RELATIVE_PRECISION = 1e-6  # of a temperature


def calibrated(distances: NDArray[np.floating], seen: Flags, beta: float) -> Floats:
    """Add beta to the distances (..., C) of the seen classes (C,): calibrated stacking (Chao et al. 2016)."""
    return np.asarray(distances + np.where(seen, beta, 0.0))


@dataclass(frozen=True)
class Grid:
    """The betas that published code tries; it chooses the one with the highest validation HM."""

    name: str
    used_by: str
    betas: tuple[float, ...]  # ascending


def _grid(name: str, used_by: str, last: float, count: int) -> Grid:
    return Grid(name, used_by, tuple(np.linspace(0, last, count).tolist()))


# From the code of the three methods (pipeline/avgzsl_benchmark/README.md): metrics at these betas can be compared with
# those of their papers. Both grids end too early if distances are large, so our own beta is the exact optimum.
PUBLISHED_GRIDS = (_grid("avca", "AVCA, TCAF", 3, 16), _grid("clipclap", "ClipClap", 5, 76))


@dataclass(frozen=True)
class HarmonicMeans:
    """HM as a function of beta. It is constant between neighbouring switching betas, where predictions change.

    The switching beta of a video is the beta at which its nearest seen and nearest unseen class are equally far.
    """

    switching_betas: Floats  # (K,) ascending, each once
    means: Floats  # (K + 1,) percent: below the first switching beta, then from each of them on

    @classmethod
    def over_betas(cls, nearest: NearestClasses, labels: ArrayLike) -> "HarmonicMeans":
        """Compute HM at every beta with one sort; it is 0 if seen or unseen classes have no samples.

        Raises:
            ValueError: labels do not fit the videos, or are not indices of classes.
        """
        indices, seen = nearest.checked_labels(labels), nearest.seen
        if not (seen[indices].any() and (~seen[indices]).any()):
            return cls(np.zeros(0), np.zeros(1))
        weights = _recall_weights(indices, nearest)
        right_seen = np.where(nearest.nearest_seen == indices, weights, 0.0)
        right_unseen = np.where(nearest.nearest_unseen == indices, weights, 0.0)
        order = np.argsort(nearest.switching_betas, kind="stable")
        betas = nearest.switching_betas[order]
        # From its switching beta on, a video is assigned its nearest unseen class: a correct seen prediction is lost,
        # a correct unseen prediction is won.
        recall_seen = np.append(np.cumsum(right_seen[order][::-1])[::-1], 0.0)
        recall_unseen = np.append(0.0, np.cumsum(right_unseen[order]))
        last = np.append(betas[1:] != betas[:-1], True)  # videos with equal switching betas change together
        means = harmonic_mean(recall_seen, recall_unseen)
        return cls(betas[last], means[np.append(True, last)])

    def at(self, betas: ArrayLike) -> Floats:
        """Look up HM at some betas (...), in percent."""
        return self.means[np.searchsorted(self.switching_betas, betas, side="right")]

    def best_beta(self) -> float:
        """Find the beta with the highest HM of all real numbers.

        If several intervals of betas have the highest HM, choose the widest; of equally wide ones, the lowest. The
        result is the middle of that interval, as far as possible from a change. Below the first switching beta and
        from the last one on, HM is 0, so the interval is always bounded. If HM is 0 everywhere, beta is 0.
        """
        best = self.means.max()
        if best <= 0:
            return 0.0
        edges = np.flatnonzero(np.diff(self.means >= best - _SAME_PERCENT))  # an interval begins, ends, begins ...
        begins, ends = self.switching_betas[edges[::2]], self.switching_betas[edges[1::2]]
        widest = int(np.argmax(ends - begins))
        middle = float(begins[widest] + (ends[widest] - begins[widest]) / 2)
        return middle if middle < ends[widest] else float(begins[widest])  # neighbouring floats have no middle

    def best_of(self, betas: Sequence[float]) -> float:
        """Choose the given beta with the highest HM; if several have it, the first."""
        means = self.at(betas)
        return float(betas[int(np.argmax(means >= means.max() - _SAME_PERCENT))])


def lasting_beta(curves: Sequence[HarmonicMeans]) -> float:
    """Choose a beta that still fits another network, trained on more classes.

    The exact optimum of one curve fits the noise of its videos. Here HM is averaged over the curves and over betas that
    differ by a random amount, and the best beta of the smooth curve is shrunk towards 0.

    Args:
        curves: HM over betas, of one or several choices of classes.

    Returns:
        The beta; 0 if HM is 0 everywhere.
    """
    curves = [curve for curve in curves if curve.means.max() > 0]
    if not curves:
        return 0.0
    switching = np.concatenate([curve.switching_betas for curve in curves])
    spread = float(switching.std())
    grid = np.linspace(switching.min() - 2 * spread, switching.max() + 2 * spread, _GRID_POINTS)
    means = np.mean([curve.at(grid) for curve in curves], axis=0)
    weights = np.exp(-0.5 * ((grid[:, None] - grid) / (_SMOOTHING * spread)) ** 2)
    smooth = (weights @ means) / weights.sum(axis=1)
    return _SHRINKAGE * float(grid[int(np.argmax(smooth))])


def lasting_temperature(distances: ArrayLike, labels: ArrayLike, *, videos: int) -> float:
    """Fit a temperature that still fits another network: two imagined videos of unknown class count too.

    Args:
        distances: (N, C), finite and calibrated; a video may have several rows.
        labels: (N,) indices of the true classes.
        videos: number of different videos in the rows.

    Returns:
        A temperature from 0.001 to 1000; 1 if there are no videos.

    Raises:
        ValueError: shapes do not fit, or labels that are not indices of classes.
    """
    return best_temperature(distances, labels, doubt=_DOUBT_VIDEOS / (videos + _DOUBT_VIDEOS))


def best_temperature(distances: ArrayLike, labels: ArrayLike, *, doubt: float = 0.0) -> float:
    """Find the temperature at which softmax(-distance / temperature) gives the labels the highest likelihood.

    The negative log likelihood is convex in 1 / temperature, so its slope has at most one root.

    Args:
        distances: (N, C), finite.
        labels: (N,) indices of the true classes.
        doubt: weight from 0 to 1 of labels that are spread evenly over all classes, against the given ones.

    Returns:
        A temperature from 0.001 to 1000; 1 if there are no videos.

    Raises:
        ValueError: shapes do not fit, or labels that are not indices of classes.
    """
    rows, indices = np.asarray(distances, np.float64), np.asarray(labels, np.int64)
    if rows.ndim != 2 or indices.shape != rows.shape[:1]:
        raise ValueError(f"distances {rows.shape} and labels {indices.shape}: expected (N, C) and (N,)")
    check_labels(indices, rows.shape[1])
    if not len(indices):
        return 1.0
    # Only differences matter: measured from the nearest class, no exponent is above 0.
    excess = rows - rows.min(axis=1, keepdims=True)
    excess_of_label = float(excess[np.arange(len(indices)), indices].mean())
    expected = (1 - doubt) * excess_of_label + doubt * float(excess.mean())

    def slope(log_temperature: float) -> float:
        """Compute the slope of the negative log likelihood over 1 / temperature."""
        weights = np.exp(-excess / np.exp(log_temperature))
        mean = np.einsum("nc,nc->n", weights, excess) / weights.sum(axis=1)
        return expected - float(mean.mean())

    lowest, highest = np.log(_TEMPERATURES)
    if slope(lowest) <= 0:  # still falling at the largest 1 / temperature
        return _TEMPERATURES[0]
    if slope(highest) >= 0:
        return _TEMPERATURES[1]
    from scipy.optimize import brentq  # noqa: PLC0415 - it loads for 0.3 s, longer than a small evaluation

    return float(np.exp(brentq(slope, lowest, highest, xtol=_RELATIVE_PRECISION)))


def _recall_weights(indices: Indices, nearest: NearestClasses) -> Floats:
    """Compute what a correct prediction of each video (N,) adds to its group's mean recall, in percent.

    The groups are the seen and the unseen classes.
    """
    samples = np.bincount(indices, minlength=len(nearest.seen))
    classes_with_samples = np.where(
        nearest.seen, *(np.count_nonzero(samples[group]) for group in (nearest.seen, ~nearest.seen))
    )
    return 100.0 / (samples[indices] * classes_with_samples[indices])
