"""The rows that say which videos a file of features holds: as Python values, and as HDF5 keeps them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

_TEXT = h5py.string_dtype("utf-8")
_SOURCE_FIELDS = [
    ("video", _TEXT),
    ("start_seconds", "f8"),  # of the segment; NaN: from the beginning
    ("end_seconds", "f8"),  # NaN: to the end
    ("content_hash", _TEXT),  # sha256 of the file
    ("size_bytes", "i8"),
    ("modified_ns", "i8"),
]
_INDEX_DTYPE = np.dtype(
    [
        *_SOURCE_FIELDS,
        ("class", _TEXT),
        ("offset", "i8"),
        ("seconds", "i4"),
        ("has_audio", "?"),
        ("has_visual", "?"),
        ("duration_seconds", "f8"),
        ("warnings", _TEXT),
    ]
)
_FAILURE_DTYPE = np.dtype([*_SOURCE_FIELDS, ("reason", _TEXT)])


@dataclass(frozen=True)
class SourceFile:
    """What a video's features were made from: enough to see whether the file changed since."""

    content_hash: str
    size_bytes: int
    modified_ns: int


@dataclass(frozen=True)
class StoredVideo:
    """A row of `/index`, without the offset."""

    video: str
    source: SourceFile
    seconds: int
    has_audio: bool
    has_visual: bool
    duration_seconds: float
    class_name: str = ""
    start_seconds: float | None = None
    end_seconds: float | None = None
    warnings: str = ""

    @property
    def key(self) -> tuple[str, float | None, float | None]:
        """What was asked for: the video and its segment."""
        return self.video, self.start_seconds, self.end_seconds


@dataclass(frozen=True)
class StoredFailure:
    """A video that could not be extracted, and why."""

    video: str
    source: SourceFile
    reason: str
    start_seconds: float | None = None
    end_seconds: float | None = None

    @property
    def key(self) -> tuple[str, float | None, float | None]:
        """What was asked for: the video and its segment."""
        return self.video, self.start_seconds, self.end_seconds


def index_rows(videos: Sequence[StoredVideo]) -> NDArray[np.void]:
    """(N,) rows of `/index`; the videos lie one behind the other."""
    rows = np.empty(len(videos), _INDEX_DTYPE)
    offset = 0
    for place, video in enumerate(videos):
        rows[place] = (
            *_source_cells(video),
            video.class_name,
            offset,
            video.seconds,
            video.has_audio,
            video.has_visual,
            video.duration_seconds,
            video.warnings,
        )
        offset += video.seconds
    return rows


def failure_rows(failures: Sequence[StoredFailure]) -> NDArray[np.void]:
    """(N,) rows of `/failures`."""
    rows = np.empty(len(failures), _FAILURE_DTYPE)
    for place, failure in enumerate(failures):
        rows[place] = (*_source_cells(failure), failure.reason)
    return rows


def _source_cells(entry: StoredVideo | StoredFailure) -> tuple[object, ...]:
    start = np.nan if entry.start_seconds is None else entry.start_seconds
    end = np.nan if entry.end_seconds is None else entry.end_seconds
    return entry.video, start, end, entry.source.content_hash, entry.source.size_bytes, entry.source.modified_ns


def _source_of(row: Any) -> dict[str, Any]:  # noqa: ANN401 - a row of a compound array
    start, end = float(row["start_seconds"]), float(row["end_seconds"])
    return {
        "video": row["video"].decode(),
        "source": SourceFile(row["content_hash"].decode(), int(row["size_bytes"]), int(row["modified_ns"])),
        "start_seconds": None if np.isnan(start) else start,
        "end_seconds": None if np.isnan(end) else end,
    }


def stored_video(row: Any) -> StoredVideo:  # noqa: ANN401 - a row of a compound array
    """A row of `/index` as Python values."""
    return StoredVideo(
        **_source_of(row),
        class_name=row["class"].decode(),
        seconds=int(row["seconds"]),
        has_audio=bool(row["has_audio"]),
        has_visual=bool(row["has_visual"]),
        duration_seconds=float(row["duration_seconds"]),
        warnings=row["warnings"].decode(),
    )


def stored_failure(row: Any) -> StoredFailure:  # noqa: ANN401 - a row of a compound array
    """A row of `/failures` as Python values."""
    return StoredFailure(**_source_of(row), reason=row["reason"].decode())
