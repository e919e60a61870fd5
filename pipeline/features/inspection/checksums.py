"""The checksums of a store, computed block by block: of its tables, and of each video's features."""

import itertools
import tempfile
import zlib
from contextlib import ExitStack
from typing import IO, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.features.index import column_bytes, is_text

_READ_BYTES = 1 << 20
_MEMORY_BYTES = 1 << 18  # of each column; a longer one goes to a temporary file


class TableChecksum:
    """Computes what `table_checksum` gives for a table whose rows come in blocks.

    That checksum covers one column after the other. HDF5 leaks memory if single columns of a table with texts are
    read, so the columns wait in temporary files until the last row is there. Use it in a `with` statement.
    """

    def __init__(self) -> None:
        self._files = ExitStack()
        self._columns: dict[str, IO[bytes]] = {}

    def __enter__(self) -> Self:
        """Begin without rows."""
        return self

    def __exit__(self, *_: object) -> None:
        """Delete the temporary files."""
        self._files.close()

    def add(self, block: NDArray[np.void]) -> None:
        """Take the next rows."""
        for name in block.dtype.names or ():
            if name in self._columns:
                separator = b"\0" if is_text(block.dtype[name]) else b""
                self._columns[name].write(separator + column_bytes(block[name]))
            else:
                file = self._files.enter_context(tempfile.SpooledTemporaryFile(_MEMORY_BYTES))  # noqa: SIM115 - the stack closes it
                file.write(column_bytes(block[name]))
                self._columns[name] = file

    def value(self) -> int:
        """Compute the checksum of all rows so far."""
        checksum = 0
        for column in self._columns.values():
            column.seek(0)
            while content := column.read(_READ_BYTES):
                checksum = zlib.crc32(content, checksum)
        return checksum


class FeatureChecksums:
    """Computes what `features_checksum` gives for each of N videos whose rows come in blocks.

    First come all blocks of the visual features, then all blocks of the audio features, each in the order of the file.
    """

    def __init__(self, videos: int) -> None:
        self._running = np.zeros(videos, np.uint32)

    def add(self, values: NDArray[np.generic], videos: NDArray[np.int64]) -> None:
        """Take the next rows.

        Args:
            values: (rows, D) as they are stored.
            videos: (rows,) index of the video that each row belongs to; the rows of a video are contiguous.
        """
        bounds = [0, *(np.flatnonzero(np.diff(videos)) + 1).tolist(), len(videos)]
        for start, stop in itertools.pairwise(bounds):
            video = videos[start]
            self._running[video] = zlib.crc32(values[start:stop].data, int(self._running[video]))

    def differing(self, written: NDArray[np.uint32]) -> NDArray[np.int64]:
        """Return the indices of the videos whose checksum differs from the written one, after the last block."""
        return np.flatnonzero(self._running != written)
