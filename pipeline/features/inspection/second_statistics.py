"""Statistics and odd seconds of one modality of a store, read block by block."""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.base.hdf5.reading import HDF5_ERRORS
from pipeline.features.inspection.checksums import FeatureChecksums
from pipeline.features.inspection.index_check import IndexSummary

MOST_EXAMPLES = 10  # at most so many odd seconds of each kind are named
_BLOCK_ROWS = 128  # half a MB in float64 at D = 512, which fits in the cache of a core

NOT_FINITE = "not finite"
ALL_ZERO = "all zero"
CONSTANT = "all numbers equal"
REPEATED = "every second the same"
NOT_ABSENT = "not zero though absent"


@dataclass(frozen=True)
class ModalityStatistics:
    """Statistics of the present, finite seconds of one modality. They are NaN if there is no such second.

    Attributes:
        modality: visual or audio.
        width: D, the width of a second's vector.
        seconds: the number of present seconds.
        mean: the mean of all values.
        deviation: the standard deviation of all values.
        minimum: the smallest value.
        maximum: the largest value.
        norm_mean: the mean Euclidean norm of a second's vector.
        norm_minimum: the smallest norm.
        norm_maximum: the largest norm.
        odd: the number of seconds of each odd kind; for `REPEATED`, the number of videos.
        odd_rows: the first rows of each odd kind in the file; for `REPEATED`, the first row of each video.
        unreadable: the ranges of rows (from, up to) that cannot be read.
    """

    modality: str
    width: int
    seconds: int
    mean: float
    deviation: float
    minimum: float
    maximum: float
    norm_mean: float
    norm_minimum: float
    norm_maximum: float
    odd: dict[str, int]
    odd_rows: dict[str, tuple[int, ...]]
    unreadable: tuple[tuple[int, int], ...]


def modality_statistics(
    data: Any,  # noqa: ANN401 - h5py has no types
    modality: str,
    index: IndexSummary,
    checksums: FeatureChecksums,
    on_rows: Callable[[int], None],
) -> ModalityStatistics:
    """Read a modality once, a block at a time.

    Args:
        data: the dataset (R, D).
        modality: visual or audio.
        index: the index of the same file; its rows fit.
        checksums: gets all rows, too.
        on_rows: called after each block with the number of its rows.
    """
    survey = _Survey(modality, index)
    unreadable = []
    for start in range(0, len(data), _BLOCK_ROWS):
        stop = min(start + _BLOCK_ROWS, len(data))
        try:
            stored = data[start:stop]
        except HDF5_ERRORS:
            unreadable.append((start, stop))
            survey.skip()
        else:
            videos = survey.videos_of(start, stop)
            checksums.add(stored, videos)
            survey.add(start, videos, stored.astype(np.float64))
        on_rows(stop - start)
    return survey.result(int(data.shape[1]), tuple(unreadable))


