"""The default decoder: PyAV with pictures chosen by time stamp and sound mixed and resampled by ffmpeg."""

from collections.abc import Generator, Iterator
from typing import cast

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from extractors.decoding.clock import StreamClock
from extractors.decoding.frames import resize_and_crop, upright
from extractors.decoding.interface import DecodingRequest, Second, VideoSummary
from extractors.decoding.limits import LengthLimit
from extractors.decoding.media_file import check_media_file
from extractors.decoding.pyav.announced import announced_end_seconds
from extractors.decoding.pyav.opening import Opening, open_tracks, stamped_pictures
from extractors.decoding.pyav.sound import open_sound_track
from extractors.decoding.pyav.stream import StreamReader
from extractors.decoding.seconds import summarise_video
from extractors.decoding.timeline import Segment, TimedFrame
from extractors.decoding.windows import cut_into_seconds, windows_warning


class PyAvDecoder:
    """Reads what ffmpeg reads. Picture and sound have separate demuxers, so any interleaving leaves memory flat."""

    name = "pyav"

    def decode(self, request: DecodingRequest) -> Generator[Second, None, VideoSummary]:
        """See `Decoder.decode`."""
        segment = Segment.of(request)
        check_media_file(request.path)
        limit = LengthLimit(request.path.stat().st_size, request.longest_seconds)
        av.logging.set_level(av.logging.PANIC)
        with StreamReader(request.path, "video") as picture, StreamReader(request.path, "audio") as sound:
            opening = open_tracks(picture, sound)
            pictures = _pictures(picture, opening, segment)
            track = open_sound_track(sound, opening, request.audio_rate_hz, segment)
            starts = None if pictures is None else picture.window_starts(request.windows, segment)
            duration, count = yield from cut_into_seconds(pictures, _PictureConverter(), track, segment, starts, limit)
            return summarise_video(
                segment,
                seconds=count,
                duration_seconds=duration,
                announced_seconds=announced_end_seconds(
                    sound if pictures is None else picture, opening, track, segment, duration
                ),
                has_audio=track is not None,
                has_visual=pictures is not None,
                warnings=[
                    *_warnings(picture, sound, has_audio=track is not None, has_visual=pictures is not None),
                    *windows_warning(request.windows, has_visual=pictures is not None),
                ],
            )


def _pictures(reader: StreamReader, opening: Opening, segment: Segment) -> Iterator[TimedFrame[VideoFrame]] | None:
    """Return the pictures from the segment's start on; None if there are none."""
    if opening.picture is None:
        return None
    origin = opening.origin_seconds
    if segment.start_seconds == 0 or origin is None:
        stamped = opening.picture.frames
    else:
        frames = cast("Iterator[VideoFrame]", reader.frames_from(origin + segment.start_seconds))
        stamped = stamped_pictures(frames)
    return _timed(reader, stamped, origin)


def _timed(
    reader: StreamReader, frames: Iterator[tuple[VideoFrame, float | None]], origin_seconds: float | None
) -> Iterator[TimedFrame[VideoFrame]]:
    """Place pictures on the clock; leave out late ones, as in damaged stretches."""
    clock = StreamClock(largest_gap_seconds=reader.largest_gap_seconds, origin_seconds=origin_seconds)
    last_seconds = float("-inf")
    for frame, stamp_seconds in frames:
        duration = frame.duration * float(frame.time_base or 0) or reader.nominal_frame_seconds
        duration = min(duration, reader.largest_gap_seconds)
        seconds = clock.place(stamp_seconds, duration)
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
