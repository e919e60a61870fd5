"""Place sound on the video's clock and read it second by second; gaps become digital silence."""

import math
import sys
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from extractors.decoding.interface import Second, VideoSummary
from extractors.decoding.timing.timeline import Segment, whole_seconds
from extractors.errors import VideoError


@dataclass(frozen=True)
class SoundPiece:
    """A piece of mono sound.

    Attributes:
        first_sample: index of the first sample, counted from the start of the video's clock; may be negative.
        samples: (N,) int16.
    """

    first_sample: int
    samples: NDArray[np.int16]

    @property
    def end_sample(self) -> int:
        """The index of the first sample after the piece."""
        return self.first_sample + self.samples.size


class SoundTrack:
    """Reads the pieces of a segment of a video as whole seconds; holds one piece and one second at a time.

    Attributes:
        rate_hz: samples per second.

    Args:
        pieces: pieces of sound in order of time. Gaps become silence; where pieces overlap, the later one is used.
        rate_hz: samples per second.
        segment: the segment to read; sound outside it is dropped.
    """

    def __init__(self, pieces: Iterator[SoundPiece], *, rate_hz: int, segment: Segment) -> None:
        self._pieces = pieces
        self.rate_hz = rate_hz
        self._first_sample = round(segment.start_seconds * rate_hz)
        self._stop_sample = sys.maxsize if math.isinf(segment.end_seconds) else round(segment.end_seconds * rate_hz)
        self._next_sample = self._first_sample
        self._pending: SoundPiece | None = None
        self._end_sample = self._first_sample

    @property
    def known_seconds(self) -> float:
        """The end of the sound read so far, in seconds from the segment's start."""
        return (min(self._end_sample, self._stop_sample) - self._first_sample) / self.rate_hz

    def read_second(self) -> NDArray[np.int16]:
        """Read the next second, (rate_hz,), with silence in gaps."""
        second = np.zeros(self.rate_hz, np.int16)
        end_sample = self._next_sample + self.rate_hz
        for piece in self._up_to(end_sample):
            stop = min(piece.end_sample, end_sample, self._stop_sample)
            start = max(piece.first_sample, self._next_sample)
            if start < stop:
                samples = piece.samples[start - piece.first_sample : stop - piece.first_sample]
                second[start - self._next_sample : stop - self._next_sample] = samples
        self._next_sample = end_sample
        return second

    def skip_to_end(self) -> float:
        """Read the remaining pieces and return the end of the sound, in seconds from the segment's start."""
        for piece in self._pieces:
            self._end_sample = max(self._end_sample, piece.end_sample)
        return self.known_seconds

    def _up_to(self, end_sample: int) -> Iterator[SoundPiece]:
        """Yield the pieces that begin before a sample; keep a piece that reaches it for the next second."""
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


class ReadsSound(Protocol):
    """Reads the sound of one second after another (`sound_windows.py`)."""

    @property
    def known_seconds(self) -> float: ...  # noqa: D102 - as for `SoundTrack`

    def read(self) -> NDArray[np.int16]: ...  # noqa: D102 - the sound of the next second


def sound_by_second(sound: ReadsSound) -> Generator[Second, None, float]:
    """Yield the whole seconds of a video without picture; sound shorter than 1 s is padded to one second.

    Yields:
        A second without frames.

    Returns:
        The duration of the segment's sound in seconds; 0 if the segment begins after the sound's end.
    """
    seconds = 0
    while True:
        samples = sound.read()
        is_short_sound = seconds == 0 and sound.known_seconds > 0
        if whole_seconds(sound.known_seconds) <= seconds and not is_short_sound:
            return sound.known_seconds
        yield Second(frames=None, audio=samples)
        seconds += 1


def join_seconds(
    pictures: Generator[NDArray[Any], None, float] | None, sound: ReadsSound | None
) -> Generator[Second, None, float]:
    """Combine every second of the picture with its sound; if there is no picture, yield the seconds of the sound.

    Args:
        pictures: (F, 3, S, S) per second, returning the picture's duration in seconds; None if there is no
            picture.
        sound: the sound of the same segment; None if there is no sound.

    Yields:
        The segment's seconds.

    Returns:
        The duration of the segment in seconds, up to the end of the video; 0 or less if it begins after that.

    Raises:
        VideoError: neither picture nor sound.
    """
    if pictures is not None:
        return (yield from _with_sound(pictures, sound))
    if sound is not None:
        return (yield from sound_by_second(sound))
    raise VideoError("neither picture nor sound can be decoded (damaged, encrypted or of an unknown codec)")


def _with_sound(
    pictures: Generator[NDArray[Any], None, float], sound: ReadsSound | None
) -> Generator[Second, None, float]:
    while True:
        try:
            frames = next(pictures)
        except StopIteration as end:
            return float(end.value)
        yield Second(frames=frames, audio=None if sound is None else sound.read())


def summarise_video(
    segment: Segment,
    *,
    seconds: int,
    duration_seconds: float,
    announced_seconds: float | None,
    has_audio: bool,
    has_visual: bool,
    warnings: list[str],
) -> VideoSummary:
    """Summarise a segment after its last second; warn if the file announces more whole seconds than it contains.

    Args:
        segment: the requested segment.
        seconds: number of decoded seconds.
        duration_seconds: actual duration of the segment, up to the end of the video.
        announced_seconds: duration of the whole video according to the file's header; None if it gives none.
        has_audio: whether there is sound.
        has_visual: whether there is a picture.
        warnings: other warnings about the video.
    """
    if announced_seconds is not None:
        announced = min(announced_seconds, segment.end_seconds) - segment.start_seconds
        if whole_seconds(duration_seconds) < whole_seconds(announced):
            warnings = [*warnings, f"cut short: {duration_seconds:.2f} s of the announced {announced:.2f} s exist"]
    return VideoSummary(
        seconds=seconds,
        duration_seconds=duration_seconds,
        has_audio=has_audio,
        has_visual=has_visual,
        warnings=tuple(warnings),
    )
