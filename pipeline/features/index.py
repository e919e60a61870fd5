"""The rows that say which videos a file of features holds: as Python values, and as HDF5 keeps them."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from pipeline.base.files import fingerprint

MODALITIES = ("visual", "audio")  # in the order of the datasets and of a video's checksum
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
        ("checksum", "u4"),  # of the features, see `features_checksum`
    ]
)
_FAILURE_DTYPE = np.dtype([*_SOURCE_FIELDS, ("reason", _TEXT)])


@dataclass(frozen=True, slots=True)
class SourceFile:
    """What a video's features were made from: enough to see whether the file changed since."""

    content_hash: str
    size_bytes: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
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


def features_checksum(visual: NDArray[np.floating], audio: NDArray[np.floating]) -> int:
    """CRC-32 of a video's rows, (T, D) each, as they are stored: the bytes of the picture's, then of the sound's."""
    return zlib.crc32(audio.data, zlib.crc32(visual.data))


def table_checksum(table: NDArray[np.void]) -> int:
    """CRC-32 of a compound array: column by column its bytes, of texts their UTF-8 with a zero byte between them."""
    checksum = 0
    for name in table.dtype.names or ():
        column = table[name]
        if column.dtype.hasobject:
            texts = column.tolist()  # read from a file they are bytes
            encoded = texts if texts and isinstance(texts[0], bytes) else [text.encode() for text in texts]
            checksum = zlib.crc32(b"\0".join(encoded), checksum)
        else:
            checksum = zlib.crc32(column.tobytes(), checksum)
    return checksum


def index_rows(videos: Sequence[StoredVideo], checksums: Sequence[int]) -> NDArray[np.void]:
    """(N,) rows of `/index`; the videos lie one behind the other."""
    rows = np.empty(len(videos), _INDEX_DTYPE)
    offset = 0
    for place, (video, checksum) in enumerate(zip(videos, checksums, strict=True)):
        rows[place] = (
            *_source_cells(video),
            video.class_name,
            offset,
            video.seconds,
            video.has_audio,
            video.has_visual,
            video.duration_seconds,
            video.warnings,
            checksum,
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


def _columns(table: NDArray[np.void], *names: str) -> Iterator[tuple[Any, ...]]:
    """Rows of some columns as Python values: texts decoded, NaN as None. By columns, as there may be 200,000 rows."""
    columns: list[list[Any]] = []
    for name in names:
        column: list[Any] = table[name].tolist()
        if table.dtype[name].hasobject:
            column = [text.decode() for text in column]
        elif name in {"start_seconds", "end_seconds"}:
            column = [None if time != time else time for time in column]  # noqa: PLR0124 - only NaN is not itself
        columns.append(column)
    return zip(*columns, strict=True)


def stored_videos(table: NDArray[np.void]) -> list[StoredVideo]:
    """Rows of `/index` as Python values."""
    names = ("seconds", "has_audio", "has_visual", "duration_seconds", "class", "start_seconds", "end_seconds")
    rows = _columns(table, "video", *names, "warnings")
    return [StoredVideo(row[0], source, *row[1:]) for row, source in zip(rows, _sources(table), strict=True)]


def stored_failures(table: NDArray[np.void]) -> list[StoredFailure]:
    """Rows of `/failures` as Python values."""
    rows = _columns(table, "video", "reason", "start_seconds", "end_seconds")
    return [StoredFailure(row[0], source, *row[1:]) for row, source in zip(rows, _sources(table), strict=True)]


def _sources(table: NDArray[np.void]) -> Iterator[SourceFile]:
    return (SourceFile(*row) for row in _columns(table, "content_hash", "size_bytes", "modified_ns"))


def create_table(file: Any, name: str, rows: NDArray[np.void]) -> None:  # noqa: ANN401 - h5py has no types
    """Write a table into an open HDF5 file, with its checksum."""
    file[name] = rows
    file[name].attrs["checksum"] = table_checksum(rows)


def read_checked_table(file: Any, name: str) -> NDArray[np.void]:  # noqa: ANN401 - h5py has no types
    """Read a table of an open HDF5 file; ValueError: it is not what was written."""
    rows: NDArray[np.void] = file[name][...]
    if table_checksum(rows) != file[name].attrs["checksum"]:
        raise ValueError(f"/{name} is not what was written")
    return rows


def content_fingerprint(videos: Sequence[StoredVideo], extractor: str) -> str:
    """A hash over what a features.h5 holds: which content of which videos, in which classes, by which extractor."""
    rows = [[*video.key, video.class_name, video.source.content_hash, video.seconds] for video in videos]
    return fingerprint([extractor, rows])
