"""What every decoder promises on ordinary files; each test runs with each decoder that is installed."""

import os
from collections.abc import Generator
from pathlib import Path

import av
import numpy as np
import pytest

from extractors.decoding.interface import (
    Decoder,
    DecodingRequest,
    Second,
    VideoSummary,
    available_decoders,
    get_decoder,
)
from extractors.errors import UnavailableError, VideoError

RATE_HZ = 24_000
SIZE = 96, 80  # wide, high: decord garbles what is narrower than 64
TONE_HZ = 1_000


@pytest.fixture(params=available_decoders())
def decoder(request: pytest.FixtureRequest) -> Decoder:
    """Each installed decoder in turn."""
    return get_decoder(request.param)


def write_clip(
    path: Path, *, seconds: float, fps: int = 30, picture: bool = True, tone: tuple[float, float] | None = (0, 0)
) -> Path:
    """An H.264 + AAC file: seconds are red, green, blue, red ... and brighten; a tone from .. to; None: no sound."""
    with av.open(path, "w", options={"movflags": "faststart"}) as container:
        if picture:
            video = container.add_stream("libx264", rate=fps, options={"crf": "8", "g": "20"})
            video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
        if tone is not None:
            audio = container.add_stream("aac", rate=44_100, layout="stereo")
        if picture:
            for index in range(round(seconds * fps)):
                rgb = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
                rgb[:, :, index // fps % 3] = brightness(index % fps, fps)
                container.mux(video.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
            container.mux(video.encode(None))
        if tone is not None:
            times = np.arange(round(seconds * 44_100)) / 44_100
            wave = 0.5 * np.sin(2 * np.pi * TONE_HZ * times) * ((times >= tone[0]) & (times < tone[1]))
            samples = np.stack([wave, wave]).astype(np.float32)
            for start in range(0, samples.shape[1], 1024):
                frame = av.AudioFrame.from_ndarray(samples[:, start : start + 1024], format="fltp", layout="stereo")
                frame.sample_rate, frame.pts = 44_100, start
                container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
    return path


def brightness(index: int, fps: int) -> int:
    """How bright the frame `index` of a second is, 60 to 240."""
    return 60 + 180 * index // fps


def decode(decoder: Decoder, path: Path, *, start: float | None = None, end: float | None = None) -> "Decoded":
    """All seconds of a file and the summary."""
    request = DecodingRequest(path=path, audio_rate_hz=RATE_HZ, start_seconds=start, end_seconds=end)
    return exhaust(decoder.decode(request))


Decoded = tuple[list[Second], VideoSummary]


def exhaust(seconds: Generator[Second, None, VideoSummary]) -> Decoded:
    """What a decoder yields, and what it returns."""
    out = []
    while True:
        try:
            out.append(next(seconds))
        except StopIteration as end:
            return out, end.value


def loudness(audio: np.ndarray, start: float, end: float) -> float:
    """Root mean square of a stretch of a second of sound, 0..1."""
    stretch = audio[round(start * RATE_HZ) : round(end * RATE_HZ)].astype(float) / 32768
    return float(np.sqrt(np.mean(stretch**2)))


def test_seconds_have_the_shapes_and_types_the_networks_take(decoder: Decoder, tmp_path: Path) -> None:
    """Thirty cropped pictures as float32 in 0..1, and a second of int16."""
    seconds, summary = decode(decoder, write_clip(tmp_path / "clip.mp4", seconds=3.5))
    assert len(seconds) == summary.seconds == 3
    assert summary.duration_seconds == pytest.approx(3.5, abs=0.02)
    assert (summary.has_audio, summary.has_visual, summary.warnings) == (True, True, ())
    for second in seconds:
        assert second.frames.shape == (30, 3, 112, 112)
        assert second.frames.dtype == np.float32
        assert 0 <= second.frames.min() <= second.frames.max() <= 1
        assert second.audio.shape == (RATE_HZ,)
        assert second.audio.dtype == np.int16


@pytest.mark.parametrize("fps", [30, 25, 10])
def test_every_frame_is_the_one_on_screen_at_its_time(decoder: Decoder, tmp_path: Path, fps: int) -> None:
    """Frame k of second s shows the marker colour of s and the brightness of the frame that began last."""
    seconds, _ = decode(decoder, write_clip(tmp_path / "clip.mp4", seconds=3, fps=fps))
    for number, second in enumerate(seconds):
        for k in range(30):
            colours = second.frames[k].mean(axis=(1, 2)) * 255
            expected = [0.0, 0.0, 0.0]
            expected[number] = brightness(k * fps // 30, fps)
            assert colours == pytest.approx(expected, abs=4)


def test_sound_lies_where_it_was_recorded(decoder: Decoder, tmp_path: Path) -> None:
    """A tone from 1.25 to 1.5 s is in the second quarter of the second second, and nowhere else."""
    seconds, _ = decode(decoder, write_clip(tmp_path / "clip.mp4", seconds=3, tone=(1.25, 1.5)))
    assert loudness(seconds[1].audio, 0.26, 0.49) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)
    for audio, start, end in ((seconds[0].audio, 0, 1), (seconds[1].audio, 0, 0.22), (seconds[2].audio, 0, 1)):
        assert loudness(audio, start, end) < 0.005
    assert loudness(seconds[1].audio, 0.55, 1) < 0.005


def test_a_file_without_sound_track_has_no_audio(decoder: Decoder, tmp_path: Path) -> None:
    """Absent sound is None, not silence."""
    seconds, summary = decode(decoder, write_clip(tmp_path / "clip.mp4", seconds=2, tone=None))
    assert [second.audio for second in seconds] == [None, None]
    assert (summary.has_audio, summary.has_visual) == (False, True)


def test_a_file_without_picture_has_no_frames(decoder: Decoder, tmp_path: Path) -> None:
    """The sound alone gives the seconds."""
    seconds, summary = decode(decoder, write_clip(tmp_path / "clip.mp4", seconds=2.5, picture=False, tone=(1, 2)))
    assert [second.frames for second in seconds] == [None, None]
    assert (summary.has_audio, summary.has_visual) == (True, False)
    assert loudness(seconds[0].audio, 0, 0.9) < 0.01 < loudness(seconds[1].audio, 0.1, 1)


def test_under_a_second_gives_one_padded_second(decoder: Decoder, tmp_path: Path) -> None:
    """The last picture stays, and silence follows."""
    seconds, summary = decode(decoder, write_clip(tmp_path / "clip.mp4", seconds=0.5, tone=(0, 0.5)))
    assert (len(seconds), summary.seconds) == (1, 1)
    assert summary.duration_seconds == pytest.approx(0.5, abs=0.02)
    assert np.array_equal(seconds[0].frames[14], seconds[0].frames[29])
    assert loudness(seconds[0].audio, 0.1, 0.4) > 0.3
    assert loudness(seconds[0].audio, 0.6, 1) < 0.005


def test_a_segment_is_the_same_seconds_of_the_whole(decoder: Decoder, tmp_path: Path) -> None:
    """Seconds 2 to 4 of five, pictures exactly, sound to rounding."""
    clip = write_clip(tmp_path / "clip.mp4", seconds=5, tone=(2.5, 3.25))
    whole, _ = decode(decoder, clip)
    segment, summary = decode(decoder, clip, start=2, end=4)
    assert (len(segment), summary.seconds, summary.duration_seconds, summary.warnings) == (2, 2, 2.0, ())
    for expected, second in zip(whole[2:4], segment, strict=True):
        assert np.array_equal(second.frames, expected.frames)
        assert np.abs(second.audio.astype(int) - expected.audio).max() < 0.01 * 32768


def test_a_segment_beyond_the_end_is_cut_there(decoder: Decoder, tmp_path: Path) -> None:
    """Of 1 to 9 s, two seconds of a three-second file are left; of 7 to 9 s, an error."""
    clip = write_clip(tmp_path / "clip.mp4", seconds=3)
    seconds, summary = decode(decoder, clip, start=1, end=9)
    assert (len(seconds), summary.seconds) == (2, 2)
    with pytest.raises(VideoError, match="segment starts at 7 s"):
        decode(decoder, clip, start=7, end=9)


@pytest.mark.parametrize(("start", "end"), [(2.0, 2.0), (3.0, 1.0), (-1.0, 1.0), (float("nan"), 1.0)])
def test_an_impossible_segment_fails(decoder: Decoder, tmp_path: Path, start: float, end: float) -> None:
    """Empty, reversed, negative and no-number segments are refused before anything is read."""
    with pytest.raises(VideoError, match="0 <= start < end"):
        decode(decoder, tmp_path / "unread.mp4", start=start, end=end)


def test_what_is_no_video_fails_with_its_own_reason(decoder: Decoder, tmp_path: Path) -> None:
    """Missing, empty, text, web page, folder and pipe each say what they are, without the path."""
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("No video at all, só texto.\n" * 40)
    (tmp_path / "page.mp4").write_text("<!DOCTYPE html><title>404</title>")
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    (tmp_path / "folder.mp4").mkdir()
    os.mkfifo(tmp_path / "pipe.mp4")
    reasons = {
        "missing.mp4": "no such file",
        "empty.mp4": "empty file",
        "text.mp4": "text file",
        "page.mp4": "web page",
        "noise.mp4": "not a video",
        "folder.mp4": "a folder",
        "pipe.mp4": "pipe",
    }
    for name, reason in reasons.items():
        with pytest.raises(VideoError, match=reason) as raised:
            decode(decoder, tmp_path / name)
        assert str(tmp_path) not in str(raised.value)


def test_a_file_cut_short_gives_whole_seconds_or_a_reason(decoder: Decoder, tmp_path: Path) -> None:
    """Three fifths of a file whose index lies in front: never more seconds than there are, never silently."""
    clip = write_clip(tmp_path / "clip.mp4", seconds=6, tone=(0, 6))
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 3 // 5])
    if decoder.name == "decord":
        with pytest.raises(VideoError, match="use the pyav decoder"):
            decode(decoder, clip)
        return
    seconds, summary = decode(decoder, clip)
    assert len(seconds) == summary.seconds == 3
    assert any("cut short" in warning and "announced 6.00 s" in warning for warning in summary.warnings)


def test_a_file_without_its_index_fails(decoder: Decoder, tmp_path: Path) -> None:
    """An MP4 file that stops before its index says that it is cut short."""
    clip = write_clip(tmp_path / "clip.mp4", seconds=1)
    clip.write_bytes(clip.read_bytes()[:40])
    with pytest.raises(VideoError, match="cut short"):
        decode(decoder, clip)


@pytest.mark.parametrize("name", ["a b.mp4", 'it\'s "so".mp4', "a%03d.mp4", "-i.mp4", "a\nb.mp4", "é💥.MP4", "c:d.mp4"])
def test_names_mean_nothing(decoder: Decoder, tmp_path: Path, name: str) -> None:
    """Whatever a file is called, it is that file that is read."""
    seconds, _ = decode(decoder, write_clip(tmp_path / "clip.mp4", seconds=1, tone=None).rename(tmp_path / name))
    assert len(seconds) == 1


def test_an_unknown_decoder_fails_with_the_choices() -> None:
    """The message lists the decoders that there are."""
    with pytest.raises(UnavailableError, match=f"'vlc' does not exist.*{', '.join(available_decoders())}"):
        get_decoder("vlc")
