"""The rows that say which videos a feature file holds: as Python values, and as HDF5 stores them."""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from pipeline.base.files import fingerprint

MODALITIES = ("visual", "audio")  # order in files and in a video's checksum; tensors have daan.batch.MODALITY_AXIS
_SOURCE_FIELDS = [
    ("video", "S"),  # texts are UTF-8 and as wide as the longest one of a table, which every reader of HDF5 understands
    ("start_seconds", "f8"),  # of the segment; NaN for the beginning of the file
    ("end_seconds", "f8"),  # NaN for the end of the file
    ("content_hash", "S"),  # sha256 of the file
    ("size_bytes", "i8"),
    ("modified_ns", "i8"),
]
INDEX_DTYPE = np.dtype(
    [
        *_SOURCE_FIELDS,
        ("class", "S"),
        ("offset", "i8"),
        ("seconds", "i4"),
        ("has_audio", "?"),
        ("has_visual", "?"),
        ("duration_seconds", "f8"),
        ("warnings", "S"),
        ("checksum", "u4"),  # of the features, see `features_checksum`
    ]
)
FAILURE_DTYPE = np.dtype([*_SOURCE_FIELDS, ("reason", "S")])


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
        (not column.hasobject or h5py.check_string_dtype(column) is not None)
        and _kind(column) == kinds.get(name, _kind(column))
        for name, column in columns
    )


def is_text(column: np.dtype[Any]) -> bool:
    """Say whether a column has texts. In a file of schema 1 they have any length, and numpy takes them for objects."""
    return column.hasobject or column.kind == "S"


def _kind(column: np.dtype[Any]) -> str:
    return "S" if is_text(column) else column.kind


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
    return b"\0".join(column.tolist()) if is_text(column.dtype) else column.tobytes()


def index_rows(videos: Sequence[StoredVideo], checksums: Sequence[int]) -> NDArray[np.void]:
    """Make the rows (N,) of `/index`; the videos' seconds follow each other in the file."""
    seconds = np.array([video.seconds for video in videos], np.int64)
    return _table(
        INDEX_DTYPE,
        {
            **_source_columns(videos),
            "class": [video.class_name for video in videos],
            "offset": np.cumsum(seconds) - seconds,
            "seconds": seconds,
            "has_audio": [video.has_audio for video in videos],
            "has_visual": [video.has_visual for video in videos],
            "duration_seconds": [video.duration_seconds for video in videos],
            "warnings": [video.warnings for video in videos],
            "checksum": checksums,
        },
    )


def failure_rows(failures: Sequence[StoredFailure]) -> NDArray[np.void]:
    """Make the rows (N,) of `/failures`."""
    return _table(FAILURE_DTYPE, {**_source_columns(failures), "reason": [failure.reason for failure in failures]})


def _source_columns(entries: Sequence[StoredVideo | StoredFailure]) -> dict[str, Any]:
    return {
        "video": [entry.video for entry in entries],
        "start_seconds": [_nan_if_none(entry.start_seconds) for entry in entries],
        "end_seconds": [_nan_if_none(entry.end_seconds) for entry in entries],
        "content_hash": [entry.source.content_hash for entry in entries],
        "size_bytes": [entry.source.size_bytes for entry in entries],
        "modified_ns": [entry.source.modified_ns for entry in entries],
    }


def _nan_if_none(seconds: float | None) -> float:
    return np.nan if seconds is None else seconds


def _table(dtype: np.dtype[np.void], columns: Mapping[str, Any]) -> NDArray[np.void]:
    """Make a table (N,) of columns (N,); a column of texts is as wide as its longest text."""
    values, types = {}, []
    for name in dtype.names or ():
        column: Any = columns[name]
        kind: Any = dtype[name]
        if kind.kind == "S":
            column = [text.encode() for text in column]
            kind = h5py.string_dtype("utf-8", max((len(text) for text in column), default=0) or 1)
        values[name] = column
        types.append((name, kind))
    table = np.empty(len(columns["video"]), types)
    for name, column in values.items():
        table[name] = column
    return table


def _columns(table: NDArray[np.void], *names: str) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of some columns as Python values, column by column inside, since there may be 200,000 rows.

    Texts are decoded, and NaN becomes None.
    """
    columns: list[list[Any]] = []
    for name in names:
        column: list[Any] = table[name].tolist()
        if is_text(table.dtype[name]):
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


def is_table_of_features(dataset: Any) -> bool:  # noqa: ANN401 - h5py has no types
    """Say whether a dataset has the shape and one of the types (float16, float32) of stored features."""
    return bool(dataset.ndim == 2 and dataset.dtype.kind == "f" and dataset.dtype.itemsize <= 4)


def create_table(file: Any, name: str, rows: NDArray[np.void]) -> None:  # noqa: ANN401 - h5py has no types
    """Write a table into an open HDF5 file, with its checksum as an attribute."""
    file[name] = rows
    file[name].attrs["checksum"] = table_checksum(rows)


def content_fingerprint(videos: Sequence[StoredVideo], extractor: str) -> str:
    """Hash what a features.h5 holds: which content of which videos, in which classes, by which extractor."""
    rows = [[*video.key, video.class_name, video.source.content_hash, video.seconds] for video in videos]
    return fingerprint([extractor, rows])
