"""extractors/decoding/timing/windows.py: the windows of the benchmark's scripts, on any video and segment."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extractors.decoding.interface import DecodingRequest, Second, VideoSummary, available_decoders, get_decoder
from extractors.decoding.limits import LengthLimit
from extractors.decoding.timing.seconds import SoundPiece, SoundTrack
from extractors.decoding.timing.timeline import Pictures, Segment, TimedFrame
from extractors.decoding.timing.windows import FrameCount, seconds_at, window_starts
from extractors.errors import VideoError
from extractors.selavi.options import selavi_inputs

RATE_HZ = 24_000


def show(number: int, out: np.ndarray) -> None:
    """Write a picture that contains only its number."""
    out.fill(number)


@pytest.mark.parametrize(
    ("windows", "seconds", "count", "step_frames"),
    [
        ("avca", 10, 9, 27),  # T - 1 = 9 windows, 9 / 10 s apart
        ("tcaf", 10, 10, 13.5),  # T // 10 + 1 = 2, so 9 / 20 s apart
        ("avca", 12, 11, 16.5),
        ("tcaf", 4, 4, 9),
        ("avca", 4, 3, 9),
    ],
)
def test_the_windows_start_where_the_published_formula_says(
    windows: str, seconds: int, count: int, step_frames: float
) -> None:
    """At 30 pictures per second, window i starts at the frame below i times the step."""
    starts = window_starts(windows, frames=30 * seconds, rate_hz=30.0)
    assert [round(start * 30) for start in starts] == [int(i * step_frames) for i in range(count)]


@given(frames=st.integers(1, 2000), rate=st.sampled_from([Fraction(25), Fraction(30000, 1001), Fraction(61, 4)]))
@pytest.mark.parametrize("windows", ["avca", "tcaf"])
def test_windows_are_inside_the_video_and_ascend(windows: str, frames: int, rate: Fraction) -> None:
    """No window ends more than a frame after the video, except in a video shorter than a second."""
    starts = window_starts(windows, frames=frames, rate_hz=float(rate))
    assert starts[0] == 0
    assert list(starts) == sorted(starts)
    assert starts[-1] <= max(0, frames / rate - 1)
    assert len(starts) == max(1, int(frames / rate) - (windows == "avca"))


@given(
    starts=st.lists(st.integers(0, 6000).map(lambda ms: ms / 1000), min_size=1, max_size=8).map(sorted),
    steps=st.lists(st.integers(1, 900).map(lambda ms: ms / 1000), min_size=1, max_size=25),
    begin=st.sampled_from([0.0, 0.7]),
)
def test_each_window_shows_what_a_slow_search_finds(starts: list[float], steps: list[float], begin: float) -> None:
    """Overlapping windows get every picture on screen, and their own stretch of the sound."""
    times = np.concatenate([[0], np.cumsum(steps)]).tolist()
    end = times.pop()
    frames = [TimedFrame(time, stop, n) for n, (time, stop) in enumerate(zip(times, [*times[1:], end], strict=True))]
    segment = Segment(begin)
    samples = np.arange(1, 30_000, dtype=np.int16)
    track = SoundTrack(iter([SoundPiece(0, samples)]), rate_hz=100, segment=segment)
    inside = [start for start in starts if begin + start < end]
    cut = list(seconds_at(starts, Pictures(iter(frames), show, selavi_inputs(RATE_HZ).picture), track, segment))
    assert len(cut) == len(inside)
    for start, second in zip(inside, cut, strict=True):
        instants = [begin + start + k / 30 + 0.001 for k in range(30)]
        wanted = [max(n for n, time in enumerate(times) if n == 0 or time <= instant) for instant in instants]
        assert second.frames[:, 1, 5, 9].astype(int).tolist() == wanted
        first = round(begin * 100) + round(start * 100)
        assert np.array_equal(second.audio, samples[first : first + 100])


def test_a_segment_is_cut_as_a_video_of_its_own() -> None:
    """The windows of 10 s out of the middle of a long video are those of a video of 10 s."""
    count = FrameCount(frames=3000, rate_hz=25.0)
    limit = LengthLimit(size_bytes=10**9)
    assert count.starts("avca", Segment(20, 30), limit) == window_starts("avca", frames=250, rate_hz=25.0)
    assert count.starts("tcaf", Segment(115), limit) == window_starts("tcaf", frames=125, rate_hz=25.0)
    assert count.starts("seconds", Segment(20, 30), limit) is None


@pytest.mark.parametrize(("frames", "size_bytes"), [(2**31 - 1, 10**12), (20_000, 4000)])
def test_a_header_that_announces_too_many_frames_is_refused(frames: int, size_bytes: int) -> None:
    """The limits hold before a window is made: 86 million of them would take gigabytes."""
    with pytest.raises(VideoError, match=r"longer than 12 h|damaged time stamps"):
        FrameCount(frames=frames, rate_hz=25.0).starts("avca", Segment(), LengthLimit(size_bytes))


def write_clip(path: Path, *, seconds: float, picture: bool = True) -> Path:
    """Write a clip whose pictures become brighter, with noise."""
    random = np.random.default_rng(0)
    with av.open(path, "w") as container:
        if picture:
            video = container.add_stream("libx264", rate=25, options={"crf": "4"})
            video.width, video.height, video.pix_fmt = 112, 112, "yuv420p"
        audio = container.add_stream("pcm_s16le", rate=RATE_HZ, layout="mono")
        for index in range(round(seconds * 25) if picture else 0):
            rgb = np.full((112, 112, 3), index * 2 % 256, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        samples = random.integers(-9999, 9999, (1, round(seconds * RATE_HZ)), dtype=np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate, frame.pts = RATE_HZ, 0
        container.mux(audio.encode(frame))
        for stream in container.streams:
            container.mux(stream.encode(None))
    return path


def decode(decoder: str, path: Path, windows: str) -> tuple[list[Second], VideoSummary]:
    """Decode all windows of a file."""
    seconds = get_decoder(decoder).decode(DecodingRequest(path=path, inputs=selavi_inputs(RATE_HZ, windows)))
    out = []
    while True:
        try:
            out.append(next(seconds))
        except StopIteration as end:
            return out, end.value


@pytest.mark.parametrize("decoder", available_decoders())
@pytest.mark.parametrize("ending", ["mov", "mkv"])
def test_decoded_windows_have_the_pictures_and_the_sound_of_their_instants(
    tmp_path: Path, decoder: str, ending: str
) -> None:
    """The number of frames comes from the header or, in Matroska, from counting the packets."""
    path = write_clip(tmp_path / f"clip.{ending}", seconds=5.2)
    whole, _ = decode(decoder, path, "seconds")
    sound = np.concatenate([second.audio for second in whole])
    cut, summary = decode(decoder, path, "tcaf")
    starts = window_starts("tcaf", frames=130, rate_hz=25.0)
    assert (len(cut), summary.seconds, summary.warnings) == (len(starts), len(starts), ())
    for start, second in zip(starts, cut, strict=True):
        shown = [round(float(frame.mean()) * 255 / 2) for frame in second.frames]
        assert shown == pytest.approx([int((start + k / 30 + 0.001) * 25) for k in range(30)], abs=1)
        first = round(start * RATE_HZ)
        assert np.array_equal(second.audio, sound[first : first + RATE_HZ])


@pytest.mark.parametrize("decoder", available_decoders())
def test_sound_alone_is_cut_into_whole_seconds(tmp_path: Path, decoder: str) -> None:
    """The scripts' windows are counted in pictures; a file without any has whole seconds, and a warning says so."""
    cut, summary = decode(decoder, write_clip(tmp_path / "clip.mov", seconds=3.2, picture=False), "avca")
    assert (len(cut), summary.seconds) == (3, 3)
    assert summary.warnings == ("without a picture the sound is cut into whole seconds, not into the avca windows",)
