"""extractors/decoding/timing/timeline.py: the chosen pictures equal those of a slow search through all pictures."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extractors.decoding.timing.timeline import (
    Segment,
    TimedFrame,
    frames_by_second,
    whole_seconds,
)
from extractors.selavi.options import selavi_inputs

WANTED = selavi_inputs(24_000).picture


def show(number: int, out: np.ndarray) -> None:
    """Write a picture that contains only its number."""
    out.fill(number)


def choose(times: list[float], end: float, segment: Segment = Segment()) -> tuple[list[list[int]], float]:  # noqa: B008
    """Return the numbers of the chosen pictures, second by second, and the duration."""
    ends = [*times[1:], end]
    frames = [TimedFrame(time, stop, number) for number, (time, stop) in enumerate(zip(times, ends, strict=True))]
    seconds = frames_by_second(frames, show, segment, WANTED)
    chosen = []
    while True:
        try:
            chosen.append([int(number) for number in next(seconds)[:, 2, 7, 11]])
        except StopIteration as stop:
            return chosen, stop.value


def search(times: list[float], seconds: int, start: float = 0) -> list[list[int]]:
    """Find the last picture that has started at each instant, within a millisecond."""
    return [
        [max(n for n, time in enumerate(times) if n == 0 or time <= start + k / 30 + 0.001) for k in second]
        for second in np.arange(seconds * 30).reshape(seconds, 30)
    ]


steps = st.lists(st.integers(1, 2000).map(lambda ms: ms / 1000), min_size=1, max_size=40)


@given(steps=steps)
def test_the_last_picture_that_has_started_is_shown(steps: list[float]) -> None:
    """The choice equals the search for any spacing of pictures from 1 ms to 2 s."""
    times = np.concatenate([[0], np.cumsum(steps)]).tolist()
    chosen, duration = choose(times[:-1], times[-1])
    assert duration == pytest.approx(times[-1])
    assert chosen == search(times[:-1], max(1, whole_seconds(times[-1])))


@given(steps=steps, start=st.integers(0, 5000), length=st.integers(1, 5000))
def test_a_segment_shows_the_same_pictures(steps: list[float], start: int, length: int) -> None:
    """A segment has its whole seconds or one padded second; a segment after the end has none."""
    times = np.concatenate([[0], np.cumsum(steps)]).tolist()
    segment = Segment(start / 1000, (start + length) / 1000)
    chosen, duration = choose(times[:-1], times[-1], segment)
    assert duration == pytest.approx(min(times[-1], segment.end_seconds) - segment.start_seconds)
    shown = [times[0], *(time for time in times[1:-1] if time < segment.end_seconds)]
    expected = search(shown, max(1, whole_seconds(duration)), segment.start_seconds) if duration > 0 else []
    assert chosen == expected


def test_millisecond_stamps_do_not_shift_frames() -> None:
    """At thirty frames per second with stamps rounded as in Matroska, each frame is shown once."""
    chosen, _ = choose([round(n / 30, 3) for n in range(60)], 2.0)
    assert chosen == [list(range(30)), list(range(30, 60))]


def test_only_shown_pictures_are_converted_and_each_once() -> None:
    """Of 1000 frames per second, thirty are converted; of five per second, all five."""
    for fps, expected in ((1000, 30), (5, 5)):
        converted: list[int] = []

        def convert(number: int, out: np.ndarray, converted: list[int] = converted) -> None:
            converted.append(number)
            out.fill(number)

        frames = (TimedFrame(n / fps, (n + 1) / fps, n) for n in range(fps))
        assert len(list(frames_by_second(frames, convert, Segment(), WANTED))) == 1
        assert len(converted) == len(set(converted)) == expected


def test_a_second_is_yielded_before_the_next_is_read() -> None:
    """No more pictures are read than needed, so that memory stays flat."""
    read: list[int] = []

    def frames() -> "object":
        for n in range(10_000):
            read.append(n)
            yield TimedFrame(n / 30, (n + 1) / 30, n)

    seconds = frames_by_second(frames(), show, Segment(), WANTED)
    next(seconds)
    assert len(read) <= 32


@pytest.mark.parametrize(("duration", "seconds"), [(0.97, 0), (0.981, 1), (1.0, 1), (1.979, 1), (5.99, 6), (-3.0, 0)])
def test_a_second_counts_as_whole_if_at_most_20_ms_are_missing(duration: float, seconds: int) -> None:
    """Rounded stamps and 29.97 frames per second lose no second."""
    assert whole_seconds(duration) == seconds
