"""Decoded sound mixed to mono at the wanted rate and laid on the video's clock, by PyAV."""

from collections.abc import Iterator

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from extractors.decoding.pyav.stream import StreamReader
from extractors.decoding.seconds import SoundPiece
from extractors.decoding.timeline import StreamClock

# Time stamps rounded to milliseconds jitter; a pause or an overlap longer than this is meant.
_JITTER_SECONDS = 0.05


def sound_pieces(
    reader: StreamReader,
    frames: Iterator[AudioFrame],
    clock: StreamClock,
    rate_hz: int,
    *,
    grid_seconds: float | None = None,
) -> Iterator[SoundPiece]:
    """Mix and resample a stream's frames.

    Args:
        reader: Where they come from; what cannot be resampled is counted there.
        frames: In the order of the file.
        clock: The video's clock.
        rate_hz: The rate wanted.
        grid_seconds: Where on the clock the first frame of the whole video's sound ends, if these frames are later
            ones: the first of them is laid a whole number of frames behind it, as far as its rounded time stamp allows.
    """
    mixer = _Mixer(rate_hz)
    for frame in frames:
        stamp = None if frame.pts is None else frame.time
        seconds = clock.place(stamp, frame.samples / frame.sample_rate)
        if grid_seconds is not None:
            seconds = _unrounded(seconds, grid_seconds, frame)
            grid_seconds = None
        try:
            yield from mixer.mix(frame, seconds)
        except av.FFmpegError:
            reader.damaged_packets += 1
            mixer = _Mixer(rate_hz)
    yield from mixer.flush()


def _unrounded(seconds: float, grid_seconds: float, frame: AudioFrame) -> float:
    """The time of a frame whose stamp is rounded, as Matroska does to milliseconds, if frames are as long as it.

    The very first, which only gives the grid its place, may be shorter: of Opus, what only primes the decoder is cut.
    """
    length = frame.samples / frame.sample_rate
    exact = grid_seconds + round((seconds - grid_seconds) / length) * length
    return exact if abs(exact - seconds) <= float(frame.time_base or 0) else seconds


class _Mixer:
    """ffmpeg's mixing and resampling, a new resampler for every stretch without pause or change of format."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._resampler: AudioResampler | None = None
        self._format: tuple[int, str, str] | None = None
        self._end_seconds = 0.0
        self._next_sample = 0

    def mix(self, frame: AudioFrame, seconds: float) -> Iterator[SoundPiece]:
        """The samples that a frame which sounds at `seconds` makes ready."""
        its_format = (frame.sample_rate, frame.layout.name, frame.format.name)
        if its_format != self._format or abs(seconds - self._end_seconds) > _JITTER_SECONDS:
            yield from self.flush()
            self._resampler = AudioResampler(format="s16", layout="mono", rate=self._rate_hz)
            self._format = its_format
            self._next_sample = round(seconds * self._rate_hz)
            self._end_seconds = seconds
        # Counted in samples, not by the stamps, so that rounding does not add up.
        self._end_seconds += frame.samples / frame.sample_rate
        yield from self._resample(frame)

    def flush(self) -> Iterator[SoundPiece]:
        """What the resampler still holds."""
        yield from self._resample(None)
        self._resampler = None

    def _resample(self, frame: AudioFrame | None) -> Iterator[SoundPiece]:
        if self._resampler is None:
            return
        for mixed in self._resampler.resample(frame):
            samples = mixed.to_ndarray()[0].astype(np.int16, copy=False)
            if samples.size:
                yield SoundPiece(self._next_sample, samples)
                self._next_sample += samples.size


def mono_gain(layout: str) -> float:
    """By how much ffmpeg turns a mixture to 16-bit mono down, so that it cannot clip; a mixture in float it does not.

    Args:
        layout: ffmpeg's name of the channels' layout, such as `stereo`.
    """
    frame_samples = 64
    level = 1 / 64
    channels = av.AudioLayout(layout).nb_channels
    frame = AudioFrame.from_ndarray(np.full((channels, frame_samples), level, np.float32), format="fltp", layout=layout)
    frame.sample_rate = 8000
    (mixed,) = AudioResampler(format="fltp", layout="mono", rate=8000).resample(frame)
    return min(1.0, level / float(mixed.to_ndarray()[0, 0]))
