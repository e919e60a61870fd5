"""Writes a features.h5 class by class, for imported features. Only the features of one class are in memory.

Legend: N videos, T seconds, D the
visual width, E the audio width.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.base.hdf5.writing import new_hdf5
from pipeline.features.attributes import Attributes, write_attributes
from pipeline.features.index import MODALITIES, StoredVideo, create_table, features_checksum, index_rows
from pipeline.features.store import FeatureRows

_CHUNK_BYTES = 1 << 20


class StreamedStore:
    """An open features.h5 that grows at its end."""

    def __init__(self, file: Any, widths: Mapping[str, int], dtype: str) -> None:  # noqa: ANN401 - h5py has no types
        self._file, self._dtype = file, np.dtype(dtype)
        self._videos: list[StoredVideo] = []
        self._checksums: list[int] = []
        self._targets = {name: self._create(name, widths[name]) for name in MODALITIES}

    def _create(self, name: str, width: int) -> Any:  # noqa: ANN401 - h5py has no types
        rows = max(1, _CHUNK_BYTES // (width * self._dtype.itemsize))
        return self._file.create_dataset(
            name, shape=(0, width), maxshape=(None, width), chunks=(rows, width), dtype=self._dtype
        )

    def append(self, videos: Sequence[tuple[StoredVideo, FeatureRows]]) -> None:
        """Append some videos, with their features (T, D) and (T, E)."""
        if not videos:
            return
        data = {name: self._concatenated(name, videos) for name in self._targets}
        row = 0
        for video, _ in videos:
            rows = slice(row, row + video.seconds)
            self._checksums.append(features_checksum(data["visual"][rows], data["audio"][rows]))
            row += video.seconds
        for name, target in self._targets.items():
            start = len(target)
            target.resize(start + row, axis=0)
            target[start:] = data[name]
        self._videos += [video for video, _ in videos]
        self._file.pause()

    def _concatenated(self, name: str, videos: Sequence[tuple[StoredVideo, FeatureRows]]) -> NDArray[np.floating]:
        """Concatenate one modality to (sum of seconds, width), with zeros for videos that lack it."""
        width = self._targets[name].shape[1]
        data = np.zeros((sum(video.seconds for video, _ in videos), width), self._dtype)
        row = 0
        for video, features in videos:
            rows = getattr(features, name)
            if rows is not None:
                data[row : row + video.seconds] = rows
            row += video.seconds
        return data

    def finish(self, attributes: Attributes) -> None:
        """Write the index and the root attributes."""
        write_attributes(self._file, attributes)
        create_table(self._file, "index", index_rows(self._videos, self._checksums))

    @property
    def videos(self) -> Sequence[StoredVideo]:
        """The videos that were written so far."""
        return self._videos


@contextlib.contextmanager
def streamed_store(path: Path, widths: Mapping[str, int], dtype: str) -> Iterator[StreamedStore]:
    """Open a new features.h5 to append to and to finish. It replaces `path` only when it is complete.

    Args:
        path: the file.
        widths: the width of a second's vector, for `visual` and for `audio`.
        dtype: float16 or float32.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    with new_hdf5(path) as file:
        yield StreamedStore(file, widths, dtype)
