"""extractors/decoding/timing/seconds.py: sound on the clock equals a reference array as long as the video."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from extractors.decoding.timing.seconds import SoundPiece, SoundTrack, sound_by_second
from extractors.decoding.timing.sound_windows import SoundWindows
from extractors.decoding.timing.timeline import Segment

RATE_HZ = 100

pieces_of_sound = st.lists(st.tuples(st.integers(-150, 250), st.integers(1, 250)), max_size=8)


def make_pieces(gaps_and_lengths: list[tuple[int, int]]) -> list[SoundPiece]:
    """Make successive pieces with gaps or (negative) overlaps between them; every sample has another value."""
    pieces, end, value = [], 0, 1
    for gap, length in gaps_and_lengths:
        pieces.append(SoundPiece(end + gap, np.arange(value, value + length, dtype=np.int16)))
        value += length
        end = max(end, pieces[-1].end_sample)
    return pieces


@given(
    gaps_and_lengths=st.lists(st.tuples(st.integers(0, 250), st.integers(1, 250)), max_size=8),
    shift=st.integers(0, 300),
)
def test_every_sample_is_at_the_time_of_its_piece(gaps_and_lengths: list[tuple[int, int]], shift: int) -> None:
    """Gaps become silence, and samples before 0 are dropped."""
    pieces = [SoundPiece(piece.first_sample - shift, piece.samples) for piece in make_pieces(gaps_and_lengths)]
    reference = np.zeros(12 * 1000, np.int16)
    for piece in pieces:
        reference[5000 + piece.first_sample : 5000 + piece.end_sample] = piece.samples
    track = SoundTrack(iter(pieces), rate_hz=RATE_HZ, segment=Segment())
    for second in range(50):
        expected = reference[5000 + second * RATE_HZ : 5000 + (second + 1) * RATE_HZ]
        assert np.array_equal(track.read_second(), expected)


@given(gaps_and_lengths=pieces_of_sound)
def test_overlapping_pieces_move_no_sample(gaps_and_lengths: list[tuple[int, int]]) -> None:
    """Each sample of overlapping pieces is silent or comes from a piece that covers its index."""
    pieces = make_pieces(gaps_and_lengths)
    track = SoundTrack(iter(pieces), rate_hz=RATE_HZ, segment=Segment())
    for second in range(45):
        for index, value in enumerate(track.read_second().tolist(), start=second * RATE_HZ):
            allowed = {
                0,
                *(int(p.samples[index - p.first_sample]) for p in pieces if p.first_sample <= index < p.end_sample),
            }
            assert value in allowed


def test_a_segment_starts_and_ends_as_requested() -> None:
    """The last second of the segment from 0.5 to 1.7 s is silent after the segment's end."""
    pieces = [SoundPiece(0, np.arange(1, 301, dtype=np.int16))]
    track = SoundTrack(iter(pieces), rate_hz=RATE_HZ, segment=Segment(0.5, 1.7))
    assert track.read_second().tolist() == list(range(51, 151))
    assert track.read_second().tolist() == [*range(151, 171), *[0] * 80]


def test_sound_alone_gives_its_whole_seconds() -> None:
    """2.5 s of sound are two seconds, 0.3 s are one padded second, and no sound is no second."""
    for samples, seconds in ((250, 2), (30, 1), (0, 0), (299, 3)):
        pieces = [SoundPiece(0, np.ones(samples, np.int16))] if samples else []
        track = SoundTrack(iter(pieces), rate_hz=RATE_HZ, segment=Segment(0, math.inf))
        out, generator = [], sound_by_second(SoundWindows(track, 1.0))
        while True:
            try:
                out.append(next(generator))
            except StopIteration as end:
                duration = end.value
                break
        assert (len(out), duration) == (seconds, samples / RATE_HZ)
        assert all(second.frames is None for second in out)


def test_a_long_gap_needs_no_memory() -> None:
    """A piece that starts centuries later is kept as it is while silence is read."""
    far = SoundPiece(10**12, np.ones(10, np.int16))
    track = SoundTrack(iter([far]), rate_hz=RATE_HZ, segment=Segment())
    assert not track.read_second().any()
    assert track.known_seconds > 10**9
