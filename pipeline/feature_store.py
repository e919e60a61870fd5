"""Features on disk: ragged arrays in HDF5, in part files and in the merged features.h5.

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
from pipeline.feature_index import (
    SourceFile,
    StoredFailure,
    StoredVideo,
    failure_rows,
    index_rows,
    stored_failure,
    stored_video,
)
from pipeline.files import fingerprint
from pipeline.hdf5_files import new_hdf5

__all__ = [
    "Attributes",
    "FeatureRows",
    "SourceFile",
    "Store",
    "StoredFailure",
    "StoredVideo",
    "content_fingerprint",
    "merge_parts",
    "open_store",
    "write_part",
]

SCHEMA = 1
_CHUNK_ROWS = 1024
Attributes = Mapping[str, str | int | float | bool]


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

    Args:
        path: the part file.
        videos: index rows with their features, as many seconds in both.
        failures: videos that could not be extracted.
        width: D, numbers in a second's vector.
        dtype: float16 or float32.
        attributes: which extractor made them, for the root attributes.

    Raises:
        ValueError: features of another shape than (seconds, width).
        StorageError: no space, or the folder cannot be written.
    """
    total = sum(video.seconds for video, _ in videos)
    with new_hdf5(path) as file:
        file.attrs.update({"schema": SCHEMA, **attributes})
        for modality in ("visual", "audio"):
            rows = [_rows_or_zeros(getattr(rows, modality), (video.seconds, width)) for video, rows in videos]
            data = np.concatenate(rows) if rows else np.zeros((0, width))
            _create_features(file, modality, total, width, dtype)[...] = data.astype(dtype)
        file["index"] = index_rows([video for video, _ in videos])
        file["failures"] = failure_rows(failures)


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
    with new_hdf5(path) as file:
        file.attrs.update({"schema": SCHEMA, **attributes})
        targets = {name: _create_features(file, name, int(offsets[-1]), width, dtype) for name in ("visual", "audio")}
        for part, copies in by_part.items():
            with open_store(parts[part]) as source:
                for name, target in targets.items():
                    data = source.features(name)
                    for row, offset, seconds in _joined(copies):
                        target[offset : offset + seconds] = data[row : row + seconds]
        file["index"] = index_rows(videos)


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
    """An open part or features.h5. Whatever cannot be read in it is a StorageError."""

    def __init__(self, file: Any, path: Path) -> None:  # noqa: ANN401 - h5py has no types
        self._file = file
        self.path = path
        with _damaged(path):
            self._index = file["index"][...]
            rows = int(self._index["seconds"].sum())
            for modality in ("visual", "audio"):
                if len(file[modality]) != rows:
                    raise ValueError(f"{len(file[modality])} seconds of {modality}, {rows} in the index")

    @property
    def attributes(self) -> dict[str, Any]:
        """Root attributes as plain values."""
        with _damaged(self.path):
            values = dict(self._file.attrs)
        return {name: value.item() if isinstance(value, np.generic) else value for name, value in values.items()}

    def videos(self) -> list[StoredVideo]:
        """Every row of the index."""
        with _damaged(self.path):
            return [stored_video(row) for row in self._index]

    def offsets(self) -> NDArray[np.int64]:
        """(N,) first row of each video."""
        offsets: NDArray[np.int64] = self._index["offset"].astype(np.int64)
        return offsets

    def failures(self) -> list[StoredFailure]:
        """Every row of the failures; none in a features.h5."""
        with _damaged(self.path):
            return [stored_failure(row) for row in self._file["failures"][...]] if "failures" in self._file else []

    def features(self, modality: str) -> NDArray[np.floating]:
        """(sum of seconds, D) as stored."""
        with _damaged(self.path):
            data: NDArray[np.floating] = self._file[modality][...]
        return data


@contextlib.contextmanager
def _damaged(path: Path) -> Iterator[None]:
    """Whatever h5py, numpy or a decoder of text raises on flipped bytes, as one error."""
    try:
        yield
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError) as error:
        raise StorageError(
            f"{path} cannot be read as HDF5: it is damaged or something else. Delete it and run avzsl extract again"
        ) from error


@contextlib.contextmanager
def open_store(path: Path) -> Iterator[Store]:
    """Open a part or a features.h5 for reading.

    Raises:
        StorageError: it is not there, damaged, or of another schema.
    """
    if not path.exists():
        raise StorageError(f"{path} does not exist: run avzsl extract again")
    with _damaged(path):
        file = h5py.File(path, "r")
    with file:
        with _damaged(path):
            schema = file.attrs.get("schema")
        if schema != SCHEMA:
            raise StorageError(
                f"{path} has schema {schema}, this avzsl reads {SCHEMA}: delete it and run avzsl extract again"
            )
        yield Store(file, path)


def content_fingerprint(videos: Sequence[StoredVideo], extractor: str) -> str:
    """A hash over what a features.h5 holds: which content of which videos, in which classes, by which extractor."""
    rows = [[*video.key, video.class_name, video.source.content_hash, video.seconds] for video in videos]
    return fingerprint([extractor, rows])


def _create_features(file: Any, name: str, rows: int, width: int, dtype: str) -> Any:  # noqa: ANN401 - h5py has no types
    chunks = (max(1, min(_CHUNK_ROWS, rows)), width)
    return file.create_dataset(name, shape=(rows, width), dtype=dtype, chunks=chunks if rows else None)


def _rows_or_zeros(rows: NDArray[np.floating] | None, shape: tuple[int, int]) -> NDArray[np.floating]:
    if rows is None:
        return np.zeros(shape, np.float32)
    if rows.shape != shape:  # or every later video would get another's seconds
        raise ValueError(f"features are {rows.shape}, must be (seconds, width) = {shape}")
    return rows
