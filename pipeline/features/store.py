"""Features on disk: ragged arrays in HDF5, in part files and in the merged features.h5.

Layout: `/visual` is (sum of seconds, D) and `/audio` (sum of seconds, E); a width is 0 if the extractor lacks the
modality. `/index` has one row per video. Part files also have `/failures`, with one row per video that could not be
extracted. The root attributes describe the extractor; `schema` is the version of this layout. Schema 1, whose texts
have any length, is still read. A video's rows are `offset` to `offset + seconds`; the rows of an absent modality are
zeros.

Checksums: each table has an attribute `checksum`, which is compared whenever the file is opened. Each row of the index
has a checksum of its video's features, which `Store.check` compares whenever they are read.
"""

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from pipeline.base.errors import DamagedFileError, StorageError
from pipeline.base.hdf5.reading import opened_hdf5, own_dataset, reading_hdf5
from pipeline.base.hdf5.writing import new_hdf5
from pipeline.features.attributes import (
    READABLE_SCHEMAS,
    Attributes,
    is_schema,
    read_attributes,
    widths_in_attributes,
    write_attributes,
)
from pipeline.features.index import (
    FAILURE_DTYPE,
    INDEX_DTYPE,
    MODALITIES,
    StoredFailure,
    StoredVideo,
    are_columns_plain,
    create_table,
    failure_rows,
    features_checksum,
    index_rows,
    is_table_of_features,
    stored_failures,
    stored_videos,
    table_checksum,
)


@dataclass(frozen=True)
class FeatureRows:
    """The features of a video, (T, D) each; None if the modality is absent."""

    visual: NDArray[np.floating] | None
    audio: NDArray[np.floating] | None


def write_part(
    path: Path,
    videos: Sequence[tuple[StoredVideo, FeatureRows]],
    failures: Sequence[StoredFailure],
    *,
    widths: tuple[int, int],
    dtype: str,
    attributes: Attributes,
) -> None:
    """Write finished videos as one immutable file, whole or not at all.

    Args:
        path: the part file.
        videos: index rows with their features, which have equally many seconds.
        failures: videos that could not be extracted.
        widths: the widths of a second's visual and audio vector; 0 for one that the extractor lacks.
        dtype: float16 or float32.
        attributes: the root attributes, which describe the extractor.

    Raises:
        ValueError: features have another shape than (seconds, width).
        StorageError: the disk is full, or the folder cannot be written.
    """
    data = {}
    for modality, width in zip(MODALITIES, widths, strict=True):
        rows = [_rows_or_zeros(getattr(rows, modality), (video.seconds, width)) for video, rows in videos]
        data[modality] = (np.concatenate(rows) if rows else np.zeros((0, width))).astype(dtype)
    index = [video for video, _ in videos]
    offsets = np.cumsum([0, *(video.seconds for video in index)])
    slices = [slice(start, end) for start, end in itertools.pairwise(offsets.tolist())]
    checksums = [features_checksum(data["visual"][rows], data["audio"][rows]) for rows in slices]
    with new_hdf5(path) as file:
        write_attributes(file, attributes)
        for modality, values in data.items():
            _create_features(file, modality, values.shape, dtype)[...] = values
        create_table(file, "index", index_rows(index, checksums))
        create_table(file, "failures", failure_rows(failures))


def merge_parts(
    path: Path,
    parts: Sequence[Path],
    videos: Sequence[StoredVideo],
    sources: Sequence[tuple[int, int]],
    attributes: Attributes,
) -> None:
    """Copy the features of videos from their part files into one file, in the given order.

    Args:
        path: the features.h5 to write, whole or not at all.
        parts: the part files.
        videos: the rows of the new index.
        sources: for each video the index of its part file in `parts`, and its first row there.
        attributes: the root attributes of the new file, with the widths and `dtype`.

    Raises:
        DamagedFileError: a part file cannot be read, or the features of a video are not what was written.
        StorageError: the disk is full.
    """
    offsets = np.concatenate([[0], np.cumsum([video.seconds for video in videos])]).astype(np.int64)
    widths, dtype = widths_in_attributes(attributes), str(attributes["dtype"])
    by_part: dict[int, list[int]] = {}
    for index, (part, _) in enumerate(sources):
        by_part.setdefault(part, []).append(index)
    checksums = np.zeros(len(videos), np.uint32)
    with new_hdf5(path) as file:
        write_attributes(file, attributes)
        targets = {
            name: _create_features(file, name, (int(offsets[-1]), width), dtype)
            for name, width in zip(MODALITIES, widths, strict=True)
        }
        for part, indices in by_part.items():
            copies = [(sources[index][1], int(offsets[index]), videos[index].seconds) for index in indices]
            with open_store(parts[part]) as source:
                data = {name: source.features(name) for name in targets}
                checksums[indices] = source.check(**data, spans=[(row, seconds) for row, _, seconds in copies])
            for name, target in targets.items():
                for offset, slices in _runs(copies):
                    _write_rows(target, offset, np.concatenate([data[name][rows] for rows in slices]))
            file.pause()
        create_table(file, "index", index_rows(videos, checksums.tolist()))


