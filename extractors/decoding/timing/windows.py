"""The windows of one second that a video is cut into: its whole seconds, or those of the benchmark's own scripts."""

from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal

import numpy as np
from numpy.typing import NDArray

from extractors.base import PictureInput, Windows
from extractors.decoding.interface import Second
from extractors.decoding.limits import LengthLimit
from extractors.decoding.pictures.convert import new_second
from extractors.decoding.timing.seconds import SoundTrack, join_seconds
from extractors.decoding.timing.sound_windows import SoundWindows
from extractors.decoding.timing.timeline import (
    ROUNDING_SECONDS,
    ImageT,
    OnScreen,
    Pictures,
    Segment,
    TimedFrame,
    frames_by_second,
)
from extractors.errors import VideoError


def window_starts(windows: Literal["avca", "tcaf"], *, frames: int, rate_hz: float) -> tuple[float, ...]:
    """Compute where the windows of a benchmark's script start.

    With T the duration in seconds and n windows, window i starts at i (T - 1) / (10 (n // 10 + 1)), rounded down to a
    frame. n is the whole seconds of T in TCaF's script, and one fewer in AVCA's. The scripts replace a video that is
    too short for one window by another one at random; here it has one window, from its start.

    Args:
        windows: whose script.
        frames: number of frames of the video, or of the segment.
        rate_hz: average number of frames per second.

    Returns:
        The starts in seconds, at least one, in ascending order.

    Source:
        selavi_feature_extraction/datasets/AVideoDataset.py and decoder.py of the public AVCA and TCaF code.
    """
    count = max(1, int(frames / rate_hz) - (1 if windows == "avca" else 0))
    longest_start_frames = max(frames - rate_hz, 0)
    parts = 1000 * (count // 10 + 1)
    return tuple(int(longest_start_frames * (100 * i) / parts) / rate_hz for i in range(count))


@dataclass(frozen=True)
class FrameCount:
    """The number of a video's frames and their average number per second."""

    frames: int
    rate_hz: float

    def starts(self, windows: Windows, segment: Segment, limit: LengthLimit) -> tuple[float, ...] | None:
        """Return where the windows of a segment start, in seconds from its start; None for whole seconds.

        Raises:
            VideoError: more windows than the limit. A header may announce any number of frames.
        """
        if windows == "seconds":
            return None
        end_frames = min(float(self.frames), segment.end_seconds * self.rate_hz)
        frames = round(end_frames - segment.start_seconds * self.rate_hz)
        limit.check(int(max(frames, 0) / self.rate_hz))
        return window_starts(windows, frames=max(frames, 0), rate_hz=self.rate_hz)


def cut_into_seconds(
    pictures: Pictures[ImageT] | None,
    track: SoundTrack | None,
    segment: Segment,
    starts: Sequence[float] | None,
    limit: LengthLimit,
    *,
    sound_window_seconds: float = 1.0,
) -> Generator[Second, None, tuple[float, int]]:
    """Yield the seconds of a segment: its whole seconds, or those at the given starts.

    Args:
        pictures: the video's pictures; None if it has none. Whole seconds are then yielded.
        track: the sound of the same segment; None if there is no sound.
        segment: the requested segment.
        starts: starts of the windows in seconds from the segment's start; None for whole seconds.
        limit: the limit of its seconds.
        sound_window_seconds: length of the sound around each whole second.

    Returns:
        The actual duration of the segment in seconds, up to the end of the video, and the number of seconds yielded.

    Raises:
        VideoError: neither picture nor sound, a segment that begins after their end, or more seconds than the limit.
    """
    sound = None if track is None else SoundWindows(track, sound_window_seconds)
    if pictures is None:
        seconds = join_seconds(None, sound)
    elif starts is None:
        shown = frames_by_second(pictures.frames, pictures.convert, segment, pictures.wanted)
        seconds = join_seconds(shown, sound)
    else:
        seconds = seconds_at(starts, pictures, track, segment)
    count = 0
    while True:
        try:
            second = next(seconds)
        except StopIteration as end:
            duration = float(end.value)
            break
        count += 1
        limit.check(count)
        yield second
    if duration <= 0:
        raise VideoError(f"the segment starts at {segment.start_seconds:g} s, but the video ends before that")
    return duration, count


def windows_warning(windows: Windows, *, has_visual: bool) -> list[str]:
    """Warn about sound alone, for which the scripts have no windows."""
    if windows == "seconds" or has_visual:
        return []
    return [f"without a picture the sound is cut into whole seconds, not into the {windows} windows"]


def seconds_at(
    starts: Sequence[float], pictures: Pictures[ImageT], track: SoundTrack | None, segment: Segment
) -> Generator[Second, None, float]:
    """Yield the second that begins at each start, with its sound.

    Windows may overlap. Those that start after the video's end are left out. A picture is converted once, and only if
    it is shown.

    Args:
        starts: starts of the windows in seconds from the segment's start, in ascending order.
        pictures: pictures in order of time.
        track: the sound of the same segment; None if there is no sound.
        segment: the segment to choose from.

    Returns:
        The duration of the segment's picture in seconds; 0 or less if the segment begins after the picture's end.
    """
    sound = None if track is None else _SoundAt(track)

    def second(window: _Window) -> Second:
        heard = None if sound is None else sound.read(window.offset_seconds)
        return Second(frames=window.frames, audio=heard)

    shown, wanted = OnScreen(pictures.convert), pictures.wanted
    strip = _Strip(shown, wanted, deque(_Window(start, segment.start_seconds + start, wanted) for start in starts))
    end_seconds = 0.0
    for frame in pictures.frames:
        shown.begin(frame)
        end_seconds = max(end_seconds, frame.end_seconds)
        if frame.time_seconds >= segment.end_seconds:
            break
        yield from map(second, strip.show_until(frame))
    end_seconds = min(end_seconds, segment.end_seconds)
    if end_seconds > segment.start_seconds:
        yield from map(second, strip.show_rest(end_seconds))
    return end_seconds - segment.start_seconds


@dataclass
class _Window:
    """A window and the pictures already taken for it."""

    offset_seconds: float  # from the segment's start
    start_seconds: float  # on the video's clock
    wanted: PictureInput
    frames: NDArray[Any] | None = None  # (F, 3, S, S), once a picture is taken
    taken: int = 0

    @property
    def next_instant_seconds(self) -> float:
        return self.start_seconds + (self.taken + self.wanted.first_frame) / self.wanted.frames_per_second

    @property
    def is_full(self) -> bool:
        return self.taken == self.wanted.frames_per_second


@dataclass
class _Strip(Generic[ImageT]):
    """The picture on screen and the windows that are not full."""

    shown: OnScreen[ImageT]
    wanted: PictureInput
    waiting: deque[_Window]

    def show_until(self, successor: TimedFrame[ImageT]) -> Generator[_Window]:
        """Take the current picture at every instant before its successor replaces it."""
        for window in self.waiting:
            if window.start_seconds + ROUNDING_SECONDS >= successor.time_seconds:
                break
            self._fill(window, successor.time_seconds)
        yield from self._full()
        self.shown.replace(successor)

    def show_rest(self, end_seconds: float) -> Generator[_Window]:
        """Show the last picture in the windows that start before the end."""
        while self.waiting and self.waiting[0].start_seconds < end_seconds:
            self._fill(self.waiting[0], float("inf"))
            yield from self._full()

    def _fill(self, window: _Window, until_seconds: float) -> None:
        while not window.is_full and window.next_instant_seconds + ROUNDING_SECONDS < until_seconds:
            if window.frames is None:
                window.frames = new_second(self.wanted)
            self.shown.copy_to(window.frames[window.taken])
            window.taken += 1

    def _full(self) -> Generator[_Window]:
        while self.waiting and self.waiting[0].is_full:
            yield self.waiting.popleft()


class _SoundAt:
    """Reads a second of sound from any start, if the starts ascend; keeps the samples from the last start on."""

    def __init__(self, track: SoundTrack) -> None:
        self._track = track
        self._first_sample = 0
        self._samples = np.empty(0, np.int16)

    def read(self, start_seconds: float) -> NDArray[np.int16]:
        """Return (rate_hz,) samples, with silence in gaps."""
        start = round(start_seconds * self._track.rate_hz)
        while self._first_sample + self._samples.size < start + self._track.rate_hz:
            self._samples = np.concatenate([self._samples, self._track.read_second()])
        self._samples = self._samples[start - self._first_sample :]
        self._first_sample = start
        return self._samples[: self._track.rate_hz].copy()
