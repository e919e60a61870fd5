"""Cut the pictures of a video into windows around its seconds, after each picture was encoded once."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from extractors.base import PictureInput


class PictureWindows:
    """Collects the rows of a video's pictures, and holds no more of them than the next windows need.

    Args:
        wanted: number of pictures of a second, and length of a window.
    """

    def __init__(self, wanted: PictureInput) -> None:
        self._per_second = wanted.frames_per_second
        self._margin = round((wanted.window_seconds - 1) / 2 * self._per_second)
        self._rows: list[NDArray[Any]] = []  # of single pictures, (E,) each
        self._first = 0  # the index in the video of the first of them
        self._seconds = self._cut = 0

    def add(self, rows: NDArray[Any]) -> None:
        """Add the rows (F, E) of the next second."""
        self._rows += list(rows)
        self._seconds += 1

    def cut(self, *, is_last: bool) -> Iterator[NDArray[Any]]:
        """Yield the windows (K, E) of further seconds, in order; a window that the video's end may cut waits for it.

        Args:
            is_last: whether the video has no more seconds.
        """
        known = self._first + len(self._rows)
        while self._cut < self._seconds:
            start = max(0, self._cut * self._per_second - self._margin)
            stop = (self._cut + 1) * self._per_second + self._margin
            if stop > known and not is_last:
                return
            self._rows = self._rows[start - self._first :]
            self._first = start
            self._cut += 1
            yield np.stack(self._rows[: stop - start])
