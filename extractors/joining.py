"""Picture and sound, each read at its own pace, joined second by second; the same for every decoder."""

from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray

from extractors.decoding.interface import Second, VideoSummary
from extractors.decoding.seconds import SoundTrack, sound_by_second
from extractors.decoding.timeline import Part, whole_seconds
from extractors.errors import VideoError


def join_seconds(
    pictures: Generator[NDArray[np.float32], None, float] | None, track: SoundTrack | None, part: Part
) -> Generator[Second, None, float]:
    """Give every second of the picture its sound; where there is no picture, the seconds of the sound.

    Args:
        pictures: (30, 3, 112, 112) a second, returning the picture's duration in seconds; None: no picture.
        track: The sound of the same part; None: no sound.
        part: What was asked for.

    Yields:
        The part's seconds, at least one.

    Returns:
        The duration in seconds of what there is of the part.

    Raises:
        VideoError: There is neither picture nor sound, or the part begins after their end.
    """
    if pictures is not None:
        duration = yield from _with_sound(pictures, track)
    elif track is not None:
        duration = yield from sound_by_second(track)
    else:
        raise VideoError("neither picture nor sound can be decoded (damaged, encrypted or of an unknown codec)")
    if duration <= 0:
        raise VideoError(f"the segment starts at {part.start_seconds:g} s, but the video ends before that")
    return duration


def _with_sound(
    pictures: Generator[NDArray[np.float32], None, float], track: SoundTrack | None
) -> Generator[Second, None, float]:
    while True:
        try:
            frames = next(pictures)
        except StopIteration as end:
            return float(end.value)
        yield Second(frames=frames, audio=None if track is None else track.read_second())


def summarise(
    part: Part,
    *,
    duration_seconds: float,
    announced_seconds: float | None,
    has_audio: bool,
    has_visual: bool,
    warnings: list[str],
) -> VideoSummary:
    """What is known of a part once all of it is out; warns where the file announces more whole seconds than it holds.

    Args:
        part: What was asked for.
        duration_seconds: How much of the part there is.
        announced_seconds: How long the file says the whole video is; None: it does not say.
        has_audio: Whether there is sound.
        has_visual: Whether there is a picture.
        warnings: What went wrong besides.
    """
    seconds = max(1, whole_seconds(duration_seconds))
    if announced_seconds is not None:
        announced = min(announced_seconds, part.end_seconds) - part.start_seconds
        if whole_seconds(duration_seconds) < whole_seconds(announced):
            warnings = [*warnings, f"cut short: {duration_seconds:.2f} s of the announced {announced:.2f} s are there"]
    return VideoSummary(
        seconds=seconds,
        duration_seconds=duration_seconds,
        has_audio=has_audio,
        has_visual=has_visual,
        warnings=tuple(warnings),
    )
