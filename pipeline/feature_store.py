"""Features on disk: ragged arrays in HDF5, in part files and in the merged features.h5. The only file that knows h5py.

Layout (schema version in the root attribute `schema`): `/visual` and `/audio`, both (sum of seconds, D); `/index`, a
row a video; in part files also `/failures`, a row a video that could not be extracted. Root attributes say which
extractor made them. A video's rows are `offset` to `offset + seconds`; an absent modality's rows are zeros.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import StorageError
from pipeline.files import fingerprint, replacing, storage_error

SCHEMA = 1
_CHUNK_ROWS = 1024
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

Attributes = Mapping[str, str | int | float | bool]


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


@dataclass(frozen=True)
class FeatureRows:
    """A video's features: (T, D) each, None where the modality is absent."""

    visual: NDArray[np.floating] | None
    audio: NDArray[np.floating] | None


def write_part(
    path: Path,
    videos: Sequence[tuple[StoredVideo, FeatureRows]],
    failures: Sequence[StoredFailure],
    *,
    width: int,
    dtype: str,
    attributes: Attributes,
) -> None:
    """Write finished videos as one immutable file, whole or not at all.

    Raises:
        StorageError: no space, or the folder cannot be written.
    """
    total = sum(video.seconds for video, _ in videos)
    with _new_file(path, attributes) as file:
        for modality in ("visual", "audio"):
            rows = [_rows_or_zeros(getattr(rows, modality), video.seconds, width) for video, rows in videos]
            data = np.concatenate(rows) if rows else np.zeros((0, width))
            _create_features(file, modality, total, width, dtype)[...] = data.astype(dtype)
        file["index"] = _index_rows([video for video, _ in videos])
        file["failures"] = _failure_rows(failures)


def merge_parts(
    path: Path,
    parts: Sequence[Path],
    videos: Sequence[StoredVideo],
    sources: Sequence[tuple[int, int]],
    attributes: Attributes,
) -> None:
    """Copy the rows of `videos` from their parts into one file, in the order given.

    Args:
        path: the features.h5 to write, whole or not at all.
        parts: part files.
        videos: rows of the new index.
        sources: for each video its part's place in `parts`, and its first row there.
        attributes: root attributes of the new file, `feature_width` and `dtype` among them.

    Raises:
        StorageError: no space, or a part cannot be read.
    """
    offsets = np.concatenate([[0], np.cumsum([video.seconds for video in videos])]).astype(np.int64)
    width, dtype = int(attributes["feature_width"]), str(attributes["dtype"])
    by_part: dict[int, list[tuple[int, int, int]]] = {}
    for video, (part, row), offset in zip(videos, sources, offsets, strict=False):
        by_part.setdefault(part, []).append((row, int(offset), video.seconds))
    with _new_file(path, attributes) as file:
        targets = {name: _create_features(file, name, int(offsets[-1]), width, dtype) for name in ("visual", "audio")}
        for part, copies in by_part.items():
            with open_store(parts[part]) as source:
                for name, target in targets.items():
                    data = source.file[name][...]
                    for row, offset, seconds in _joined(copies):
                        target[offset : offset + seconds] = data[row : row + seconds]
        file["index"] = _index_rows(videos)


def _joined(copies: Sequence[tuple[int, int, int]]) -> Iterator[tuple[int, int, int]]:
    """Copies (from row, to row, rows) with neighbours joined, so that few large ones remain."""
    pending: tuple[int, int, int] | None = None
    for row, offset, count in sorted(copies, key=lambda copy: copy[1]):
        if pending and (row, offset) == (pending[0] + pending[2], pending[1] + pending[2]):
            pending = (pending[0], pending[1], pending[2] + count)
            continue
        if pending:
            yield pending
        pending = (row, offset, count)
    if pending:
        yield pending


