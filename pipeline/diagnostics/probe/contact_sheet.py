"""Collect a contact sheet second by second and draw it; memory does not grow with the length of the video."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from extractors.decoding.interface import Second
from extractors.selavi.filterbank import FILTERS, LogFilterbank
from pipeline.base.figures import save_figure

MOST_CELLS = 60
_HARDLY_AUDIBLE = 33  # 60 dB below the full scale of 16 bits
COLUMNS_PER_CELL = 99  # windows of the filterbank in one second

_CELLS_PER_ROW = 10
_CELL_INCHES = 112 / 120  # one pixel of the figure per pixel of the network's input
_LEAST_CELLS_WIDE = 6  # room for the title
_MARGIN_INCHES = 0.85  # left: axis of frequencies; right: scale of energies
_SOUND_INCHES = 1.1
_GAP_INCHES = 0.42  # between two rows, for the numbers of the time axis
_LINE_INCHES = 0.2  # height of a line of the title
# Fixed, so that sheets can be compared: from hardly audible to full scale. Digital silence and the lowest filters,
# which have no FFT bin, are below this range.
_LOWEST_ENERGY, _HIGHEST_ENERGY = 0.0, 20.0
_NAMED_HZ = (500, 2000, 5000, 10_000, 20_000)
_LONGEST_LINE = 150  # letters


@dataclass(frozen=True)
class ContactSheet:
    """A video in consecutive cells of equal length.

    Attributes:
        seconds: length of the video.
        cell_seconds: length of a cell, a power of two.
        pictures: (cells, 112, 112, 3) uint8, the middle frame of the first second of each cell; None without pictures.
        energies: (257, columns) float32, log filterbank with 99 columns per cell, each a mean over `cell_seconds`
            windows; the last cell may have fewer columns. None without sound.
        rate_hz: sample rate of the sound in Hz.
        silent_seconds: number of seconds of the sound, mixed to mono, without an audible sample.
    """

    seconds: int
    cell_seconds: int
    pictures: NDArray[np.uint8] | None
    energies: NDArray[np.float32] | None
    rate_hz: int
    silent_seconds: int


class ContactSheetBuilder:
    """Collects a sheet of at most 60 cells. If a video needs more, every cell becomes twice as long.

    Args:
        rate_hz: sample rate of the sound in Hz.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._filterbank = LogFilterbank(rate_hz)
        self._cell_seconds = 1
        self._seconds = self._silent_seconds = 0
        self._pictures: list[NDArray[np.uint8]] = []
        self._columns: list[NDArray[np.float32]] = []  # (257, n) each
        self._pending: list[NDArray[np.float32]] = []  # windows that do not fill a column yet

    def add(self, second: Second) -> None:
        """Add the next second."""
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
        """Double the length of the cells. All cells are full at this moment, so columns and pictures come in pairs."""
        self._cell_seconds *= 2
        self._pictures = self._pictures[::2]
        if self._columns:
            columns = np.concatenate(self._columns, axis=1)
            self._columns = [(columns[:, ::2] + columns[:, 1::2]) * np.float32(0.5)]

    def sheet(self) -> ContactSheet:
        """Make the sheet; windows at the end that do not fill a column make a shorter last one."""
        rest = [windows.mean(axis=1, keepdims=True, dtype=np.float32) for windows in self._pending if windows.shape[1]]
        columns = [*self._columns, *rest]
        return ContactSheet(
            seconds=self._seconds,
            cell_seconds=self._cell_seconds,
            pictures=np.stack(self._pictures) if self._pictures else None,
            energies=np.concatenate(columns, axis=1) if columns else None,
            rate_hz=self._rate_hz,
            silent_seconds=self._silent_seconds,
        )


def contact_sheet_picture(sheet: ContactSheet, title: Sequence[str], path: Path) -> None:
    """Draw a sheet as a PNG.

    Args:
        sheet: sheet of at least one second.
        title: lines above the cells; the first is bold.
        path: file to write, in an existing folder.

    Raises:
        OSError: a file that cannot be written.
    """
    cells = ceil(sheet.seconds / sheet.cell_seconds)
    rows = ceil(cells / _CELLS_PER_ROW)
    wide = max(_LEAST_CELLS_WIDE, min(cells, _CELLS_PER_ROW))
    width = 2 * _MARGIN_INCHES + wide * _CELL_INCHES
    head = _LINE_INCHES * (len(title) + 1)
    row_height = _CELL_INCHES + _SOUND_INCHES + _GAP_INCHES
    height = head + rows * row_height
    figure = Figure(figsize=(width, height))
    _write_title(figure, title, height)
    image = None
    for row in range(rows):
        first = row * _CELLS_PER_ROW
        count = min(cells - first, _CELLS_PER_ROW)
        left, across = _MARGIN_INCHES / width, count * _CELL_INCHES / width
        top = (rows - row) * row_height - _CELL_INCHES
        pictures = figure.add_axes((left, top / height, across, _CELL_INCHES / height))
        sound = figure.add_axes((left, (top - _SOUND_INCHES) / height, across, _SOUND_INCHES / height))
        _draw_pictures(pictures, sheet, first, count)
        image = _draw_sound(sound, sheet, first, count, last=row == rows - 1) or image
    if image is not None:
        bar_left = _MARGIN_INCHES + (cells - (rows - 1) * _CELLS_PER_ROW) * _CELL_INCHES + 0.15
        rectangle = (bar_left / width, _GAP_INCHES / height, 0.12 / width, _SOUND_INCHES / height)
        bar = figure.colorbar(image, cax=figure.add_axes(rectangle))
        bar.set_label("log energy", fontsize=7)
        bar.ax.tick_params(labelsize=7)
    save_figure(figure, path)


