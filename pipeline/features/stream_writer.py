"""A features.h5 written class by class, for features that come from elsewhere: only one class's are in memory.

Sound and picture may have different widths here, unlike in an extraction's files. Legend: N videos, T seconds, D, E
widths.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.base.hdf5 import new_hdf5
from pipeline.features.index import StoredVideo, create_table, features_checksum, index_rows
from pipeline.features.store import SCHEMA, Attributes, FeatureRows

_CHUNK_BYTES = 1 << 20


class StreamedStore:
    """An open features.h5 that grows at its end."""

    def __init__(self, file: Any, widths: Mapping[str, int], dtype: str) -> None:  # noqa: ANN401 - h5py has no types
        self._file, self._dtype = file, np.dtype(dtype)
        self._videos: list[StoredVideo] = []
        self._checksums: list[int] = []
        self._targets = {name: self._create(name, widths[name]) for name in ("visual", "audio")}

    def _create(self, name: str, width: int) -> Any:  # noqa: ANN401 - h5py has no types
        rows = max(1, _CHUNK_BYTES // (width * self._dtype.itemsize))
        return self._file.create_dataset(
            name, shape=(0, width), maxshape=(None, width), chunks=(rows, width), dtype=self._dtype
        )

    def append(self, videos: Sequence[tuple[StoredVideo, FeatureRows]]) -> None:
        """Write some videos, with their features (T, D) and (T, E), behind those that are there."""
        if not videos:
            return
        data = {name: self._together(name, videos) for name in self._targets}
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

    def _together(self, name: str, videos: Sequence[tuple[StoredVideo, FeatureRows]]) -> NDArray[np.floating]:
        """(sum of seconds, D); zeros where a video lacks the modality."""
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
        self._file.attrs.update({"schema": SCHEMA, **attributes})
        create_table(self._file, "index", index_rows(self._videos, self._checksums))

    @property
    def videos(self) -> Sequence[StoredVideo]:
        """What was written so far."""
        return self._videos


@contextlib.contextmanager
def streamed_store(path: Path, widths: Mapping[str, int], dtype: str) -> Iterator[StreamedStore]:
    """A features.h5 to append to and to finish; it takes the place of `path` only when everything is in it.

    Args:
        path: the file.
        widths: numbers in a second's vector, of `visual` and of `audio`.
        dtype: float16 or float32.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    with new_hdf5(path) as file:
        yield StreamedStore(file, widths, dtype)
