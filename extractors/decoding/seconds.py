"""Sound laid on the video's clock and read second by second; where there is none there is digital silence."""

import math
import sys
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from extractors.decoding.interface import Second
from extractors.decoding.timeline import Part, whole_seconds


@dataclass(frozen=True)
class SoundPiece:
    """A stretch of mono sound.

    Attributes:
        first_sample: Where it starts, in samples since the video's first frame; may be negative.
        samples: (N,) int16.
    """

    first_sample: int
    samples: NDArray[np.int16]

    @property
    def end_sample(self) -> int:
        """The first sample after it."""
        return self.first_sample + self.samples.size


class SoundTrack:
    """Reads the pieces of a part of a video as whole seconds; holds one piece and one second at a time.

    Args:
        pieces: In the order in which they sound; gaps are silence, of overlaps the later piece counts.
        rate_hz: Samples a second.
        part: What to read: before its start everything is dropped, at its end the sound stops.
    """

    def __init__(self, pieces: Iterator[SoundPiece], *, rate_hz: int, part: Part) -> None:
        self._pieces = pieces
        self._rate_hz = rate_hz
        self._first_sample = round(part.start_seconds * rate_hz)
        self._stop_sample = sys.maxsize if math.isinf(part.end_seconds) else round(part.end_seconds * rate_hz)
        self._next_sample = self._first_sample
        self._pending: SoundPiece | None = None
        self._end_sample = self._first_sample

    @property
    def known_seconds(self) -> float:
        """How far the sound is known to reach, counted from the part's start."""
        return (min(self._end_sample, self._stop_sample) - self._first_sample) / self._rate_hz

    def read_second(self) -> NDArray[np.int16]:
        """The next second, (rate_hz,), silent where there is no sound."""
        second = np.zeros(self._rate_hz, np.int16)
        end_sample = self._next_sample + self._rate_hz
        for piece in self._up_to(end_sample):
            stop = min(piece.end_sample, end_sample, self._stop_sample)
            start = max(piece.first_sample, self._next_sample)
            if start < stop:
                sounding = piece.samples[start - piece.first_sample : stop - piece.first_sample]
                second[start - self._next_sample : stop - self._next_sample] = sounding
        self._next_sample = end_sample
        return second

    def skip_to_end(self) -> float:
        """How far the sound reaches in all, in seconds from the part's start; nothing is left to read."""
        for piece in self._pieces:
            self._end_sample = max(self._end_sample, piece.end_sample)
        return self.known_seconds

    def _up_to(self, end_sample: int) -> Iterator[SoundPiece]:
        """The pieces that begin before a sample; one that reaches beyond it is kept for the next second."""
        while True:
            piece = self._pending or next(self._pieces, None)
            self._pending = None
            if piece is None:
                return
            self._end_sample = max(self._end_sample, piece.end_sample)
            if piece.end_sample >= end_sample:
                self._pending = piece
            if piece.first_sample < end_sample:
                yield piece
            if self._pending is not None:
                return


def sound_by_second(track: SoundTrack) -> Generator[Second, None, float]:
    """The whole seconds of a video that has no picture; under one second there is one, padded with silence.

    Yields:
        A second without frames.

    Returns:
        How long the sound of the part is, in seconds; 0 where the part begins after the sound's end.
    """
    seconds = 0
    while True:
        samples = track.read_second()
        first_of_short_sound = seconds == 0 and track.known_seconds > 0
        if whole_seconds(track.known_seconds) <= seconds and not first_of_short_sound:
            return track.known_seconds
        yield Second(frames=None, audio=samples)
        seconds += 1
