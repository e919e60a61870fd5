"""extractors/decoding/timing/sound_windows.py: the sound around each second."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extractors.decoding.timing.seconds import SoundPiece, SoundTrack
from extractors.decoding.timing.sound_windows import SoundWindows
from extractors.decoding.timing.timeline import Segment

RATE_HZ = 10


def windows_of(samples: np.ndarray, window_seconds: float, seconds: int, piece_samples: int = 7) -> list[np.ndarray]:
    """Read the windows of the first seconds of a sound that comes in pieces."""
    starts = range(0, len(samples), piece_samples)
    pieces = (SoundPiece(start, samples[start : start + piece_samples]) for start in starts)
    windows = SoundWindows(SoundTrack(pieces, rate_hz=RATE_HZ, segment=Segment()), window_seconds)
    return [windows.read() for _ in range(seconds)]


@given(
    length=st.integers(0, 95),
    window_seconds=st.sampled_from([1.0, 1.4, 2.0, 3.0, 4.0, 11.0]),
    piece_samples=st.integers(1, 40),
    more_seconds=st.integers(0, 3),
)
def test_a_window_is_the_sound_around_its_second(
    length: int, window_seconds: float, piece_samples: int, more_seconds: int
) -> None:
    """It is cut at both ends of the clip; its own second is complete, with silence after the end of the sound."""
    samples = np.arange(1, length + 1, dtype=np.int16)
    seconds = length // RATE_HZ + more_seconds
    silent = np.zeros(RATE_HZ * (seconds + 12), np.int16)
    silent[:length] = samples
    margin = round((window_seconds - 1) / 2 * RATE_HZ)
    for second, window in enumerate(windows_of(samples, window_seconds, seconds, piece_samples)):
        start, own_stop = second * RATE_HZ, (second + 1) * RATE_HZ
        stop = min(own_stop + margin, max(own_stop, length))
        assert np.array_equal(window, silent[max(0, start - margin) : stop])


@pytest.mark.parametrize("window_seconds", [1.0, 3.0])
def test_a_gap_in_the_sound_is_silence_and_no_end(window_seconds: float) -> None:
    """Sound that goes on after a pause is part of later windows."""
    pieces = iter([SoundPiece(0, np.full(10, 5, np.int16)), SoundPiece(40, np.full(10, 7, np.int16))])
    windows = SoundWindows(SoundTrack(pieces, rate_hz=RATE_HZ, segment=Segment()), window_seconds)
    read = [windows.read() for _ in range(5)]
    expected = np.repeat(np.array([5, 0, 0, 0, 7], np.int16), RATE_HZ)
    margin = round((window_seconds - 1) / 2 * RATE_HZ)
    for second, window in enumerate(read):
        start = max(0, second * RATE_HZ - margin)
        assert np.array_equal(window, expected[start : (second + 1) * RATE_HZ + margin])


def test_no_more_sound_is_held_than_a_window_and_a_second() -> None:
    """So memory does not grow with the clip."""
    samples = np.arange(5000, dtype=np.int16)
    pieces = (SoundPiece(start, samples[start : start + 10]) for start in range(0, 5000, 10))
    windows = SoundWindows(SoundTrack(pieces, rate_hz=RATE_HZ, segment=Segment()), 3.0)
    for _ in range(400):
        windows.read()
        assert windows._samples.size <= 4 * RATE_HZ
