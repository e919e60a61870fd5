"""The nearest seen and the nearest unseen class of each video; the metrics need nothing else of its distances.

Legend: N videos, C classes. For a large test set, an (N, C) matrix does not fit into memory; four numbers per video do.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class NearestClasses:
    """The two classes that calibrated stacking chooses between, for N videos."""

    seen: Flags  # (C,) which classes were trained on
    nearest_seen: Indices  # (N,) -1 if no class is seen
    nearest_unseen: Indices  # (N,) -1 if every class is seen
    seen_distances: Floats  # (N,) to the nearest seen class; infinite if there is none
    unseen_distances: Floats  # (N,) to the nearest unseen class; infinite if there is none

    @classmethod
    def from_distances(cls, distances: ArrayLike, seen: ArrayLike) -> "NearestClasses":
        """Find the nearest classes; of equally near classes, the first.

        Args:
            distances: (N, C); a smaller distance means a likelier class.
            seen: (C,) which classes were trained on.

        Raises:
            ValueError: shapes do not fit, or distances are not finite.
        """
        rows, is_seen = np.asarray(distances), np.asarray(seen, bool)
        if rows.ndim != 2 or is_seen.shape != rows.shape[1:]:
            raise ValueError(f"distances {rows.shape} and seen {is_seen.shape}: expected (N, C) and (C,)")
        finite = np.isfinite(rows)
        if not finite.all():
            row = int(np.flatnonzero(~finite.all(axis=1))[0])
            raise ValueError(
                f"the distances of video {row} are not all finite: an absent modality needs a distance too"
            )
        nearest_seen, seen_distances = _nearest(rows, np.flatnonzero(is_seen))
        nearest_unseen, unseen_distances = _nearest(rows, np.flatnonzero(~is_seen))
        return cls(is_seen, nearest_seen, nearest_unseen, seen_distances, unseen_distances)

    @classmethod
    def blank(cls, n_videos: int, seen: Flags) -> "NearestClasses":
        """Allocate room for N videos, which `put` fills."""
        return cls(
            seen,
            np.full(n_videos, -1),
            np.full(n_videos, -1),
            np.full(n_videos, np.inf),
            np.full(n_videos, np.inf),
        )

    def put(self, rows: Indices, chunk: "NearestClasses") -> None:
        """Fill in the nearest classes of the videos at `rows` (B,)."""
        self.nearest_seen[rows] = chunk.nearest_seen
        self.nearest_unseen[rows] = chunk.nearest_unseen
        self.seen_distances[rows] = chunk.seen_distances
        self.unseen_distances[rows] = chunk.unseen_distances

    @property
    def switching_betas(self) -> Floats:
        """The beta (N,) from which on the unseen class is nearer.

        It is infinite if no class is unseen, and minus infinite if no class is seen.
        """
        return self.unseen_distances - self.seen_distances

    def predictions(self, beta: float) -> Indices:
        """Choose the class (N,) of each video by calibrated stacking; of two equally near classes, the unseen one."""
        return np.where(beta < self.switching_betas, self.nearest_seen, self.nearest_unseen)

    def checked_labels(self, labels: ArrayLike) -> Indices:
        """Convert true classes to an array (N,).

        Raises:
            ValueError: the number of labels is not N, or a label is not the index of a class.
        """
        indices = np.asarray(labels, np.int64)
        if indices.shape != self.nearest_seen.shape:
            raise ValueError(f"labels {indices.shape} for {len(self.nearest_seen)} videos: expected (N,)")
        check_labels(indices, len(self.seen))
        return indices


def check_labels(labels: Indices, n_classes: int) -> None:
    """Refuse labels that are not indices of classes.

    Raises:
        ValueError: a label is not the index of a class; the message gives the range of the labels.
    """
    if len(labels) and not 0 <= labels.min() <= labels.max() < n_classes:
        raise ValueError(f"labels from {labels.min()} to {labels.max()}: expected indices of {n_classes} classes")


def _nearest(distances: NDArray[np.floating], classes: NDArray[np.intp]) -> tuple[Indices, Floats]:
    """Find the nearest of some classes (N,) and its distance (N,)."""
    if not len(classes):
        return np.full(len(distances), -1), np.full(len(distances), np.inf)
    among = distances[:, classes]
    first = np.argmin(among, axis=1)
    return classes[first].astype(np.int64), among[np.arange(len(among)), first].astype(np.float64)
