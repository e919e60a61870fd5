"""Find the picture on screen at each time of a video's clock and count the whole seconds."""

import math
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from numpy.typing import NDArray

from extractors.base import PictureInput
from extractors.decoding.interface import DecodingRequest
from extractors.decoding.pictures.convert import new_second
from extractors.errors import VideoError

ImageT = TypeVar("ImageT")
ImageT_contra = TypeVar("ImageT_contra", contravariant=True)

# Matroska and FLV round time stamps to milliseconds: a frame due at 33.3 ms may have the stamp 34.
ROUNDING_SECONDS = 0.001
# A second counts as whole if no more than this is missing, as with 29.97 fps or rounded durations.
TOLERANCE_SECONDS = 0.020


@dataclass(frozen=True)
class Segment:
    """The requested segment of a video, on the video's clock (`clock.py`).

    Attributes:
        start_seconds: start of the segment.
        end_seconds: end of the segment; infinite for the end of the video.
    """

    start_seconds: float = 0.0
    end_seconds: float = math.inf

    @classmethod
    def of(cls, request: DecodingRequest) -> "Segment":
        """Read the segment from a request.

        Raises:
            VideoError: a segment that starts before 0, is empty or is not a number.
        """
        start = 0.0 if request.start_seconds is None else request.start_seconds
        end = math.inf if request.end_seconds is None else request.end_seconds
        if not (0 <= start < end and math.isfinite(start)):
            raise VideoError(f"segment {start:g} s to {end:g} s is empty or starts before 0; give 0 <= start < end")
        return cls(start, end)


@dataclass(frozen=True)
class TimedFrame(Generic[ImageT]):
    """A picture with its times on the clock.

    Attributes:
        time_seconds: time at which the picture appears.
        end_seconds: time at which the picture ends if no other picture follows.
        image: the picture.
    """

    time_seconds: float
    end_seconds: float
    image: ImageT


def whole_seconds(duration_seconds: float) -> int:
    """Count the whole seconds of a duration; never negative."""
    return max(0, math.floor(duration_seconds + TOLERANCE_SECONDS))


class Converter(Protocol[ImageT_contra]):
    """Converts a picture to the array that the network takes."""

    def __call__(self, image: ImageT_contra, out: NDArray[Any]) -> None:
        """Convert `image` and write the result to `out`, (3, S, S)."""
        ...


@dataclass(frozen=True)
class Pictures(Generic[ImageT]):
    """The pictures of a segment of a video.

    Attributes:
        frames: the pictures in order of time, from the one on screen at the segment's start.
        convert: converts a picture to its (3, S, S) array.
        wanted: how many pictures a second has, and how large they are.
        warnings: what went wrong, one line each; it is complete after the last picture.
    """

    frames: Iterator[TimedFrame[ImageT]]
    convert: Converter[ImageT]
    wanted: PictureInput
    warnings: list[str] = field(default_factory=list)


def frames_by_second(
    frames: Iterable[TimedFrame[ImageT]], convert: Converter[ImageT], segment: Segment, wanted: PictureInput
) -> Generator[NDArray[Any], None, float]:
    """Choose the F pictures on screen at s + (k + `first_frame`) / F for every whole second s of the segment.

    Only chosen pictures are converted, each once. A segment shorter than 1 s is padded to one second with its last
    picture.

    Args:
        frames: pictures in order of time.
        convert: converts a picture to its (3, S, S) array.
        segment: the segment to choose from.
        wanted: the number F of pictures, the time of the first one, and their size.

    Yields:
        (F, 3, S, S) per second.

    Returns:
        The duration of the segment's picture in seconds; 0 or less if the segment begins after the picture's end.
    """
    screen = _Screen(convert, segment.start_seconds, wanted)
    end_seconds = 0.0
    for frame in frames:
        screen.begin(frame)
        end_seconds = max(frame.end_seconds, end_seconds)
        if frame.time_seconds >= segment.end_seconds:
            break
        yield from screen.show_until(frame)
    duration = min(end_seconds, segment.end_seconds) - segment.start_seconds
    yield from screen.show_rest(duration)
    return duration


class OnScreen(Generic[ImageT]):
    """The picture on screen. It is converted once, and only if it is shown.

    Args:
        convert: converts a picture to its (3, S, S) array.
    """

    def __init__(self, convert: Converter[ImageT]) -> None:
        self._convert = convert
        self._frame: TimedFrame[ImageT] | None = None
        self._converted: NDArray[Any] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there has been no picture yet."""
        return self._frame is None

    def begin(self, frame: TimedFrame[ImageT]) -> None:
        """Show the first picture from the start, as no picture comes before it."""
        if self._frame is None:
            self._frame = frame

    def replace(self, successor: TimedFrame[ImageT]) -> None:
        """Show the next picture."""
        if successor is not self._frame:
            self._frame, self._converted = successor, None

    def copy_to(self, out: NDArray[Any]) -> None:
        """Write the picture to `out`, (3, S, S)."""
        if self._frame is None:
            return
        if self._converted is None:
            self._convert(self._frame.image, out)
        else:
            out[...] = self._converted
        self._converted = out


class _Screen(Generic[ImageT]):
    """The picture on screen and the pictures already taken for the unfinished second."""

    def __init__(self, convert: Converter[ImageT], start_seconds: float, wanted: PictureInput) -> None:
        self._start_seconds = start_seconds
        self._wanted = wanted
        self._shown = OnScreen(convert)
        self._second = new_second(wanted)
        self._taken = 0
        self._seconds_done = 0

    def begin(self, frame: TimedFrame[ImageT]) -> None:
        """Show the first picture from the start."""
        self._shown.begin(frame)

    def show_until(self, successor: TimedFrame[ImageT]) -> Iterator[NDArray[Any]]:
        """Take the current picture at every instant before its successor replaces it."""
        seconds_known = whole_seconds(successor.time_seconds - self._start_seconds)
        while self._instant_seconds() + ROUNDING_SECONDS < successor.time_seconds:
            # A second may have been full before it was known to be whole; now it is known.
            yield from self._complete(seconds_known)
            self._take()
        yield from self._complete(seconds_known)
        self._shown.replace(successor)

    def show_rest(self, duration_seconds: float) -> Iterator[NDArray[Any]]:
        """Repeat the last picture until the duration's whole seconds, at least one, are full."""
        if self._shown.is_empty or duration_seconds <= 0:
            return
        seconds = max(1, whole_seconds(duration_seconds))
        yield from self._complete(seconds)
        while self._seconds_done < seconds:
            self._take()
            yield from self._complete(seconds)

    def _instant_seconds(self) -> float:
        per_second = self._wanted.frames_per_second
        taken = self._seconds_done * per_second + self._taken + self._wanted.first_frame
        return self._start_seconds + taken / per_second

    def _take(self) -> None:
        self._shown.copy_to(self._second[self._taken])
        self._taken += 1

    def _complete(self, seconds_known: int) -> Iterator[NDArray[Any]]:
        if self._taken == self._wanted.frames_per_second and self._seconds_done < seconds_known:
            second, self._second = self._second, new_second(self._wanted)
            self._taken = 0
            self._seconds_done += 1
            yield second
