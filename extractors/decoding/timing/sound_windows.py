"""Read the sound around each second: windows that are longer than a second overlap, and end where the sound ends."""

import numpy as np
from numpy.typing import NDArray

from extractors.decoding.timing.seconds import SoundTrack


class SoundWindows:
    """Reads the window of sound around one whole second after another; holds one window and one second at a time.

    A window never leaves the clip. After the end of the sound it is cut too, but its own second is always complete,
    with silence after the end. So windows of one second are the whole seconds of the sound.

    Args:
        track: the sound of a segment, of which nothing has been read.
        window_seconds: length of a window, centred at its second.
    """

    def __init__(self, track: SoundTrack, window_seconds: float) -> None:
        self._track = track
        self._margin_samples = round((window_seconds - 1) / 2 * track.rate_hz)
        self._second = 0
        self._first_sample = 0
        self._samples = np.empty(0, np.int16)

    @property
    def known_seconds(self) -> float:
        """The end of the sound read so far, in seconds from the segment's start."""
        return self._track.known_seconds

    def read(self) -> NDArray[np.int16]:
        """Return the window of the next second: (L,) samples, with silence in gaps."""
        rate_hz = self._track.rate_hz
        own_start, own_stop = self._second * rate_hz, (self._second + 1) * rate_hz
        self._second += 1
        start, stop = max(0, own_start - self._margin_samples), own_stop + self._margin_samples
        while self._read_to < stop and not (self._read_to >= own_stop and self._is_over):
            self._samples = np.concatenate([self._samples, self._track.read_second()])
        if self._is_over:
            stop = min(stop, max(own_stop, self._end_sample))
        self._samples = self._samples[start - self._first_sample :]
        self._first_sample = start
        return self._samples[: stop - start].copy()

    @property
    def _read_to(self) -> int:
        return self._first_sample + self._samples.size

    @property
    def _end_sample(self) -> int:
        return round(self._track.known_seconds * self._track.rate_hz)

    @property
    def _is_over(self) -> bool:
        """Whether the sound ends within what was read."""
        return self._end_sample < self._read_to
