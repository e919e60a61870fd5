"""What a contact sheet shows, gathered second by second: memory does not grow with the length of the video."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from extractors.decoding.interface import Second
from extractors.selavi.filterbank import LogFilterbank

MOST_CELLS = 60
_HARDLY_AUDIBLE = 33  # 60 dB below the full scale of 16 bits
COLUMNS_A_CELL = 99  # windows of the filterbank in a second


@dataclass(frozen=True)
class ContactSheet:
    """Cells of equal length, one behind the other.

    Attributes:
        seconds: of the video.
        cell_seconds: how long a cell is; a power of two.
        pictures: (cells, 112, 112, 3) uint8, the middle frame of each cell's first second; None: no picture.
        energies: (257, columns) float32, log filterbank, 99 columns a cell, each a mean over `cell_seconds` windows;
            the last cell may have fewer. None: no sound.
        rate_hz: samples a second that the filterbank was computed from.
        silent_seconds: how many seconds of the sound, mixed to mono, have no sample that could be heard.
    """

    seconds: int
    cell_seconds: int
    pictures: NDArray[np.uint8] | None
    energies: NDArray[np.float32] | None
    rate_hz: int
    silent_seconds: int


class ContactSheetBuilder:
    """Gathers a sheet of at most 60 cells. When a video needs more, every cell becomes twice as long.

    Args:
        rate_hz: samples a second of the sound.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._filterbank = LogFilterbank(rate_hz)
        self._cell_seconds = 1
        self._seconds = self._silent_seconds = 0
        self._pictures: list[NDArray[np.uint8]] = []
        self._columns: list[NDArray[np.float32]] = []  # (257, n) each
        self._pending: list[NDArray[np.float32]] = []  # windows that fill no column yet

    def add(self, second: Second) -> None:
        """Take the next second."""
        if self._seconds == MOST_CELLS * self._cell_seconds:
            self._double()
        if second.frames is not None and self._seconds % self._cell_seconds == 0:
            middle = second.frames[len(second.frames) // 2]
            self._pictures.append(np.rint(middle.transpose(1, 2, 0) * 255).astype(np.uint8))
        if second.audio is not None:
            self._add_sound(second.audio)
        self._seconds += 1

    def _add_sound(self, samples: NDArray[np.int16]) -> None:
        self._silent_seconds += int(np.abs(samples.astype(np.int32)).max()) < _HARDLY_AUDIBLE
        windows = self._filterbank(torch.from_numpy(samples)[None])[0].numpy()  # (257, 99)
        windows = np.concatenate([*self._pending, windows], axis=1)
        columns = windows.shape[1] // self._cell_seconds
        used = columns * self._cell_seconds
        if columns:
            self._columns.append(windows[:, :used].reshape(len(windows), columns, self._cell_seconds).mean(axis=2))
        self._pending = [windows[:, used:]]

    def _double(self) -> None:
        """At this moment all cells are full, so columns and pictures come in pairs."""
        self._cell_seconds *= 2
        self._pictures = self._pictures[::2]
        if self._columns:
            columns = np.concatenate(self._columns, axis=1)
            self._columns = [(columns[:, ::2] + columns[:, 1::2]) * np.float32(0.5)]

    def sheet(self) -> ContactSheet:
        """What was gathered; windows that fill no column at the end make a last one."""
        rest = [part.mean(axis=1, keepdims=True, dtype=np.float32) for part in self._pending if part.shape[1]]
        columns = [*self._columns, *rest]
        return ContactSheet(
            seconds=self._seconds,
            cell_seconds=self._cell_seconds,
            pictures=np.stack(self._pictures) if self._pictures else None,
            energies=np.concatenate(columns, axis=1) if columns else None,
            rate_hz=self._rate_hz,
            silent_seconds=self._silent_seconds,
        )
