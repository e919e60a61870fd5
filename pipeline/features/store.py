"""Features on disk: ragged arrays in HDF5, in part files and in the merged features.h5.

Layout (schema version in the root attribute `schema`): `/visual` and `/audio`, both (sum of seconds, D); `/index`, a
row a video; in part files also `/failures`, a row a video that could not be extracted. Root attributes say which
extractor made them. A video's rows are `offset` to `offset + seconds`; an absent modality's rows are zeros.

Checksums: each table has the attribute `checksum`, which is compared whenever the file is opened, and each row of the
index has one of its video's features, which is compared when they are copied into another file, or by `Store.check`.
"""

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from pipeline.base.errors import DamagedFileError, StorageError
from pipeline.base.files import storage_errors
from pipeline.base.hdf5 import new_hdf5
from pipeline.features.index import (
    MODALITIES,
    StoredFailure,
    StoredVideo,
    create_table,
    failure_rows,
    features_checksum,
    index_rows,
    read_checked_table,
    stored_failures,
    stored_videos,
)

SCHEMA = 1
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
    data = {}
    for modality in MODALITIES:
        rows = [_rows_or_zeros(getattr(rows, modality), (video.seconds, width)) for video, rows in videos]
        data[modality] = (np.concatenate(rows) if rows else np.zeros((0, width))).astype(dtype)
    index = [video for video, _ in videos]
    offsets = np.cumsum([0, *(video.seconds for video in index)])
    slices = [slice(start, end) for start, end in itertools.pairwise(offsets.tolist())]
    checksums = [features_checksum(data["visual"][rows], data["audio"][rows]) for rows in slices]
    with new_hdf5(path) as file:
        file.attrs.update({"schema": SCHEMA, **attributes})
        for modality, values in data.items():
            _create_features(file, modality, len(values), width, dtype)[...] = values
        create_table(file, "index", index_rows(index, checksums))
        create_table(file, "failures", failure_rows(failures))


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
        DamagedFileError: a part cannot be read, or the features of one of `videos` are not what was written.
        StorageError: no space.
    """
    offsets = np.concatenate([[0], np.cumsum([video.seconds for video in videos])]).astype(np.int64)
    width, dtype = int(attributes["feature_width"]), str(attributes["dtype"])
    by_part: dict[int, list[int]] = {}
    for place, (part, _) in enumerate(sources):
        by_part.setdefault(part, []).append(place)
    checksums = np.zeros(len(videos), np.uint32)
    with new_hdf5(path) as file:
        file.attrs.update({"schema": SCHEMA, **attributes})
        targets = {name: _create_features(file, name, int(offsets[-1]), width, dtype) for name in MODALITIES}
        for part, places in by_part.items():
            copies = [(sources[place][1], int(offsets[place]), videos[place].seconds) for place in places]
            with open_store(parts[part]) as source:
                data = {name: source.features(name) for name in targets}
                checksums[places] = source.check(**data, spans=[(row, seconds) for row, _, seconds in copies])
            for name, target in targets.items():
                for offset, slices in _runs(copies):
                    _write_rows(target, offset, np.concatenate([data[name][rows] for rows in slices]))
            file.pause()
        create_table(file, "index", index_rows(videos, checksums.tolist()))


def _runs(copies: Sequence[tuple[int, int, int]]) -> Iterator[tuple[int, list[slice]]]:
    """Copies (from row, to row, rows) that end up one behind the other, together: the first row, and whence they come.

    A part's videos stand in no order, and few long writes are faster than many short ones.
    """
    start, end, slices = 0, -1, list[slice]()
    for row, offset, count in sorted(copies, key=lambda copy: copy[1]):
        if offset != end:
            if slices:
                yield start, slices
            start, slices = offset, []
        slices.append(slice(row, row + count))
        end = offset + count
    if slices:
        yield start, slices


class Store:
    """An open part or features.h5. Whatever cannot be read in it is a StorageError."""

    def __init__(self, file: Any, path: Path) -> None:  # noqa: ANN401 - h5py has no types
        self._file = file
        self.path = path
        with _damaged(path):
            self._index = read_checked_table(file, "index")
            self._failures = read_checked_table(file, "failures") if "failures" in file else None
            rows = int(self._index["seconds"].sum())
            for modality in MODALITIES:
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
            return stored_videos(self._index)

    def offsets(self) -> NDArray[np.int64]:
        """(N,) first row of each video."""
        offsets: NDArray[np.int64] = self._index["offset"].astype(np.int64)
        return offsets

    def failures(self) -> list[StoredFailure]:
        """Every row of a part's failures."""
        with _damaged(self.path):
            if self._failures is None:
                raise ValueError("a part has a table of failures")
            return stored_failures(self._failures)

    def features(self, modality: str) -> NDArray[np.floating]:
        """(sum of seconds, D) as stored."""
        with _damaged(self.path):
            data: NDArray[np.floating] = self._file[modality][...]
        return data

    def check(
        self,
        visual: NDArray[np.floating],
        audio: NDArray[np.floating],
        spans: Sequence[tuple[int, int]] | None = None,
    ) -> list[int]:
        """Compare features with their checksums.

        Args:
            visual: (sum of seconds, D), as `features` gave it.
            audio: likewise.
            spans: first row and seconds of the videos to check; None: all.

        Returns:
            The checksums of these videos.

        Raises:
            DamagedFileError: features of a video are not what was written.
        """
        columns = (self._index[name].tolist() for name in ("offset", "seconds", "checksum"))
        written = {(offset, seconds): checksum for offset, seconds, checksum in zip(*columns, strict=True)}
        for row, seconds in written if spans is None else spans:
            rows = slice(row, row + seconds)
            if features_checksum(visual[rows], audio[rows]) != written[row, seconds]:
                raise _damage(self.path)
        return [written[span] for span in (written if spans is None else spans)]


