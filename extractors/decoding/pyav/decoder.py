"""The default decoder: PyAV with pictures chosen by time stamp and sound mixed and resampled by ffmpeg."""

from collections.abc import Generator, Iterator
from itertools import chain
from typing import cast

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from extractors.decoding.frames import resize_and_crop, upright
from extractors.decoding.interface import DecodingRequest, Second, VideoSummary
from extractors.decoding.media_file import check_media_file
from extractors.decoding.pyav.sound import sound_pieces
from extractors.decoding.pyav.stream import StreamReader
from extractors.decoding.seconds import SoundTrack, join_seconds, summarise_video
from extractors.decoding.timeline import (
    Segment,
    StreamClock,
    TimedFrame,
    TimestampGuess,
    frames_by_second,
    whole_seconds,
)

# Sound is decoded from this long before a segment, because codecs and resamplers depend on earlier samples.
_SOUND_LEAD_SECONDS = 0.5


class PyAvDecoder:
    """Reads what ffmpeg reads. Picture and sound have separate demuxers, so any interleaving leaves memory flat."""

    name = "pyav"

    def decode(self, request: DecodingRequest) -> Generator[Second, None, VideoSummary]:
        """See `Decoder.decode`."""
        segment = Segment.of(request)
        check_media_file(request.path)
        av.logging.set_level(av.logging.PANIC)
        with StreamReader(request.path, "video") as picture, StreamReader(request.path, "audio") as sound:
            pictures, origin_seconds = _open_picture(picture, segment)
            track = _open_sound(sound, request.audio_rate_hz, segment, origin_seconds)
            seconds = None if pictures is None else frames_by_second(pictures, _PictureConverter(), segment)
            duration = yield from join_seconds(seconds, track, segment)
            return summarise_video(
                segment,
                duration_seconds=duration,
                announced_seconds=_announced_seconds(sound if pictures is None else picture, track, segment, duration),
                has_audio=track is not None,
                has_visual=pictures is not None,
                warnings=_warnings(picture, sound, has_audio=track is not None, has_visual=pictures is not None),
            )


def _open_picture(
    reader: StreamReader, segment: Segment
) -> tuple[Iterator[TimedFrame[VideoFrame]] | None, float | None]:
    """Return the pictures from the segment's start on and the time stamp at which the clock starts; None if missing."""
    clock = StreamClock(largest_gap_seconds=reader.largest_gap_seconds)
    pictures = _timed(reader, cast("Iterator[VideoFrame]", reader.frames()), clock)
    first = next(pictures, None)
    if first is None:
        return None, None
    origin = clock.origin_seconds
    if segment.start_seconds == 0 or origin is None:
        return chain([first], pictures), origin
    clock = StreamClock(largest_gap_seconds=reader.largest_gap_seconds, origin_seconds=origin)
    frames = cast("Iterator[VideoFrame]", reader.frames_from(origin + segment.start_seconds))
    return _timed(reader, frames, clock), origin


def _timed(reader: StreamReader, frames: Iterator[VideoFrame], clock: StreamClock) -> Iterator[TimedFrame[VideoFrame]]:
    """Place pictures on the clock; leave out late ones, as in damaged stretches."""
    guess = TimestampGuess()
    last_seconds = float("-inf")
    for frame in frames:
        stamp = guess.choose(frame.pts, frame.dts)
        time_base = float(frame.time_base or 0)
        duration = frame.duration * time_base or reader.nominal_frame_seconds
        duration = min(duration, reader.largest_gap_seconds)
        seconds = clock.place(None if stamp is None else stamp * time_base, duration)
        if seconds >= last_seconds:
            last_seconds = seconds
            yield TimedFrame(seconds, seconds + duration, frame)


class _PictureConverter:
    """Converts a decoded picture to the network's (3, 112, 112); reuses the scaler from YUV to RGB."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def __call__(self, image: VideoFrame, out: NDArray[np.float32]) -> None:
        rgb = self._reformatter.reformat(image, format="rgb24", threads=1).to_ndarray()
        resize_and_crop(upright(cast("NDArray[np.uint8]", rgb), image.rotation), out)


def _open_sound(
    reader: StreamReader, rate_hz: int, segment: Segment, origin_seconds: float | None
) -> SoundTrack | None:
    """Return the sound of the segment; None if no sample of the video's sound can be decoded."""
    clock = StreamClock(largest_gap_seconds=reader.largest_gap_seconds, origin_seconds=origin_seconds)
    frames = cast("Iterator[AudioFrame]", reader.frames())
    opening = next(frames, None)
    if opening is None:
        return None
    pieces = sound_pieces(reader, chain([opening], frames), clock, rate_hz)
    first = next(pieces, None)
    if first is None:
        return None
    origin = clock.origin_seconds
    if segment.start_seconds > 0 and origin is not None:
        clock = StreamClock(largest_gap_seconds=reader.largest_gap_seconds, origin_seconds=origin)
        frames = cast("Iterator[AudioFrame]", reader.frames_from(origin + segment.start_seconds - _SOUND_LEAD_SECONDS))
        grid_seconds = first.first_sample / rate_hz + opening.samples / opening.sample_rate
        pieces = sound_pieces(reader, frames, clock, rate_hz, grid_seconds=grid_seconds)
    else:
        pieces = chain([first], pieces)
    return SoundTrack(pieces, rate_hz=rate_hz, segment=segment)


def _announced_seconds(
    reader: StreamReader, track: SoundTrack | None, segment: Segment, duration: float
) -> float | None:
    """Return the announced duration of the video; None if it is only that of the sound, which may be longer."""
    announced, of_stream = reader.announced_seconds
    if announced is None or of_stream or track is None:
        return announced
    # A complete segment is not cut short, so its sound need not be read to the end of the file.
    if whole_seconds(duration) >= whole_seconds(min(announced, segment.end_seconds) - segment.start_seconds):
        return announced
    sound_reaches_it = whole_seconds(track.skip_to_end()) >= whole_seconds(announced - segment.start_seconds)
    return None if sound_reaches_it else announced


def _warnings(picture: StreamReader, sound: StreamReader, *, has_audio: bool, has_visual: bool) -> list[str]:
    """Describe what is missing or damaged, one line each."""
    warnings = []
    for reader, found, what in ((picture, has_visual, "picture"), (sound, has_audio, "sound track")):
        if reader.exists and not found:
            warnings.append(f"the {what} cannot be decoded: treated as absent")
        elif reader.damaged_packets:
            warnings.append(f"damaged packets skipped in the {what}: {reader.damaged_packets}")
    if not (has_audio and has_visual) and (picture.late_tracks or sound.late_tracks):
        warnings.append("a track that begins later was left out")
    return warnings
