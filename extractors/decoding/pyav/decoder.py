"""The default decoder: PyAV with pictures chosen by time stamp and sound mixed and resampled by ffmpeg."""

from collections.abc import Generator, Iterator
from typing import Any, cast

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from extractors.base import PictureInput
from extractors.decoding.interface import DecodingRequest, Second, VideoSummary
from extractors.decoding.pictures.convert import resize_and_crop, upright
from extractors.decoding.pyav.opening import Opening, stamped_pictures
from extractors.decoding.pyav.stream import StreamReader
from extractors.decoding.pyav.video import decode_video
from extractors.decoding.timing.clock import StreamClock
from extractors.decoding.timing.timeline import Pictures, Segment, TimedFrame


class PyAvDecoder:
    """Reads what ffmpeg reads. Memory is flat."""

    name = "pyav"

    def decode(self, request: DecodingRequest) -> Generator[Second, None, VideoSummary]:
        """See `Decoder.decode`."""
        return (yield from decode_video(request, _open_pictures))


def _open_pictures(
    reader: StreamReader, opening: Opening, segment: Segment, wanted: PictureInput
) -> Pictures[VideoFrame] | None:
    """Return the pictures from the segment's start on; None if there are none."""
    if opening.picture is None:
        return None
    origin = opening.origin_seconds
    if segment.start_seconds == 0 or origin is None:
        stamped = opening.picture.frames
    else:
        frames = cast("Iterator[VideoFrame]", reader.frames_from(origin + segment.start_seconds))
        stamped = stamped_pictures(frames)
    return Pictures(_timed(reader, stamped, origin), _PictureConverter(wanted), wanted)


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
    """Converts a decoded picture to the network's (3, S, S); reuses the scaler from YUV to RGB."""

    def __init__(self, wanted: PictureInput) -> None:
        self._wanted = wanted
        self._reformatter = VideoReformatter()

    def __call__(self, image: VideoFrame, out: NDArray[Any]) -> None:
        rgb = self._reformatter.reformat(image, format="rgb24", threads=1).to_ndarray()
        resize_and_crop(upright(cast("NDArray[np.uint8]", rgb), image.rotation), out, self._wanted)
