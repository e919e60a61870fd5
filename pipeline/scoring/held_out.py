"""Derive the calibration for any number of seen and unseen class names from the distances of validation videos.

Legend: M validation videos, C classes of validation, K classes of one draw.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.scoring.calibration import HarmonicMeans, calibrated, lasting_beta, lasting_temperature
from pipeline.scoring.nearest_classes import Flags, Indices, NearestClasses, check_labels

MOST_VIDEOS = 2000  # a temperature is one number: so many videos give it to a few percent, and fit into any memory
_DRAWS = 50
_LEAST_DRAWS = 8
_MOST_NUMBERS = 1_500_000  # distances in all draws together, so that a calibration takes a fraction of a second
_FARTHEST = 0.95  # fraction of the validation videos that are nearer to their nearest class
_TOO_FEW = "the model had too few validation videos"


@dataclass(frozen=True)
class Calibration:
    """The numbers that turn the distances to some class names into an order and probabilities."""

    beta: float  # added to the distances of seen classes
    temperature: float  # of the softmax over calibrated distances
    farthest: float | None  # calibrated distance to the nearest class that 95 % of validation videos do not exceed
    videos: int  # number of validation videos that the numbers come from; 0: nothing is calibrated
    missing: str = ""  # the reason for a beta of 0; empty if there is a beta, or if the names need none

    @classmethod
    def none(cls, missing: str = _TOO_FEW) -> "Calibration":
        """Return the calibration that changes no distance.

        Args:
            missing: why nothing is calibrated.
        """
        return cls(beta=0.0, temperature=1.0, farthest=None, videos=0, missing=missing)


def missing_kind(seen: Flags, labels: Indices) -> str:
    """Say which kind of classes has no validation video. Return an empty text if both kinds have some.

    Args:
        seen: (C,) which classes are trained on.
        labels: (M,) indices of the true classes.
    """
    if not (~seen[labels]).any():
        return "no class of the validation was unseen"
    return "" if seen[labels].any() else "no validation video was of a trained class"


@dataclass(frozen=True)
class HeldOutDistances:
    """The distances of validation videos to the classes of validation, by the network of stage 1."""

    distances: NDArray[np.float32]  # (M, C), uncalibrated
    labels: Indices  # (M,) indices of the true classes
    seen: Flags  # (C,) which classes stage 1 trained on

    def __post_init__(self) -> None:
        if self.distances.shape != self.labels.shape + self.seen.shape or self.distances.ndim != 2:
            raise ValueError(
                f"distances {self.distances.shape}, labels {self.labels.shape} and seen {self.seen.shape}: "
                "expected (M, C), (M,) and (C,)"
            )
        if not np.isfinite(self.distances).all():
            raise ValueError("distances are not all finite")
        check_labels(self.labels, len(self.seen))

    def calibration(self, seen_names: int, unseen_names: int) -> Calibration:
        """Derive the calibration for some class names.

        The validation videos are assigned to as many seen and unseen classes as there are names, in several draws of
        classes, which are always the same. Names of one kind need no beta. Beta is also 0 if the validation has
        only one kind of classes.

        Args:
            seen_names: number of names that the model was trained on.
            unseen_names: number of other names.
        """
        draws = self._draws(seen_names, unseen_names)
        chosen = [self._among(columns) for columns in draws]
        missing = missing_kind(self.seen, self.labels)
        beta = 0.0
        if seen_names and unseen_names and not missing:
            nearest = [
                NearestClasses.from_distances(distances, self.seen[columns])
                for columns, (distances, _) in zip(draws, chosen, strict=True)
            ]
            beta = lasting_beta(
                [HarmonicMeans.over_betas(each, labels) for each, (_, labels) in zip(nearest, chosen, strict=True)]
            )
        rows = np.concatenate(
            [
                calibrated(distances, self.seen[columns], beta)
                for columns, (distances, _) in zip(draws, chosen, strict=True)
            ]
        )
        labels = np.concatenate([labels for _, labels in chosen])
        if not len(rows):
            return Calibration.none(missing)
        videos = int(np.isin(self.labels, np.concatenate(draws)).sum())
        return Calibration(
            beta=beta,
            temperature=lasting_temperature(rows, labels, videos=videos) if rows.shape[1] > 1 else 1.0,
            farthest=float(np.quantile(rows.min(axis=1), _FARTHEST)),
            videos=videos,
            missing=missing if seen_names and unseen_names else "",
        )

    def _draws(self, seen_names: int, unseen_names: int) -> list[Indices]:
        """Draw classes (K,), always the same ones; a single draw if there is only one choice."""
        seen, unseen = np.flatnonzero(self.seen), np.flatnonzero(~self.seen)
        from_seen, from_unseen = min(seen_names, len(seen)), min(unseen_names, len(unseen))
        draws = 1
        if from_seen not in {0, len(seen)} or from_unseen not in {0, len(unseen)}:
            numbers = len(self.labels) * (from_seen + from_unseen)
            draws = max(_LEAST_DRAWS, min(_DRAWS, _MOST_NUMBERS // max(1, numbers)))
        random = np.random.default_rng(0)
        return [
            np.concatenate(
                [random.choice(seen, from_seen, replace=False), random.choice(unseen, from_unseen, replace=False)]
            )
            for _ in range(draws)
        ]

    def _among(self, columns: Indices) -> tuple[NDArray[np.float32], Indices]:
        """Select the videos of some classes (K,): their distances to these classes, and their labels among them."""
        position = np.full(len(self.seen), -1)
        position[columns] = np.arange(len(columns))
        labels = position[self.labels]
        return self.distances[labels >= 0][:, columns], labels[labels >= 0]
