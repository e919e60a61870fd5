"""Each video's nearest seen and nearest unseen class: all that generalised zero-shot scores need of its distances.

N videos, C classes. An (N, C) matrix of a large test set does not fit in memory; four numbers a video always do.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Rivals:
    """The two classes between which calibrated stacking decides, for N videos."""

    seen: Flags  # (C,) which classes were trained on
    nearest_seen: Places  # (N,) -1 where no class is seen
    nearest_unseen: Places  # (N,) -1 where every class is seen
    seen_distances: Floats  # (N,) to the nearest seen class; infinite where there is none
    unseen_distances: Floats  # (N,)

    @classmethod
    def from_distances(cls, distances: ArrayLike, seen: ArrayLike) -> "Rivals":
        """Rivals of distances (N, C), smaller is likelier, given which classes (C,) are seen; of equals the first.

        Raises:
            ValueError: shapes that do not fit, or distances that are not finite.
        """
        rows, is_seen = np.asarray(distances), np.asarray(seen, bool)
        if rows.ndim != 2 or is_seen.shape != rows.shape[1:]:
            raise ValueError(f"distances {rows.shape} and seen {is_seen.shape}: expected (N, C) and a flag a class")
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
    def blank(cls, n_videos: int, seen: Flags) -> "Rivals":
        """Room for so many videos, which `put` fills."""
        return cls(
            seen,
            np.full(n_videos, -1),
            np.full(n_videos, -1),
            np.full(n_videos, np.inf),
            np.full(n_videos, np.inf),
        )

    def put(self, rows: Places, chunk: "Rivals") -> None:
        """Fill in the rivals of some videos (B,) of these."""
        self.nearest_seen[rows] = chunk.nearest_seen
        self.nearest_unseen[rows] = chunk.nearest_unseen
        self.seen_distances[rows] = chunk.seen_distances
        self.unseen_distances[rows] = chunk.unseen_distances

    @property
    def gaps(self) -> Floats:
        """(N,) the beta from which on the unseen class is chosen.

        Infinite where no class is unseen, minus infinite where none is seen: the other group wins at every beta.
        """
        return self.unseen_distances - self.seen_distances

    def predictions(self, beta: float) -> Places:
        """(N,) the nearest class after adding beta to the distances of seen classes; of equals the unseen one."""
        return np.where(beta < self.gaps, self.nearest_seen, self.nearest_unseen)

    def checked_labels(self, labels: ArrayLike) -> Places:
        """True classes as an array (N,).

        Raises:
            ValueError: not a label a video, or labels that are no classes.
        """
        places = np.asarray(labels, np.int64)
        if places.shape != self.nearest_seen.shape:
            raise ValueError(f"labels {places.shape} for {len(self.nearest_seen)} videos: expected (N,)")
        check_places(places, len(self.seen))
        return places


def check_places(places: Places, n_classes: int) -> None:
    """Refuse labels that are no places of classes.

    Raises:
        ValueError: naming the range of the labels.
    """
    if len(places) and not 0 <= places.min() <= places.max() < n_classes:
        raise ValueError(f"labels from {places.min()} to {places.max()}: expected places of {n_classes} classes")


def _nearest(distances: NDArray[np.floating], classes: NDArray[np.intp]) -> tuple[Places, Floats]:
    """The nearest of some classes (N,) and its distance (N,)."""
    if not len(classes):
        return np.full(len(distances), -1), np.full(len(distances), np.inf)
    among = distances[:, classes]
    first = np.argmin(among, axis=1)
    return classes[first].astype(np.int64), among[np.arange(len(among)), first].astype(np.float64)