@dataclass
class _Moments:
    """The mean and the sum of squared deviations of values that come in blocks."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, values: NDArray[np.float64]) -> None:
        """Merge a block (Chan, Golub and LeVeque 1983, eq. 2.1). Plain sums of squares would cancel."""
        if not values.size:
            return
        mean = float(values.mean())
        step, total = mean - self.mean, self.count + values.size
        self.squares += float(np.square(values - mean).sum()) + step**2 * self.count * values.size / total
        self.mean += step * values.size / total
        self.count = total

    @property
    def deviation(self) -> float:
        return math.sqrt(self.squares / self.count) if self.count else math.nan


@dataclass
class _Survey:
    """Gathers the statistics from the blocks of one modality."""

    modality: str
    index: IndexSummary
    numbers: _Moments = field(default_factory=_Moments)
    norms: _Moments = field(default_factory=_Moments)
    lowest: float = math.inf
    highest: float = -math.inf
    shortest: float = math.inf
    longest: float = -math.inf
    seconds: int = 0
    odd: Counter[str] = field(default_factory=Counter)
    odd_rows: dict[str, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._order = np.argsort(self.index.offsets, kind="stable")
        self._starts = self.index.offsets[self._order]
        self._repeats = np.zeros(self.index.videos, np.int64)  # how many seconds of a video equal the previous one
        self._last: NDArray[np.float64] | None = None

    def videos_of(self, start: int, stop: int) -> NDArray[np.int64]:
        """Return (stop - start,): the index of the video that each row belongs to."""
        return self._order[np.searchsorted(self._starts, np.arange(start, stop), side="right") - 1]

    def add(self, start: int, videos: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        """Take values (rows, D) that begin at row `start`, and the videos (rows,) that they belong to."""
        rows = np.arange(start, start + len(values))
        present = self.index.present[self.modality][videos]
        low, high = values.min(axis=1), values.max(axis=1)  # NaN where there is one
        finite = np.isfinite(low) & np.isfinite(high)
        level = low == high
        zero = level & (low == 0)
        self.seconds += int(np.count_nonzero(present))
        self._note(NOT_FINITE, rows[~finite])
        self._note(ALL_ZERO, rows[present & zero])
        self._note(CONSTANT, rows[present & level & ~zero & finite])
        self._note(NOT_ABSENT, rows[~present & ~zero])
        self._measure(values if (finite & present).all() else values[finite & present])
        self._count_repeats(rows, videos, values, ~level & finite)

    def skip(self) -> None:
        """Leave out a block that cannot be read; the next block has no second before it."""
        self._last = None

    def _note(self, kind: str, rows: NDArray[np.int64]) -> None:
        if len(rows):
            self.odd[kind] += len(rows)
            known = self.odd_rows.setdefault(kind, [])
            known += rows[: MOST_EXAMPLES - len(known)].tolist()

    def _measure(self, values: NDArray[np.float64]) -> None:
        if not len(values):
            return
        norms = np.sqrt(np.einsum("td,td->t", values, values))
        self.numbers.add(values)
        self.norms.add(norms)
        self.lowest, self.highest = min(self.lowest, float(values.min())), max(self.highest, float(values.max()))
        self.shortest, self.longest = min(self.shortest, float(norms.min())), max(self.longest, float(norms.max()))

    def _count_repeats(
        self,
        rows: NDArray[np.int64],
        videos: NDArray[np.int64],
        values: NDArray[np.float64],
        eligible: NDArray[np.bool_],
    ) -> None:
        """Count the seconds that equal the previous second of the same video."""
        inside = eligible & (rows > self.index.offsets[videos])
        # Nearly all different seconds differ in their first value already; only the others are compared whole.
        before = np.concatenate([values[:1] if self._last is None else self._last[None], values[:-1]])
        candidates = np.flatnonzero(inside & (values[:, 0] == before[:, 0]))
        if self._last is None:
            candidates = candidates[candidates > 0]
        same = candidates[(values[candidates] == before[candidates]).all(axis=1)]
        np.add.at(self._repeats, videos[same], 1)
        self._last = values[-1].copy()

    def result(self, width: int, unreadable: tuple[tuple[int, int], ...]) -> ModalityStatistics:
        """Return the statistics after the last block."""
        long_enough = self.index.seconds > 1
        self._note(REPEATED, self.index.offsets[long_enough & (self._repeats == self.index.seconds - 1)])
        some = self.numbers.count > 0
        return ModalityStatistics(
            modality=self.modality,
            width=width,
            seconds=self.seconds,
            mean=self.numbers.mean if some else math.nan,
            deviation=self.numbers.deviation,
            minimum=self.lowest if some else math.nan,
            maximum=self.highest if some else math.nan,
            norm_mean=self.norms.mean if some else math.nan,
            norm_minimum=self.shortest if some else math.nan,
            norm_maximum=self.longest if some else math.nan,
            odd=dict(self.odd),
            odd_rows={kind: tuple(rows) for kind, rows in self.odd_rows.items()},
            unreadable=unreadable,
        )