class Store:
    """An open part or features.h5."""

    def __init__(self, file: Any, path: Path) -> None:  # noqa: ANN401 - h5py has no types
        self.file = file
        self.path = path

    @property
    def attributes(self) -> dict[str, Any]:
        """Root attributes as plain values."""
        return {
            name: value.item() if isinstance(value, np.generic) else value for name, value in self.file.attrs.items()
        }

    def videos(self) -> list[StoredVideo]:
        """Every row of the index."""
        return [_stored_video(row) for row in self.file["index"][...]]

    def offsets(self) -> NDArray[np.int64]:
        """(N,) first row of each video."""
        offsets: NDArray[np.int64] = self.file["index"]["offset"].astype(np.int64)
        return offsets

    def failures(self) -> list[StoredFailure]:
        """Every row of the failures; none in a features.h5."""
        return [_stored_failure(row) for row in self.file["failures"][...]] if "failures" in self.file else []

    def features(self, modality: str) -> NDArray[np.floating]:
        """(sum of seconds, D) as stored."""
        data: NDArray[np.floating] = self.file[modality][...]
        return data


@contextlib.contextmanager
def open_store(path: Path) -> Iterator[Store]:
    """Open a part or a features.h5 for reading.

    Raises:
        StorageError: it is not there, damaged, or of another schema.
    """
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        if not path.exists():
            raise storage_error(FileNotFoundError(2, "No such file"), path) from error
        raise StorageError(
            f"{path} cannot be read as HDF5: it is damaged or something else. Delete it and run avzsl extract again"
        ) from error
    with file:
        schema = file.attrs.get("schema")
        if schema != SCHEMA or "index" not in file:
            raise StorageError(
                f"{path} has schema {schema}, this avzsl reads {SCHEMA}: delete it and run avzsl extract again"
            )
        yield Store(file, path)


def content_fingerprint(videos: Sequence[StoredVideo], extractor: str) -> str:
    """A hash over what a features.h5 holds: which content of which videos, in which classes, by which extractor."""
    rows = [[*video.key, video.class_name, video.source.content_hash, video.seconds] for video in videos]
    return fingerprint([extractor, rows])


@contextlib.contextmanager
def _new_file(path: Path, attributes: Attributes) -> Iterator[Any]:
    """An HDF5 file that takes its place only when everything is in it."""
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["schema"] = SCHEMA
        file.attrs.update(attributes)
        yield file


def _create_features(file: Any, name: str, rows: int, width: int, dtype: str) -> Any:  # noqa: ANN401 - h5py has no types
    chunks = (max(1, min(_CHUNK_ROWS, rows)), width)
    return file.create_dataset(name, shape=(rows, width), dtype=dtype, chunks=chunks if rows else None)


def _rows_or_zeros(rows: NDArray[np.floating] | None, seconds: int, width: int) -> NDArray[np.floating]:
    return np.zeros((seconds, width), np.float32) if rows is None else rows


def _source_cells(entry: StoredVideo | StoredFailure) -> tuple[object, ...]:
    start = np.nan if entry.start_seconds is None else entry.start_seconds
    end = np.nan if entry.end_seconds is None else entry.end_seconds
    return entry.video, start, end, entry.source.content_hash, entry.source.size_bytes, entry.source.modified_ns


def _index_rows(videos: Sequence[StoredVideo]) -> NDArray[np.void]:
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


def _failure_rows(failures: Sequence[StoredFailure]) -> NDArray[np.void]:
    rows = np.empty(len(failures), _FAILURE_DTYPE)
    for place, failure in enumerate(failures):
        rows[place] = (*_source_cells(failure), failure.reason)
    return rows


def _source_of(row: Any) -> dict[str, Any]:  # noqa: ANN401 - a row of a compound array
    start, end = float(row["start_seconds"]), float(row["end_seconds"])
    return {
        "video": row["video"].decode(),
        "source": SourceFile(row["content_hash"].decode(), int(row["size_bytes"]), int(row["modified_ns"])),
        "start_seconds": None if np.isnan(start) else start,
        "end_seconds": None if np.isnan(end) else end,
    }


def _stored_video(row: Any) -> StoredVideo:  # noqa: ANN401 - a row of a compound array
    return StoredVideo(
        **_source_of(row),
        class_name=row["class"].decode(),
        seconds=int(row["seconds"]),
        has_audio=bool(row["has_audio"]),
        has_visual=bool(row["has_visual"]),
        duration_seconds=float(row["duration_seconds"]),
        warnings=row["warnings"].decode(),
    )


def _stored_failure(row: Any) -> StoredFailure:  # noqa: ANN401 - a row of a compound array
    return StoredFailure(**_source_of(row), reason=row["reason"].decode())
