"""extractors/decoding/timing/clock.py: which stamp counts, where the clock starts and how it goes on."""

from dataclasses import dataclass
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extractors.decoding.timing.clock import StreamClock, TrackStart, clock_origin_seconds, with_stamps


@dataclass(frozen=True)
class Frame:
    """A frame with its two time stamps."""

    pts: int | None
    dts: int | None


def stamps(pairs: list[tuple[int | None, int | None]]) -> list[int | None]:
    """Return the chosen stamps of frames with the given presentation and decoding stamps."""
    return [stamp for _, stamp in with_stamps(Frame(pts, dts) for pts, dts in pairs)]


def test_the_clock_starts_at_the_first_stamp_and_bridges_missing_stamps() -> None:
    """A frame without a stamp starts at the end of the frame before it."""
    clock = StreamClock(largest_gap_seconds=10)
    assert [clock.place(stamp, 0.5) for stamp in (100.0, None, None, 102.0)] == [0.0, 0.5, 1.0, 2.0]
    assert clock.origin_seconds == 100.0


def test_the_clock_continues_after_a_jump_of_the_stamps() -> None:
    """After a new count or an implausible gap, the next frame starts at the end of the last; a pause is kept."""
    clock = StreamClock(largest_gap_seconds=10)
    times = [clock.place(stamp, 1.0) for stamp in (50.0, 51.0, 3.0, 4.0, 9.0, 900.0, 901.0)]
    assert times == [0.0, 1.0, 2.0, 3.0, 8.0, 9.0, 10.0]


def test_faulty_presentation_stamps_are_replaced_from_the_first_frame_on() -> None:
    """XVID in AVI: with a change of kind in mid-second, the third picture would get the stamp of the fourth."""
    pairs = [(3, 3), (4, 4), (6, 5), (5, 6), (7, 7), (9, 8), (8, 9)]
    assert stamps(pairs) == [3, 4, 5, 6, 7, 8, 9]


def test_the_last_frames_without_decoding_stamps_get_none() -> None:
    """Their presentation stamps are in another order; the clock places them one after the other."""
    pairs = [(1, 2), (4, 3), (3, 4), (5, 5), (2, 6), (7, 7), (56, None), (60, None)]
    assert stamps(pairs) == [2, 3, 4, 5, 6, 7, None, None]


def test_good_presentation_stamps_are_kept() -> None:
    """Decoding stamps only fill in what is missing; None if both are missing."""
    assert stamps([(1, -1), (2, 0), (None, 3), (5, 3), (None, None)]) == [1, 2, 3, 5, None]


@given(steps=st.lists(st.integers(1, 5), min_size=1, max_size=40), shuffle=st.randoms())
def test_ascending_decoding_stamps_are_never_broken_by_faulty_presentation_stamps(
    steps: list[int], shuffle: Random
) -> None:
    """Whatever the other kind says, the chosen stamps ascend if a fault shows among the first frames."""
    dts = [sum(steps[: n + 1]) for n in range(len(steps))]
    pts = list(dts)
    shuffle.shuffle(pts)
    if any(later <= earlier for earlier, later in pairwise(pts[:8])):
        assert stamps(list(zip(pts, dts, strict=True))) == dts


@pytest.mark.parametrize(
    ("picture", "sound", "origin"),
    [
        (TrackStart(0.0, 0.04), TrackStart(0.0, 0.0), 0.0),  # XVID with B-frames in AVI: the first stamp is 1
        (TrackStart(0.0, 0.04), None, 0.0),
        (TrackStart(1.44, 1.44), TrackStart(1.429, 1.429), 1.429),  # a transport stream
        (TrackStart(0.0, 0.0), TrackStart(7.0, 7.0), 0.0),
        (TrackStart(0.0, 0.0), TrackStart(-0.007, -0.0005), -0.0005),  # Opus: the primer is never heard
        (TrackStart(0.5, 0.5), TrackStart(0.0, 0.0), 0.0),
        (TrackStart(None, 2.0), TrackStart(None, 3.0), 2.0),
        (TrackStart(0.0, 3.0), None, 3.0),  # the header's start is too far from the first frame
        (None, TrackStart(0.025, 0.025), 0.025),
        (TrackStart(5000.0, 5000.0), TrackStart(0.0, 0.0), 5000.0),  # absurd: no hours of the first picture
        (TrackStart(None, None), TrackStart(4.0, 4.0), None),
        (None, None, None),
    ],
)
def test_the_clock_starts_with_the_earlier_of_picture_and_sound(
    picture: TrackStart | None, sound: TrackStart | None, origin: float | None
) -> None:
    """The announced start of the container counts where it is plausible."""
    assert clock_origin_seconds(picture, sound) == origin
