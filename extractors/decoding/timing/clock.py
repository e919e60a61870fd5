"""The clock of a video: it starts where the container says that its picture or its sound begins."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypeVar

# If time stamps step back further than this, a new count starts (spliced transport streams); smaller steps are frames
# out of order.
_LARGEST_STEP_BACK_SECONDS = 1.0
# B-frames delay the first picture by a few frames. A header that is further from the first stamp than this is wrong.
_LARGEST_DELAY_SECONDS = 1.0
# Sound may begin this long before the picture. With damaged stamps, hours of the first picture would be shown.
LARGEST_LEAD_SECONDS = 10.0
# The kind of time stamps is chosen from the first frames. H.264 shows faults after at most a few of them; each frame
# that waits takes memory.
_LOOK_AHEAD_FRAMES = 8


class Stamped(Protocol):
    """A decoded frame with its time stamps."""

    @property
    def pts(self) -> int | None:
        """The presentation time stamp."""

    @property
    def dts(self) -> int | None:
        """The decoding time stamp."""


FrameT = TypeVar("FrameT", bound=Stamped)


def with_stamps(frames: Iterable[FrameT]) -> Iterator[tuple[FrameT, int | None]]:
    """Choose each frame's time stamp: its presentation stamp, or its decoding stamp if that kind has fewer faults.

    AVI stores no presentation time stamps. Those derived for it may jump back and forth although the pictures are in
    order. A kind is chosen before the first frame is yielded: a change in the first second would skip a picture.

    Args:
        frames: frames in the order in which they are shown.

    Yields:
        The frame and its stamp in its time base; None if the frame has neither.
    """
    guess = _Guess()
    remaining = iter(frames)
    opening = list(islice(remaining, _LOOK_AHEAD_FRAMES))
    for frame in opening:
        guess.count_faults(frame)
    for frame in opening:
        yield frame, guess.stamp_of(frame)
    for frame in remaining:
        guess.count_faults(frame)
        yield frame, guess.stamp_of(frame)


class _Guess:
    """Counts the faults of both kinds of time stamps: stamps that do not ascend, as ffmpeg's best-effort stamp does."""

    def __init__(self) -> None:
        self._faulty = {"pts": 0, "dts": 0}
        self._last: dict[str, int | None] = {"pts": None, "dts": None}

    def count_faults(self, frame: Stamped) -> None:
        for name, stamp in (("pts", frame.pts), ("dts", frame.dts)):
            last = self._last[name]
            if stamp is not None:
                self._faulty[name] += last is not None and stamp <= last
                self._last[name] = stamp

    def stamp_of(self, frame: Stamped) -> int | None:
        if self._faulty["dts"] >= self._faulty["pts"]:
            return frame.dts if frame.pts is None else frame.pts
        # A decoder's last frames have no decoding stamps; their presentation stamps are in another order.
        return frame.dts


@dataclass(frozen=True)
class TrackStart:
    """Where a track begins, on the container's clock.

    Attributes:
        announced_seconds: start according to the container's header; None if it gives none.
        first_seconds: time stamp of the first decoded frame; None if it has none.
    """

    announced_seconds: float | None
    first_seconds: float | None

    @property
    def seconds(self) -> float | None:
        """The start that counts.

        With B-frames in AVI the first picture has the stamp of its decoding, a few frames after the announced start. A
        negative start belongs to samples that only prime the decoder and are never heard.
        """
        announced, first = self.announced_seconds, self.first_seconds
        if first is None or announced is None or announced < 0:
            return first
        return announced if 0 <= first - announced <= _LARGEST_DELAY_SECONDS else first


def clock_origin_seconds(picture: TrackStart | None, sound: TrackStart | None) -> float | None:
    """Return the stamp at which a video's clock is 0: the earlier of the starts of picture and sound.

    Args:
        picture: the start of the picture; None without picture.
        sound: the start of the sound; None without sound.

    Returns:
        The stamp in seconds; the picture's start if the sound begins absurdly early; None if no frame has a stamp.
    """
    shown, heard = (None if track is None else track.seconds for track in (picture, sound))
    if shown is None or heard is None:
        return heard if picture is None else shown
    return heard if 0 < shown - heard <= LARGEST_LEAD_SECONDS else shown


class StreamClock:
    """Converts a stream's time stamps to seconds on the video's clock.

    A frame without a stamp starts at the end of the last frame. So does a frame after a jump of the stamps, as in
    spliced transport streams.

    Args:
        largest_gap_seconds: longest pause between two frames; a longer one is a jump of the stamps.
        origin_seconds: the stamp at which the clock is 0; None for the stamp of the first frame placed.
    """

    def __init__(self, *, largest_gap_seconds: float, origin_seconds: float | None = None) -> None:
        self.origin_seconds = origin_seconds
        self.end_seconds = 0.0
        self._largest_gap_seconds = largest_gap_seconds
        self._last_seconds: float | None = None
        self._shift_seconds = 0.0

    def place(self, stamp_seconds: float | None, duration_seconds: float) -> float:
        """Return the time of the stream's next frame in seconds; it may be a little before the last frame's time."""
        if stamp_seconds is None:
            seconds = self.end_seconds
        else:
            if self.origin_seconds is None:
                self.origin_seconds = stamp_seconds
            seconds = stamp_seconds - self.origin_seconds + self._shift_seconds
            if self._last_seconds is not None and self._jumps(seconds, self._last_seconds):
                self._shift_seconds += self.end_seconds - seconds
                seconds = self.end_seconds
        self._last_seconds = seconds
        self.end_seconds = seconds + duration_seconds
        return seconds

    def _jumps(self, seconds: float, last_seconds: float) -> bool:
        gap = seconds - max(last_seconds, self.end_seconds)
        return last_seconds - seconds > _LARGEST_STEP_BACK_SECONDS or gap > self._largest_gap_seconds
