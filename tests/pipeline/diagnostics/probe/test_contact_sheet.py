"""pipeline/diagnostics/probe/contact_sheet.py: cells equal those computed from all seconds, and the PNG shows them."""

import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib import image

from extractors.decoding.interface import Second
from extractors.selavi.filterbank import LogFilterbank
from pipeline.diagnostics.probe.contact_sheet import (
    MOST_CELLS,
    ContactSheet,
    ContactSheetBuilder,
    contact_sheet_picture,
)

RATE_HZ = 8000
COLOURS = np.eye(3, dtype=np.float32)


def sound(number: int) -> np.ndarray:
    """Make a second of noise that is louder for higher numbers."""
    generator = np.random.default_rng(number)
    return generator.normal(0, 50 + 10 * number, RATE_HZ).clip(-32768, 32767).astype(np.int16)


def picture(number: int) -> np.ndarray:
    """Make frames (30, 3, 112, 112), of which only the middle one has a colour."""
    frames = np.zeros((30, 3, 112, 112), np.float32)
    frames[15] = COLOURS[number % 3][:, None, None]
    return frames


def sheet_of(seconds: int, *, has_audio: bool = True, has_visual: bool = True) -> ContactSheet:
    """Make the sheet of a video with a number of seconds."""
    builder = ContactSheetBuilder(RATE_HZ)
    for number in range(seconds):
        builder.add(Second(picture(number) if has_visual else None, sound(number) if has_audio else None))
    return builder.sheet()


@pytest.mark.parametrize("seconds", [1, 60, 61, 120, 121, 245])
def test_cells_equal_those_computed_from_all_seconds(seconds: int) -> None:
    """A cell shows the picture of its first second; each column of sound is a mean over `cell_seconds` windows."""
    sheet = sheet_of(seconds)
    length = sheet.cell_seconds
    assert length & (length - 1) == 0
    assert sheet.seconds / MOST_CELLS <= length < max(1.001, 2 * seconds / MOST_CELLS)
    numbers = range(0, seconds, length)
    expected = np.stack([picture(number)[15].transpose(1, 2, 0) * 255 for number in numbers])
    np.testing.assert_array_equal(sheet.pictures, expected)
    samples = torch.from_numpy(np.stack([sound(number) for number in range(seconds)]))
    windows = np.concatenate(list(LogFilterbank(RATE_HZ)(samples).numpy()), axis=1)  # (257, 99 x seconds)
    columns = [windows[:, start : start + length].mean(axis=1) for start in range(0, windows.shape[1], length)]
    np.testing.assert_allclose(sheet.energies, np.stack(columns, axis=1), atol=1e-4)


def test_an_absent_modality_stays_absent() -> None:
    """The sheet then has no pictures or no energies."""
    assert sheet_of(3, has_audio=False).energies is None
    assert sheet_of(3, has_visual=False).pictures is None


def test_silent_seconds_are_counted() -> None:
    """An amplitude of two steps of 16 bits is inaudible; full scale of either sign is audible."""
    builder = ContactSheetBuilder(RATE_HZ)
    for loudness in (0, 2, -2, 32767, -32768):
        builder.add(Second(None, np.full(RATE_HZ, loudness, np.int16)))
    assert builder.sheet().silent_seconds == 3


@pytest.mark.parametrize(("has_audio", "has_visual"), [(True, True), (False, True), (True, False)])
@pytest.mark.parametrize("seconds", [1, 13])
def test_every_sheet_can_be_drawn(tmp_path: Path, seconds: int, has_audio: bool, has_visual: bool) -> None:
    """The figure gets wider up to ten cells, then taller; letters that no font has give no warning."""
    sheet = sheet_of(seconds, has_audio=has_audio, has_visual=has_visual)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        contact_sheet_picture(sheet, ["clip 漢字 $x_1$ \udcff.mp4", "words"], tmp_path / "sheet.png")
    height, width = image.imread(tmp_path / "sheet.png").shape[:2]
    assert width == pytest.approx(204 + 112 * min(10, max(6, seconds)), abs=2)
    assert 280 * math.ceil(seconds / 10) < height < 150 + 300 * math.ceil(seconds / 10)


def test_every_second_is_drawn_at_its_position_without_scaling(tmp_path: Path) -> None:
    """Red, green and blue cells of 112 pixels are next to each other."""
    contact_sheet_picture(sheet_of(6), ["clip.mp4"], tmp_path / "sheet.png")
    pixels = image.imread(tmp_path / "sheet.png")[..., :3]
    for number in range(6):
        is_colour = (np.abs(pixels - COLOURS[number % 3]) < 0.01).all(axis=-1)
        left = 102 + 112 * number
        assert is_colour[:, left + 4 : left + 108].sum() > 0.8 * 112 * 104
