"""The rows that say which videos a feature file holds: as Python values, and as HDF5 stores them."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from pipeline.base.files import fingerprint

MODALITIES = ("visual", "audio")  # order in files and in a video's checksum; tensors have daan.batch.MODALITY_AXIS
_TEXT = h5py.string_dtype("utf-8")
_SOURCE_FIELDS = [
    ("video", _TEXT),
    ("start_seconds", "f8"),  # of the segment; NaN for the beginning of the file
    ("end_seconds", "f8"),  # NaN for the end of the file
    ("content_hash", _TEXT),  # sha256 of the file
    ("size_bytes", "i8"),
    ("modified_ns", "i8"),
]
INDEX_DTYPE = np.dtype(
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
FAILURE_DTYPE = np.dtype([*_SOURCE_FIELDS, ("reason", _TEXT)])


@dataclass(frozen=True, slots=True)
class SourceFile:
    """The file that features were made from: enough to see whether it changed since."""

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
        """The name of the video and its segment, which together name an entry."""
        return self.video, self.start_seconds, self.end_seconds


@dataclass(frozen=True, slots=True)
class StoredFailure:
    """A video that could not be extracted, and the reason."""

    video: str
    source: SourceFile
    reason: str
    start_seconds: float | None = None
    end_seconds: float | None = None

    @property
    def key(self) -> tuple[str, float | None, float | None]:
        """The name of the video and its segment, which together name an entry."""
        return self.video, self.start_seconds, self.end_seconds


def are_columns_plain(dtype: np.dtype[Any], expected: np.dtype[np.void]) -> bool:
    """Say whether the columns have the expected kinds, and whether all objects in a table are texts.

    Args:
        dtype: the type of a table in a file; it may lack columns.
        expected: INDEX_DTYPE or FAILURE_DTYPE.
    """
    kinds = {name: expected[name].kind for name in expected.names or ()}
    columns = [(name, dtype[name]) for name in dtype.names or ()]
    return all(
        column.kind == kinds.get(name, column.kind)
        and (not column.hasobject or h5py.check_string_dtype(column) is not None)
        for name, column in columns
    )


def features_checksum(visual: NDArray[np.floating], audio: NDArray[np.floating]) -> int:
    """Compute the CRC-32 of a video's rows, (T, D) each, as stored: first the visual bytes, then the audio bytes."""
    return zlib.crc32(audio.data, zlib.crc32(visual.data))


def table_checksum(table: NDArray[np.void]) -> int:
    """Compute the CRC-32 of a compound array, column by column; texts count as UTF-8 with zero bytes between them."""
    checksum = 0
    for name in table.dtype.names or ():
        checksum = zlib.crc32(column_bytes(table[name]), checksum)
    return checksum


def column_bytes(column: NDArray[Any]) -> bytes:
    """Convert one column of a table to the bytes that its checksum covers."""
    if not column.dtype.hasobject:
        return column.tobytes()
    texts = column.tolist()  # bytes if they were read from a file
    return b"\0".join(texts if texts and isinstance(texts[0], bytes) else [text.encode() for text in texts])


def index_rows(videos: Sequence[StoredVideo], checksums: Sequence[int]) -> NDArray[np.void]:
    """Make the rows (N,) of `/index`; the videos' seconds follow each other in the file."""
    rows = np.empty(len(videos), INDEX_DTYPE)
    offset = 0
    for index, (video, checksum) in enumerate(zip(videos, checksums, strict=True)):
        rows[index] = (
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
    """Make the rows (N,) of `/failures`."""
    rows = np.empty(len(failures), FAILURE_DTYPE)
    for index, failure in enumerate(failures):
        rows[index] = (*_source_cells(failure), failure.reason)
    return rows


def _source_cells(entry: StoredVideo | StoredFailure) -> tuple[object, ...]:
    start = np.nan if entry.start_seconds is None else entry.start_seconds
    end = np.nan if entry.end_seconds is None else entry.end_seconds
    return entry.video, start, end, entry.source.content_hash, entry.source.size_bytes, entry.source.modified_ns


def _columns(table: NDArray[np.void], *names: str) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of some columns as Python values, column by column inside, since there may be 200,000 rows.

    Texts are decoded, and NaN becomes None.
    """
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
    """Convert the rows of `/index` to Python values."""
    names = ("seconds", "has_audio", "has_visual", "duration_seconds", "class", "start_seconds", "end_seconds")
    rows = _columns(table, "video", *names, "warnings")
    return [StoredVideo(row[0], source, *row[1:]) for row, source in zip(rows, _sources(table), strict=True)]


def stored_failures(table: NDArray[np.void]) -> list[StoredFailure]:
    """Convert the rows of `/failures` to Python values."""
    rows = _columns(table, "video", "reason", "start_seconds", "end_seconds")
    return [StoredFailure(row[0], source, *row[1:]) for row, source in zip(rows, _sources(table), strict=True)]


def _sources(table: NDArray[np.void]) -> Iterator[SourceFile]:
    return (SourceFile(*row) for row in _columns(table, "content_hash", "size_bytes", "modified_ns"))


def create_table(file: Any, name: str, rows: NDArray[np.void]) -> None:  # noqa: ANN401 - h5py has no types
    """Write a table into an open HDF5 file, with its checksum as an attribute."""
    file[name] = rows
    file[name].attrs["checksum"] = table_checksum(rows)


def content_fingerprint(videos: Sequence[StoredVideo], extractor: str) -> str:
    """Hash what a features.h5 holds: which content of which videos, in which classes, by which extractor."""
    rows = [[*video.key, video.class_name, video.source.content_hash, video.seconds] for video in videos]
    return fingerprint([extractor, rows])