def _write_title(figure: Figure, title: Sequence[str], height: float) -> None:
    for index, line in enumerate(title):
        figure.text(
            0.1 / figure.get_figwidth(),
            1 - (index + 0.5) * _LINE_INCHES / height,
            _drawable(line),
            fontsize=10 if index == 0 else 8,
            fontweight="bold" if index == 0 else "normal",
            va="center",
            parse_math=False,
        )


def _drawable(line: str) -> str:
    """Shorten a line and replace letters that the font lacks: matplotlib would warn about each of them."""
    font = get_font(findfont("DejaVu Sans"))
    known = "".join(letter if font.get_char_index(ord(letter)) else "?" for letter in line)
    return known if len(known) <= _LONGEST_LINE else known[: _LONGEST_LINE - 1] + "…"


def _draw_pictures(axes: Axes, sheet: ContactSheet, first: int, count: int) -> None:
    """Draw a strip of frames, each with the number of its second."""
    start, stop = first * sheet.cell_seconds, (first + count) * sheet.cell_seconds
    axes.set_xlim(start, stop)
    axes.set_ylim(0, 1)
    axes.set_xticks([])
    axes.set_yticks([])
    if sheet.pictures is None:
        axes.set_facecolor("0.85")
        axes.text(0.5, 0.5, "no picture", transform=axes.transAxes, ha="center", va="center")
        return
    strip = np.concatenate(list(sheet.pictures[first : first + count]), axis=1)
    axes.imshow(strip, extent=(start, stop, 0, 1), aspect="auto", interpolation="nearest")
    for cell in range(count):
        second = start + cell * sheet.cell_seconds
        box = {"facecolor": "black", "alpha": 0.6, "pad": 1.2, "linewidth": 0}
        axes.text(second, 0.99, f" {second} s", color="white", fontsize=7, va="top", bbox=box)
        axes.axvline(second, color="white", linewidth=0.8)


def _draw_sound(axes: Axes, sheet: ContactSheet, first: int, count: int, *, last: bool) -> AxesImage | None:
    """Draw the filterbank of the same seconds; return None without sound."""
    start, stop = first * sheet.cell_seconds, (first + count) * sheet.cell_seconds
    axes.set_xlim(start, stop)
    axes.set_ylim(0, FILTERS)
    axes.set_xticks([start + cell * sheet.cell_seconds for cell in range(count + 1)])
    axes.tick_params(labelsize=7)
    if last:
        axes.set_xlabel("seconds", fontsize=8)
    if sheet.energies is None:
        axes.set_yticks([])
        axes.set_facecolor("0.85")
        axes.text(0.5, 0.5, "no sound", transform=axes.transAxes, ha="center", va="center")
        return None
    columns = sheet.energies[:, first * COLUMNS_PER_CELL : (first + count) * COLUMNS_PER_CELL]
    end = start + columns.shape[1] / COLUMNS_PER_CELL * sheet.cell_seconds
    axes.set_facecolor("0.85")
    named = [hertz for hertz in _NAMED_HZ if hertz < sheet.rate_hz / 2]
    axes.set_yticks([_filter_of(hertz, sheet.rate_hz) for hertz in named], [_hertz_words(hertz) for hertz in named])
    return axes.imshow(
        columns.clip(_LOWEST_ENERGY),  # otherwise averages with the silent filters would be black
        extent=(start, end, 0, FILTERS),
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=_LOWEST_ENERGY,
        vmax=_HIGHEST_ENERGY,
        interpolation="antialiased",
    )


def _filter_of(hertz: float, rate_hz: int) -> float:
    """Find the filter, from 0, with a given centre; filters are evenly spaced on the mel scale up to half the rate."""
    return float(np.log10(1 + hertz / 700) / np.log10(1 + rate_hz / 2 / 700) * (FILTERS + 1) - 1)


def _hertz_words(hertz: int) -> str:
    return f"{hertz / 1000:g} kHz" if hertz >= 1000 else f"{hertz} Hz"
