"""The index of a store, read block by block: what it counts, whether it is consistent, and its content fingerprint."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.base.wording import counted
from pipeline.features.index import MODALITIES
from pipeline.features.inspection.checksums import TableChecksum

_BLOCK_VIDEOS = 4096
_FIELDS = (
    "video",
    "start_seconds",
    "end_seconds",
    "content_hash",
    "class",
    "offset",
    "seconds",
    "has_audio",
    "has_visual",
    "duration_seconds",
    "warnings",
)


@dataclass(frozen=True)
class IndexSummary:
    """What an index of N videos says.

    Attributes:
        classes: how many videos each class has.
        offsets: (N,) int64, first row of each video.
        seconds: (N,) int64, rows of each video.
        present: (N,) bool by modality, whether a video has it.
        with_warnings: how many videos decoded with a warning.
        segments: how many videos are segments of a file.
        checksums: (N,) uint32 of each video's features; None in a store without them.
        table_checksum: of the index itself.
        content: what `content_fingerprint` says of these rows.
        problems: a line each; none where the index is consistent.
        fits: whether the rows of the videos lie one behind the other and fill the file, so that each row has a video.
    """

    classes: Mapping[str, int]
    offsets: NDArray[np.int64]
    seconds: NDArray[np.int64]
    present: Mapping[str, NDArray[np.bool_]]
    with_warnings: int
    segments: int
    checksums: NDArray[np.uint32] | None
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
        """How many videos lack each modality."""
        return {modality: int(np.count_nonzero(~there)) for modality, there in self.present.items()}


class ContentDigest:
    """The hash of `feature_store.content_fingerprint`, fed block by block, so that no list of all videos is needed."""

    def __init__(self, extractor: str) -> None:
        self._digest = hashlib.sha256(f"[{json.dumps(extractor)},[".encode())
        self._between = b""

    def add(self, rows: Sequence[Sequence[object]]) -> None:
        """More videos: name, start, end, class, content hash and seconds of each."""
        if rows:
            self._digest.update(self._between + json.dumps(rows, separators=(",", ":"))[1:-1].encode())
            self._between = b","

    def fingerprint(self) -> str:
        """The fingerprint of all videos so far."""
        whole = self._digest.copy()
        whole.update(b"]]")
        return whole.hexdigest()[:12]


def read_index(index: Any, *, rows: int, extractor: str) -> IndexSummary:  # noqa: ANN401 - h5py has no types
    """Read an index and check it. Beside a few numbers a video only one block of it is in memory.

    Args:
        index: the dataset `/index`.
        rows: how many seconds of features the file holds.
        extractor: the fingerprint of the extractor that made them.

    Raises:
        ValueError: it lacks a column; whatever else h5py and numpy raise on damaged bytes.
    """
    missing = [name for name in _FIELDS if name not in (index.dtype.names or ())]
    if missing:
        raise ValueError(f"the index lacks {', '.join(missing)}")
    columns = _Columns(ContentDigest(extractor), len(index))
    for start in range(0, len(index), _BLOCK_VIDEOS):
        columns.add(index[start : start + _BLOCK_VIDEOS])
    layout = _layout_problems(columns.offsets, columns.seconds, rows)
    return IndexSummary(
        classes=dict(columns.classes),
        offsets=columns.offsets,
        seconds=columns.seconds,
        present=columns.present,
        with_warnings=columns.with_warnings,
        segments=columns.segments,
        checksums=columns.checksums if "checksum" in index.dtype.names else None,
        table_checksum=columns.table.value(),
        content=columns.digest.fingerprint(),
        problems=(*layout, *_row_problems(columns)),
        fits=not layout,
    )


class _Columns:
    """What is gathered while the index goes by: a few numbers a video, and of its texts only what they come to."""

    def __init__(self, digest: ContentDigest, videos: int) -> None:
        self.digest, self.table = digest, TableChecksum()
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
        self.table.add(block)
        places = slice(self._done, self._done + len(block))
        self._done += len(block)
        self.offsets[places], self.seconds[places] = block["offset"], block["seconds"]
        self.durations[places] = block["duration_seconds"]
        if "checksum" in (block.dtype.names or ()):
            self.checksums[places] = block["checksum"]
        for modality, there in self.present.items():
            there[places] = block[f"has_{modality}"]
        names, classes, hashes = (
            [text.decode() for text in block[column]] for column in ("video", "class", "content_hash")
        )
        starts, ends = (_times(block[column]) for column in ("start_seconds", "end_seconds"))
        self.digest.add(list(zip(names, starts, ends, classes, hashes, block["seconds"].tolist(), strict=True)))
        self._hashes[places] = [hash(key) for key in zip(names, starts, ends, strict=True)]
        self.classes.update(classes)
        self.nameless += names.count("")
        self.with_warnings += sum(bool(text) for text in block["warnings"])
        self.segments += sum(start is not None or end is not None for start, end in zip(starts, ends, strict=True))

    @property
    def repeated(self) -> int:
        """How many rows name a video, and segment, that another row names already."""
        return int(np.count_nonzero(np.diff(np.sort(self._hashes)) == 0))


def _times(column: NDArray[np.float64]) -> list[float | None]:
    """Times of segments; NaN stands for none."""
    return [None if math.isnan(time) else time for time in column.tolist()]


def _layout_problems(offsets: NDArray[np.int64], seconds: NDArray[np.int64], rows: int) -> list[str]:
    """Whether the videos' rows fill the file one behind the other, in whatever order."""
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
        "whose duration is no positive number": int(np.count_nonzero(~(np.isfinite(durations) & (durations > 0)))),
    }
    return [f"index: {counted(count, 'video')} {what}" for what, count in found.items() if count]
