"""Mix sound to mono with PyAV, resample it and place it on the video's clock."""

from collections.abc import Iterator
from itertools import chain
from typing import cast

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from extractors.decoding.pyav.opening import Opening, stamped_sound
from extractors.decoding.pyav.stream import StreamReader
from extractors.decoding.timing.clock import StreamClock
from extractors.decoding.timing.seconds import SoundPiece, SoundTrack
from extractors.decoding.timing.timeline import Segment

# Sound is decoded from this long before a segment, because codecs and resamplers depend on earlier samples.
_LEAD_SECONDS = 0.5
# Time stamps rounded to milliseconds jitter; a pause or an overlap longer than this is real.
_JITTER_SECONDS = 0.05


def open_sound_track(reader: StreamReader, opening: Opening, rate_hz: int, segment: Segment) -> SoundTrack | None:
    """Return the sound of a segment, mixed and resampled; None if no sample of the video's sound can be decoded."""
    if opening.sound is None:
        return None
    gap_seconds, origin = reader.largest_gap_seconds, opening.origin_seconds
    clock = StreamClock(largest_gap_seconds=gap_seconds, origin_seconds=origin)
    pieces = _sound_pieces(reader, opening.sound.frames, clock, rate_hz)
    first = next(pieces, None)
    if first is None:
        return None
    origin = clock.origin_seconds
    if segment.start_seconds == 0 or origin is None:
        return SoundTrack(chain([first], pieces), rate_hz=rate_hz, segment=segment)
    clock = StreamClock(largest_gap_seconds=gap_seconds, origin_seconds=origin)
    frames = cast("Iterator[AudioFrame]", reader.frames_from(origin + segment.start_seconds - _LEAD_SECONDS))
    grid_seconds = first.first_sample / rate_hz + opening.sound.first.samples / opening.sound.first.sample_rate
    pieces = _sound_pieces(reader, stamped_sound(frames), clock, rate_hz, grid_seconds=grid_seconds)
    return SoundTrack(pieces, rate_hz=rate_hz, segment=segment)


def _sound_pieces(
    reader: StreamReader,
    frames: Iterator[tuple[AudioFrame, float | None]],
    clock: StreamClock,
    rate_hz: int,
    *,
    grid_seconds: float | None = None,
) -> Iterator[SoundPiece]:
    """Mix and resample a stream's frames.

    Args:
        reader: the reader of the frames; it counts frames that cannot be resampled as damaged.
        frames: frames in the order of the file, each with its time stamp in seconds.
        clock: the video's clock.
        rate_hz: the wanted sample rate.
        grid_seconds: clock time at which the first sound frame of the whole video ends; None if `frames` starts with
            that frame. The first of `frames` is placed a whole number of frames after it, if this agrees with its
            rounded time stamp.
    """
    mixer = _Mixer(rate_hz)
    for frame, stamp_seconds in frames:
        seconds = clock.place(stamp_seconds, frame.samples / frame.sample_rate)
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
    """Compute the exact time of a frame with a rounded stamp (Matroska rounds to ms), if all frames are equally long.

    The video's first frame may be shorter, as only its end defines the grid. In Opus, the samples that only prime the
    decoder are cut from it.
    """
    length = frame.samples / frame.sample_rate
    exact = grid_seconds + round((seconds - grid_seconds) / length) * length
    return exact if abs(exact - seconds) <= float(frame.time_base or 0) else seconds


class _Mixer:
    """Mixes and resamples with ffmpeg; every stretch without pause or change of format gets a new resampler."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._resampler: AudioResampler | None = None
        self._format: tuple[int, str, str] | None = None
        self._end_seconds = 0.0
        self._next_sample = 0

    def mix(self, frame: AudioFrame, seconds: float) -> Iterator[SoundPiece]:
        """Resample a frame that starts at `seconds` and yield the samples that are ready."""
        frame_format = (frame.sample_rate, frame.layout.name, frame.format.name)
        if frame_format != self._format or abs(seconds - self._end_seconds) > _JITTER_SECONDS:
            yield from self.flush()
            self._resampler = AudioResampler(format="s16", layout="mono", rate=self._rate_hz)
            self._format = frame_format
            self._next_sample = round(seconds * self._rate_hz)
            self._end_seconds = seconds
        # The end is counted in samples, not by the stamps, so that rounding errors do not add up.
        self._end_seconds += frame.samples / frame.sample_rate
        yield from self._resample(frame)

    def flush(self) -> Iterator[SoundPiece]:
        """Yield the samples that the resampler still holds."""
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