@contextlib.contextmanager
def _damaged(path: Path) -> Iterator[None]:
    """Whatever h5py, numpy or a decoder of text raises on flipped bytes, as one error."""
    try:
        yield
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError) as error:
        raise _damage(path) from error


def _damage(path: Path) -> DamagedFileError:
    return DamagedFileError(
        path, f"{path} cannot be read as HDF5: it is damaged or something else. Delete it and run avzsl extract again"
    )


@contextlib.contextmanager
def open_store(path: Path) -> Iterator[Store]:
    """Open a part or a features.h5 for reading.

    Raises:
        DamagedFileError: it is damaged, or of another schema.
        StorageError: it is not there, or may not be read.
    """
    if not path.exists():
        raise StorageError(f"{path} does not exist: run avzsl extract again")
    with (
        storage_errors(path),
        path.open("rb"),
    ):  # what may not be read is not damaged, and HDF5 does not tell them apart
        pass
    with _damaged(path):
        file = h5py.File(path, "r")
    with file:
        with _damaged(path):
            schema = file.attrs.get("schema")
        if schema != SCHEMA:
            raise DamagedFileError(
                path, f"{path} has schema {schema}, this avzsl reads {SCHEMA}: delete it and run avzsl extract again"
            )
        yield Store(file, path)


def _create_features(file: Any, name: str, rows: int, width: int, dtype: str) -> Any:  # noqa: ANN401 - h5py has no types
    # In one piece: in chunks, a merge in another order than the parts' took 20 times as long.
    return file.create_dataset(name, shape=(rows, width), dtype=dtype)


def _write_rows(target: Any, offset: int, rows: NDArray[np.floating]) -> None:  # noqa: ANN401 - h5py has no types
    """`target[offset : offset + len(rows)] = rows` in half the time; there may be as many writes as videos."""
    place = target.id.get_space()
    place.select_hyperslab((offset, 0), rows.shape)
    target.id.write(h5py.h5s.create_simple(rows.shape), place, rows)


def _rows_or_zeros(rows: NDArray[np.floating] | None, shape: tuple[int, int]) -> NDArray[np.floating]:
    if rows is None:
        return np.zeros(shape, np.float32)
    if rows.shape != shape:  # or every later video would get another's seconds
        raise ValueError(f"features are {rows.shape}, must be (seconds, width) = {shape}")
    return rows
