"""Statistics of one modality of a store, and its odd seconds, read block by block."""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.features.inspection.checksums import FeatureChecksums
from pipeline.features.inspection.index_check import IndexSummary

MOST_EXAMPLES = 10  # odd seconds that are named, of each kind
_BLOCK_ROWS = 128  # as float64 half a MB at D = 512, which a core's cache holds
_READ_ERRORS = (OSError, RuntimeError, ValueError)

NOT_FINITE = "not finite"
ALL_ZERO = "all zero"
CONSTANT = "all numbers equal"
REPEATED = "every second the same"
NOT_ABSENT = "not zero though absent"


@dataclass(frozen=True)
class ModalityStatistics:
    """What the seconds of one modality are like; of seconds that are there and finite, NaN without any.

    Attributes:
        modality: visual or audio.
        width: D, numbers in a second's vector.
        seconds: how many there are, absent ones left out.
        mean: of all numbers.
        deviation: of all numbers.
        minimum: of all numbers.
        maximum: of all numbers.
        norm_mean: of the Euclidean length of a second's vector.
        norm_minimum: of the same.
        norm_maximum: of the same.
        odd: how many seconds, or for `REPEATED` videos, of each odd kind.
        odd_rows: the first rows of each odd kind, as places in the file; for `REPEATED` the videos' first rows.
        unreadable: rows (from, up to) that cannot be read.
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
        data: the (R, D) dataset.
        modality: its name.
        index: of the same file; its rows fit.
        checksums: gather what is read.
        on_rows: hears how many more rows are read.
    """
    survey = _Survey(modality, index)
    unreadable = []
    for start in range(0, len(data), _BLOCK_ROWS):
        stop = min(start + _BLOCK_ROWS, len(data))
        try:
            stored = data[start:stop]
        except _READ_ERRORS:
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
    """Mean and sum of squared deviations of numbers that come in blocks."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, values: NDArray[np.float64]) -> None:
        """Merge a block (Chan, Golub and LeVeque 1983, eq. 2.1): sums of squares alone would cancel."""
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
    """What is gathered while the blocks of a modality go by."""

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
        self._repeats = np.zeros(self.index.videos, np.int64)  # seconds of a video that equal the one before
        self._last: NDArray[np.float64] | None = None

    def videos_of(self, start: int, stop: int) -> NDArray[np.int64]:
        """(stop - start,) which video each row is of."""
        return self._order[np.searchsorted(self._starts, np.arange(start, stop), side="right") - 1]

    def add(self, start: int, videos: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        """Take (rows, D) that begin at row `start`, and the videos they are of."""
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
        """A block is missing: what comes next has no second before it."""
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
        """Count the seconds that equal the second before in the same video."""
        inside = eligible & (rows > self.index.offsets[videos])
        # The first number of each tells nearly all that differ apart; only the rest is compared whole.
        before = np.concatenate([values[:1] if self._last is None else self._last[None], values[:-1]])
        candidates = np.flatnonzero(inside & (values[:, 0] == before[:, 0]))
        if self._last is None:
            candidates = candidates[candidates > 0]
        same = candidates[(values[candidates] == before[candidates]).all(axis=1)]
        np.add.at(self._repeats, videos[same], 1)
        self._last = values[-1].copy()

    def result(self, width: int, unreadable: tuple[tuple[int, int], ...]) -> ModalityStatistics:
        """All of it, once the last block went by."""
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
