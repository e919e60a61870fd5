"""The checksums of a store, compared block by block: of its tables, and of each video's features."""

import itertools
import zlib

import numpy as np
from numpy.typing import NDArray

_POLYNOMIAL = 0xEDB88320  # of CRC-32, the bit of the lowest power first
_ONE = 1 << 31  # the polynomial 1 in that order
_BYTE = 1 << 23  # the polynomial x^8


class TableChecksum:
    """What `feature_index.table_checksum` gives for a table whose rows come in blocks.

    That checksum goes column by column, and HDF5 leaks memory where single columns of a table with texts are read. So
    each column has a checksum of its own, and in the end they are joined.
    """

    def __init__(self) -> None:
        self._columns: dict[str, tuple[int, int]] = {}  # checksum and length in bytes so far

    def add(self, block: NDArray[np.void]) -> None:
        """Take the next rows."""
        for name in block.dtype.names or ():
            column = block[name]
            checksum, length = self._columns.get(name, (0, 0))
            if column.dtype.hasobject:
                between = b"\0" if name in self._columns else b""
                content = between + b"\0".join(column)
            else:
                content = column.tobytes()
            self._columns[name] = zlib.crc32(content, checksum), length + len(content)

    def value(self) -> int:
        """The checksum of all rows so far."""
        joined = 0
        for checksum, length in self._columns.values():
            joined = joined_checksum(joined, checksum, length)
        return joined


def joined_checksum(first: int, second: int, second_bytes: int) -> int:
    """CRC-32 of two contents one behind the other, from those of each and the length of the second.

    The first, followed by n bytes, is multiplied by x^(8 n) modulo CRC-32's polynomial.
    """
    factor, square, power = _ONE, _BYTE, second_bytes
    while power:
        if power & 1:
            factor = _product(factor, square)
        square, power = _product(square, square), power >> 1
    return _product(factor, first) ^ second


def _product(left: int, right: int) -> int:
    """Two polynomials over GF(2), multiplied modulo CRC-32's."""
    product = 0
    for bit in range(31, -1, -1):
        if left >> bit & 1:
            product ^= right
        right = right >> 1 ^ (_POLYNOMIAL if right & 1 else 0)
    return product


class FeatureChecksums:
    """What `feature_index.features_checksum` gives for each of N videos whose rows come in blocks.

    First all blocks of the picture, then all blocks of the sound, each in the order of the file.
    """

    def __init__(self, videos: int) -> None:
        self._running = np.zeros(videos, np.uint32)

    def add(self, values: NDArray[np.generic], videos: NDArray[np.int64]) -> None:
        """Take the next rows.

        Args:
            values: (rows, D) as they are stored.
            videos: (rows,) which video each row is of; a video's rows lie together.
        """
        bounds = [0, *(np.flatnonzero(np.diff(videos)) + 1).tolist(), len(videos)]
        for start, stop in itertools.pairwise(bounds):
            video = videos[start]
            self._running[video] = zlib.crc32(values[start:stop].data, int(self._running[video]))

    def differing(self, written: NDArray[np.uint32]) -> NDArray[np.int64]:
        """Which videos have another checksum than was written, once all blocks went by."""
        return np.flatnonzero(self._running != written)
