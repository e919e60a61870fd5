"""Find the first picture, the first sound and with them the start of a video's clock."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Generic, TypeVar, cast

from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

from extractors.decoding.pyav.stream import StreamReader
from extractors.decoding.timing.clock import TrackStart, clock_origin_seconds, with_stamps

FrameT = TypeVar("FrameT", VideoFrame, AudioFrame)


@dataclass(frozen=True)
class OpenTrack(Generic[FrameT]):
    """A track of which a frame has been decoded.

    Attributes:
        first: the first frame.
        frames: all frames, the first included, each with its time stamp in seconds (None if it has none).
        start: where the track begins.
    """

    first: FrameT
    frames: Iterator[tuple[FrameT, float | None]]
    start: TrackStart


@dataclass(frozen=True)
class Opening:
    """The opened tracks of a video.

    Attributes:
        picture: the picture; None if no frame of it can be decoded.
        sound: the sound; None if no frame of it can be decoded.
        origin_seconds: the stamp at which the video's clock is 0; None if no frame has a stamp.
    """

    picture: OpenTrack[VideoFrame] | None
    sound: OpenTrack[AudioFrame] | None
    origin_seconds: float | None

    @property
    def lead_seconds(self) -> float:
        """The time on the clock at which the picture begins; until then its first frame is shown."""
        if self.picture is None or self.picture.start.first_seconds is None or self.origin_seconds is None:
            return 0.0
        return max(0.0, self.picture.start.first_seconds - self.origin_seconds)


def open_tracks(picture: StreamReader, sound: StreamReader) -> Opening:
    """Decode the first frames of the picture and of the sound."""
    shown = _open(picture, stamped_pictures(cast("Iterator[VideoFrame]", picture.frames())))
    heard = _open(sound, stamped_sound(cast("Iterator[AudioFrame]", sound.frames())))
    origin = clock_origin_seconds(None if shown is None else shown.start, None if heard is None else heard.start)
    return Opening(shown, heard, origin)


def stamped_pictures(frames: Iterator[VideoFrame]) -> Iterator[tuple[VideoFrame, float | None]]:
    """Yield pictures with the better of their two kinds of time stamps, in seconds."""
    for frame, stamp in with_stamps(frames):
        yield frame, None if stamp is None else stamp * float(frame.time_base or 0)


def stamped_sound(frames: Iterator[AudioFrame]) -> Iterator[tuple[AudioFrame, float | None]]:
    """Yield frames of sound with their presentation time stamps in seconds: sound is never reordered."""
    for frame in frames:
        yield frame, None if frame.pts is None else frame.time


def _open(reader: StreamReader, frames: Iterator[tuple[FrameT, float | None]]) -> OpenTrack[FrameT] | None:
    opening = next(frames, None)
    if opening is None:
        return None
    first, stamp_seconds = opening
    return OpenTrack(first, chain([opening], frames), TrackStart(reader.start_seconds, stamp_seconds))
