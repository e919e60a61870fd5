"""The index of a store, read block by block: its counts, whether it is consistent, and its content fingerprint."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.base.wording import counted
from pipeline.features.index import MODALITIES
from pipeline.features.inspection.checksums import TableChecksum


@dataclass(frozen=True)
class IndexSummary:
    """The content of an index of N videos.

    Attributes:
        classes: how many videos each class has.
        offsets: (N,) int64, the first row of each video.
        seconds: (N,) int64, the number of rows of each video.
        present: (N,) bool for each modality: whether the video has it.
        with_warnings: how many videos were decoded with a warning.
        segments: how many videos are segments of a file.
        checksums: (N,) uint32, the checksum of each video's features.
        table_checksum: the checksum of the index itself.
        content: the `content_fingerprint` of these rows.
        problems: one line for each problem; empty if the index is consistent.
        fits: whether the rows of the videos follow each other and fill the file, so that each row has one video.
    """

    classes: Mapping[str, int]
    offsets: NDArray[np.int64]
    seconds: NDArray[np.int64]
    present: Mapping[str, NDArray[np.bool_]]
    with_warnings: int
    segments: int
    checksums: NDArray[np.uint32]
    table_checksum: int
    content: str
    problems: tuple[str, ...]
    fits: bool

    @property
    def videos(self) -> int:
        """N."""
        return len(self.seconds)

    @property
    def absent(self) -> dict[str, int]:
        """The number of videos without each modality."""
        return {modality: int(np.count_nonzero(~present)) for modality, present in self.present.items()}


class ContentDigest:
    """Computes `content_fingerprint` block by block, without a list of all videos."""

    def __init__(self, extractor: str) -> None:
        self._digest = hashlib.sha256(f"[{json.dumps(extractor)},[".encode())
        self._between = b""

    def add(self, rows: Sequence[Sequence[object]]) -> None:
        """Take more videos: the name, start, end, class, content hash and seconds of each."""
        if rows:
            self._digest.update(self._between + json.dumps(rows, separators=(",", ":"))[1:-1].encode())
            self._between = b","

    def fingerprint(self) -> str:
        """Return the fingerprint of all videos so far."""
        whole = self._digest.copy()
        whole.update(b"]]")
        return whole.hexdigest()[:12]


def read_index(blocks: Iterable[NDArray[np.void]], videos: int, *, rows: int, extractor: str) -> IndexSummary:
    """Read an index and check it. Only one block and a few numbers of each video are in memory.

    Args:
        blocks: the rows of `/index`, some at a time.
        videos: N, the number of rows.
        rows: number of seconds of features in the file.
        extractor: the fingerprint of the extractor that made them.
    """
    columns = _Columns(ContentDigest(extractor), videos)
    with TableChecksum() as checksum:
        for block in blocks:
            checksum.add(block)
            columns.add(block)
        table_checksum = checksum.value()
    layout = _layout_problems(columns.offsets, columns.seconds, rows)
    return IndexSummary(
        classes=dict(columns.classes),
        offsets=columns.offsets,
        seconds=columns.seconds,
        present=columns.present,
        with_warnings=columns.with_warnings,
        segments=columns.segments,
        checksums=columns.checksums,
        table_checksum=table_checksum,
        content=columns.digest.fingerprint(),
        problems=(*layout, *_row_problems(columns)),
        fits=not layout,
    )


class _Columns:
    """Gathers what is kept of the index: a few numbers of each video, and counts of its texts."""

    def __init__(self, digest: ContentDigest, videos: int) -> None:
        self.digest = digest
        self.offsets, self.seconds = np.zeros(videos, np.int64), np.zeros(videos, np.int64)
        self.present = {modality: np.zeros(videos, np.bool_) for modality in MODALITIES}
        self.durations = np.zeros(videos, np.float64)
        self.checksums = np.zeros(videos, np.uint32)
        self.classes: Counter[str] = Counter()
        self.with_warnings = self.segments = self.nameless = 0
        self._hashes = np.zeros(videos, np.int64)
        self._done = 0

    def add(self, block: NDArray[np.void]) -> None:
        """Take the next rows of the index."""
        rows = slice(self._done, self._done + len(block))
        self._done += len(block)
        self.offsets[rows], self.seconds[rows] = block["offset"], block["seconds"]
        self.durations[rows] = block["duration_seconds"]
        self.checksums[rows] = block["checksum"]
        for modality, present in self.present.items():
            present[rows] = block[f"has_{modality}"]
        # The checksum of the table finds a damaged text, and then the rest of the report is still useful.
        names, classes, hashes = (
            [text.decode(errors="replace") for text in block[column]] for column in ("video", "class", "content_hash")
        )
        starts, ends = (_times(block[column]) for column in ("start_seconds", "end_seconds"))
        self.digest.add(list(zip(names, starts, ends, classes, hashes, block["seconds"].tolist(), strict=True)))
        self._hashes[rows] = [hash(key) for key in zip(names, starts, ends, strict=True)]
        self.classes.update(classes)
        self.nameless += names.count("")
        self.with_warnings += sum(bool(text) for text in block["warnings"])
        self.segments += sum(start is not None or end is not None for start, end in zip(starts, ends, strict=True))

    @property
    def repeated(self) -> int:
        """Count the rows that name a video and segment that another row already names."""
        return int(np.count_nonzero(np.diff(np.sort(self._hashes)) == 0))


def _times(column: NDArray[np.float64]) -> list[float | None]:
    """Convert the times of segments; NaN means that there is none."""
    return [None if math.isnan(time) else time for time in column.tolist()]


def _layout_problems(offsets: NDArray[np.int64], seconds: NDArray[np.int64], rows: int) -> list[str]:
    """Check that the rows of the videos follow each other and fill the file, in any order."""
    problems = []
    empty = int(np.count_nonzero(seconds < 1))
    if empty:
        problems.append(f"index: {counted(empty, 'video')} without seconds")
    order = np.argsort(offsets, kind="stable")
    starts = offsets[order]
    ends = starts + seconds[order]
    apart = int(np.count_nonzero(starts != np.concatenate([[0], ends[:-1]]))) if len(starts) else 0
    if apart:
        problems.append(
            f"index: {counted(apart, 'video')} whose seconds do not begin where those of the video before end"
        )
    total = int(seconds.sum())
    if total != rows or (len(ends) and ends[-1] != rows):
        problems.append(f"index: its videos have {total} seconds, the file holds {rows}")
    return problems


def _row_problems(columns: _Columns) -> list[str]:
    durations, neither = columns.durations, ~(columns.present["audio"] | columns.present["visual"])
    found = {
        "listed twice": columns.repeated,
        "without a name": columns.nameless,
        "without a class": columns.classes.get("", 0),
        "with neither sound nor picture": int(np.count_nonzero(neither)),
        "whose duration is not a positive number": int(np.count_nonzero(~(np.isfinite(durations) & (durations > 0)))),
    }
    return [f"index: {counted(count, 'video')} {what}" for what, count in found.items() if count]