def _runs(copies: Sequence[tuple[int, int, int]]) -> Iterator[tuple[int, list[slice]]]:
    """Group copies (from row, to row, rows) whose target rows are contiguous.

    The videos of a part file have no order, and few long writes are faster than many short ones.

    Yields:
        The first target row and the source slices of each group.
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
    """An open part file or features.h5.

    Attributes:
        path: the file.
        attributes: the root attributes as plain values.

    Raises:
        DamagedFileError: something in the file cannot be read, or is not what was written.
    """

    def __init__(self, file: Any, path: Path, attributes: dict[str, Any]) -> None:  # noqa: ANN401 - h5py has no types
        self._file = file
        self.path, self.attributes = path, attributes
        self._index = self._table("index", INDEX_DTYPE)
        with _reading(path):
            has_failures = own_dataset(file, "failures") is not None
        self._failures = self._table("failures", FAILURE_DTYPE) if has_failures else None
        rows = int(self._index["seconds"].sum())
        for modality in MODALITIES:
            with _reading(path):
                dataset = own_dataset(file, modality)
                is_plain = dataset is not None and is_table_of_features(dataset)
            if dataset is None or not is_plain:
                raise _damage(path, f"/{modality} is not a table of numbers")
            if len(dataset) != rows:
                raise _damage(path, f"/{modality} has {len(dataset)} seconds, the index {rows}")

    def _table(self, name: str, expected: np.dtype[np.void]) -> NDArray[np.void]:
        """Read a table and compare it with its columns and its checksum."""
        with _reading(self.path):
            stored = own_dataset(self._file, name)
            dtype = np.dtype([]) if stored is None else stored.dtype
        is_table = set(expected.names or ()) <= set(dtype.names or ()) and are_columns_plain(dtype, expected)
        if stored is None or not is_table:
            raise _damage(self.path, f"/{name} has other columns")
        with _reading(self.path):
            table: NDArray[np.void] = stored[...]
            written = stored.attrs["checksum"]
        if not isinstance(written, int | np.integer) or table_checksum(table) != written:
            raise _damage(self.path, f"the checksum of /{name} differs")
        return table

    def videos(self) -> list[StoredVideo]:
        """Convert every row of the index."""
        return stored_videos(self._index)

    def offsets(self) -> NDArray[np.int64]:
        """(N,) first row of each video."""
        offsets: NDArray[np.int64] = self._index["offset"].astype(np.int64)
        return offsets

    def failures(self) -> list[StoredFailure]:
        """Convert every row of a part file's failures.

        Raises:
            DamagedFileError: the file has no table of failures, so it is not a part file.
        """
        if self._failures is None:
            raise _damage(self.path, "it has no /failures")
        return stored_failures(self._failures)

    def features(self, modality: str) -> NDArray[np.floating]:
        """Read the features of a modality, (sum of seconds, D), as stored."""
        with _reading(self.path):
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
            visual: (sum of seconds, D), as `features` returns it.
            audio: likewise.
            spans: first row and seconds of the videos to check; None for all.

        Returns:
            The checksums of these videos.

        Raises:
            DamagedFileError: the features of a video are not what was written.
        """
        columns = (self._index[name].tolist() for name in ("offset", "seconds", "checksum"))
        written = {(offset, seconds): checksum for offset, seconds, checksum in zip(*columns, strict=True)}
        chosen = list(written) if spans is None else spans
        differing = [
            (row, seconds)
            for row, seconds in chosen
            if features_checksum(visual[row : row + seconds], audio[row : row + seconds]) != written[row, seconds]
        ]
        if differing:
            first = self._index["offset"].tolist().index(differing[0][0])
            name = stored_videos(self._index[first : first + 1])[0].video
            more = f" and of {len(differing) - 1} more" if len(differing) > 1 else ""
            raise _damage(self.path, f"the features of {name}{more} are not what was written")
        return [written[span] for span in chosen]


def _reading(path: Path) -> AbstractContextManager[None]:
    return reading_hdf5(lambda error: _damage(path, str(error)), path)


def remedy(path: Path) -> str:
    """Say how to get a damaged file again."""
    if path.name.startswith("part-"):
        return "run avzsl extract again, which extracts its videos again"
    if (path.parent / "parts").is_dir():
        return "run avzsl extract again, which makes it from the part files"
    return "delete it, and extract or import the features again"


def _damage(path: Path, why: str) -> DamagedFileError:
    """Make the error about a damaged file; it says how to get the file again."""
    return DamagedFileError(path, f"{path} is damaged, or no feature file ({' '.join(why.split())}): {remedy(path)}")


@contextlib.contextmanager
def open_store(path: Path) -> Iterator[Store]:
    """Open a part file or a features.h5 for reading.

    Raises:
        DamagedFileError: the file is damaged, or has another schema.
        StorageError: the file does not exist, or may not be read.
    """
    if not path.exists():
        raise StorageError(f"{path} does not exist: run avzsl extract again")
    with opened_hdf5(path, lambda error: _damage(path, str(error))) as file:
        with _reading(path):
            schema = file.attrs.get("schema")
        if not is_schema(schema):
            raise _damage(path, f"it has schema {schema}, this avzsl reads {', '.join(map(str, READABLE_SCHEMAS))}")
        with _reading(path):
            attributes = read_attributes(file)
        yield Store(file, path, attributes)


def _create_features(file: Any, name: str, shape: tuple[int, ...], dtype: str) -> Any:  # noqa: ANN401 - h5py has no types
    # In one piece: with chunks, a merge in another order than that of the part files took 20 times as long.
    return file.create_dataset(name, shape=shape, dtype=dtype)


def _write_rows(target: Any, offset: int, rows: NDArray[np.floating]) -> None:  # noqa: ANN401 - h5py has no types
    """Do `target[offset : offset + len(rows)] = rows` in half the time; there may be one write per video."""
    space = target.id.get_space()
    space.select_hyperslab((offset, 0), rows.shape)
    target.id.write(h5py.h5s.create_simple(rows.shape), space, rows)


def _rows_or_zeros(rows: NDArray[np.floating] | None, shape: tuple[int, int]) -> NDArray[np.floating]:
    if rows is None:
        return np.zeros(shape, np.float32)
    if rows.shape != shape:  # otherwise every later video would get the seconds of another one
        raise ValueError(f"features are {rows.shape}, must be (seconds, width) = {shape}")
    return rows
