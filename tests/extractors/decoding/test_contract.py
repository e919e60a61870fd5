"""extractors/decoding/interface.py: every installed decoder must pass these tests on ordinary files."""

import os
from collections.abc import Generator
from pathlib import Path

import av
import numpy as np
import pytest

from extractors.base import InputSpec, PictureInput, SoundInput
from extractors.decoding.interface import (
    Decoder,
    DecodingRequest,
    Second,
    VideoSummary,
    available_decoders,
    get_decoder,
)
from extractors.errors import UnavailableError, VideoError
from extractors.selavi.options import selavi_inputs

RATE_HZ = 24_000
SIZE = 96, 80  # width, height: decord garbles pictures narrower than 64
TONE_HZ = 1_000


@pytest.fixture(params=available_decoders())
def decoder(request: pytest.FixtureRequest) -> Decoder:
    """Return each installed decoder in turn."""
    return get_decoder(request.param)


def write_clip(
    path: Path, *, seconds: float, fps: int = 30, picture: bool = True, tone: tuple[float, float] | None = (0, 0)
) -> Path:
    """Write an H.264 + AAC file whose seconds are red, green, blue, red ... and become brighter.

    Args:
        path: the file to write.
        seconds: duration of the file.
        fps: pictures per second.
        picture: whether to write a picture track.
        tone: start and end of a tone in seconds; None for no sound track.
    """
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
    """Return the brightness of the frame `index` of a second, 60 to 240."""
    return 60 + 180 * index // fps


def decode(
    decoder: Decoder,
    path: Path,
    *,
    start: float | None = None,
    end: float | None = None,
    inputs: InputSpec = selavi_inputs(RATE_HZ),  # noqa: B008 - it is frozen
) -> "Decoded":
    """Decode a file and return all its seconds and the summary."""
    request = DecodingRequest(path=path, inputs=inputs, start_seconds=start, end_seconds=end)
    return exhaust(decoder.decode(request))


Decoded = tuple[list[Second], VideoSummary]


def exhaust(seconds: Generator[Second, None, VideoSummary]) -> Decoded:
    """Run a decoder to its end; return what it yields and what it returns."""
    out = []
    while True:
        try:
            out.append(next(seconds))
        except StopIteration as end:
            return out, end.value


def loudness(audio: np.ndarray, start: float, end: float) -> float:
    """Return the root mean square (0..1) of a second of sound from `start` to `end`."""
    stretch = audio[round(start * RATE_HZ) : round(end * RATE_HZ)].astype(float) / 32768
    return float(np.sqrt(np.mean(stretch**2)))


def test_seconds_have_the_shapes_and_types_of_the_network_inputs(decoder: Decoder, tmp_path: Path) -> None:
    """A second has thirty cropped pictures as float32 in 0..1 and one second of int16 sound."""
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
def test_each_frame_is_the_picture_on_screen_at_its_time(decoder: Decoder, tmp_path: Path, fps: int) -> None:
    """Frame k of second s has the colour of second s and the brightness of the last frame that started."""
    seconds, _ = decode(decoder, write_clip(tmp_path / "clip.mp4", seconds=3, fps=fps))
    for number, second in enumerate(seconds):
        for k in range(30):
            colours = second.frames[k].mean(axis=(1, 2)) * 255
            expected = [0.0, 0.0, 0.0]
            expected[number] = brightness(k * fps // 30, fps)
            assert colours == pytest.approx(expected, abs=4)


def test_sound_keeps_its_time(decoder: Decoder, tmp_path: Path) -> None:
    """A tone from 1.25 to 1.5 s is in the second quarter of the second with index 1 and nowhere else."""
    seconds, _ = decode(decoder, write_clip(tmp_path / "clip.mp4", seconds=3, tone=(1.25, 1.5)))
    assert loudness(seconds[1].audio, 0.26, 0.49) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)
    for audio, start, end in ((seconds[0].audio, 0, 1), (seconds[1].audio, 0, 0.22), (seconds[2].audio, 0, 1)):
        assert loudness(audio, start, end) < 0.005
    assert loudness(seconds[1].audio, 0.55, 1) < 0.005


@pytest.mark.parametrize("first_frame", [0.0, 0.5])
def test_an_extractor_may_want_few_pictures_as_bytes(decoder: Decoder, tmp_path: Path, first_frame: float) -> None:
    """Picture k of 2 is the one on screen at (k + first_frame) / 2, resized to (height, width) and cut."""
    picture = PictureInput(frames_per_second=2, side_pixels=24, resized_pixels=(32, 40), first_frame=first_frame)
    inputs = InputSpec(picture=picture, sound=None)
    seconds, summary = decode(decoder, write_clip(tmp_path / "clip.mp4", seconds=3), inputs=inputs)
    assert len(seconds) == summary.seconds == 3
    for number, second in enumerate(seconds):
        assert second.frames is not None
        assert (second.frames.shape, second.frames.dtype) == (picture.shape, np.uint8)
        for k in range(2):
            expected = [0.0, 0.0, 0.0]
            expected[number] = brightness(int((k + first_frame) / 2 * 30), 30)
            assert second.frames[k].mean(axis=(1, 2)) == pytest.approx(expected, abs=4)


def test_an_extractor_gets_only_what_it_wants(decoder: Decoder, tmp_path: Path) -> None:
    """Nothing is said about a track that is not wanted; a file without the only wanted one fails."""
    sees = InputSpec(picture=PictureInput(frames_per_second=1, side_pixels=8, resized_pixels=8), sound=None)
    hears = InputSpec(picture=None, sound=SoundInput(rate_hz=RATE_HZ))
    clip = write_clip(tmp_path / "clip.mp4", seconds=2, tone=(0, 2))
    mute = write_clip(tmp_path / "mute.mp4", seconds=2, tone=None)
    dark = write_clip(tmp_path / "dark.mp4", seconds=2, picture=False, tone=(0, 2))
    for path, inputs, is_seen in ((clip, sees, True), (mute, sees, True), (clip, hears, False), (dark, hears, False)):
        seconds, summary = decode(decoder, path, inputs=inputs)
        assert [(second.frames is not None, second.audio is not None) for second in seconds] == 2 * [
            (is_seen, not is_seen)
        ]
        assert (summary.has_visual, summary.has_audio, summary.warnings) == (is_seen, not is_seen, ())
    for path, inputs, reason in ((dark, sees, "this extractor only sees"), (mute, hears, "this extractor only hears")):
        with pytest.raises(VideoError, match=reason):
            decode(decoder, path, inputs=inputs)


def test_windows_of_sound_are_cut_at_the_ends_of_the_file(decoder: Decoder, tmp_path: Path) -> None:
    """Of three seconds around each second the first and the last have two, and a tone keeps its time."""
    inputs = InputSpec(picture=None, sound=SoundInput(rate_hz=RATE_HZ, window_seconds=3))
    seconds, _ = decode(decoder, write_clip(tmp_path / "clip.mp4", seconds=4, tone=(1.25, 1.5)), inputs=inputs)
    lengths = [len(second.audio) / RATE_HZ for second in seconds if second.audio is not None]
    assert lengths == pytest.approx([2, 3, 3, 2], abs=0.05)  # AAC files end a little later
    for number, second in enumerate(seconds[:3]):
        start = max(number - 1, 0)  # when the window begins
        assert second.audio is not None
        assert loudness(second.audio, 1.26 - start, 1.49 - start) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)
    assert seconds[3].audio is not None
    assert loudness(seconds[3].audio, 0, 2) < 0.005


def test_a_file_without_sound_track_has_no_audio(decoder: Decoder, tmp_path: Path) -> None:
    """The audio of a file without sound track is None, not silence."""
    seconds, summary = decode(decoder, write_clip(tmp_path / "clip.mp4", seconds=2, tone=None))
    assert [second.audio for second in seconds] == [None, None]
    assert (summary.has_audio, summary.has_visual) == (False, True)


def test_a_file_without_picture_has_no_frames(decoder: Decoder, tmp_path: Path) -> None:
    """The sound alone determines the seconds, and their frames are None."""
    seconds, summary = decode(decoder, write_clip(tmp_path / "clip.mp4", seconds=2.5, picture=False, tone=(1, 2)))
    assert [second.frames for second in seconds] == [None, None]
    assert (summary.has_audio, summary.has_visual) == (True, False)
    assert loudness(seconds[0].audio, 0, 0.9) < 0.01 < loudness(seconds[1].audio, 0.1, 1)


def test_a_file_shorter_than_a_second_gives_one_padded_second(decoder: Decoder, tmp_path: Path) -> None:
    """The last picture is repeated, and silence follows the sound."""
    seconds, summary = decode(decoder, write_clip(tmp_path / "clip.mp4", seconds=0.5, tone=(0, 0.5)))
    assert (len(seconds), summary.seconds) == (1, 1)
    assert summary.duration_seconds == pytest.approx(0.5, abs=0.02)
    assert np.array_equal(seconds[0].frames[14], seconds[0].frames[29])
    assert loudness(seconds[0].audio, 0.1, 0.4) > 0.3
    assert loudness(seconds[0].audio, 0.6, 1) < 0.005


def test_a_segment_equals_the_same_seconds_of_the_whole_video(decoder: Decoder, tmp_path: Path) -> None:
    """Seconds 2 to 4 of five have exactly equal pictures, and equal sound except for rounding."""
    clip = write_clip(tmp_path / "clip.mp4", seconds=5, tone=(2.5, 3.25))
    whole, _ = decode(decoder, clip)
    segment, summary = decode(decoder, clip, start=2, end=4)
    assert (len(segment), summary.seconds, summary.duration_seconds, summary.warnings) == (2, 2, 2.0, ())
    for expected, second in zip(whole[2:4], segment, strict=True):
        assert np.array_equal(second.frames, expected.frames)
        assert np.abs(second.audio.astype(int) - expected.audio).max() < 0.01 * 32768


def test_a_segment_beyond_the_end_is_shortened_or_fails(decoder: Decoder, tmp_path: Path) -> None:
    """In a file of 3 s, the segment from 1 to 9 s has two seconds, and the segment from 7 to 9 s fails."""
    clip = write_clip(tmp_path / "clip.mp4", seconds=3)
    seconds, summary = decode(decoder, clip, start=1, end=9)
    assert (len(seconds), summary.seconds) == (2, 2)
    with pytest.raises(VideoError, match="segment starts at 7 s"):
        decode(decoder, clip, start=7, end=9)


@pytest.mark.parametrize(("start", "end"), [(2.0, 2.0), (3.0, 1.0), (-1.0, 1.0), (float("nan"), 1.0)])
def test_an_invalid_segment_fails(decoder: Decoder, tmp_path: Path, start: float, end: float) -> None:
    """Segments that are empty, reversed, negative or not a number are refused before the file is read."""
    with pytest.raises(VideoError, match="0 <= start < end"):
        decode(decoder, tmp_path / "unread.mp4", start=start, end=end)


def test_a_path_that_is_not_a_video_fails_with_its_own_reason(decoder: Decoder, tmp_path: Path) -> None:
    """Missing and empty files, texts, web pages, noise, folders and pipes have own reasons, without the path."""
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


def test_a_truncated_file_gives_its_whole_seconds_or_fails(decoder: Decoder, tmp_path: Path) -> None:
    """Three fifths of a file with its index in front give three of six seconds with a warning; decord fails."""
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
    """The reason for an MP4 file that ends before its index is that it is cut short."""
    clip = write_clip(tmp_path / "clip.mp4", seconds=1)
    clip.write_bytes(clip.read_bytes()[:40])
    with pytest.raises(VideoError, match="cut short"):
        decode(decoder, clip)


@pytest.mark.parametrize("name", ["a b.mp4", 'it\'s "so".mp4', "a%03d.mp4", "-i.mp4", "a\nb.mp4", "é💥.MP4", "c:d.mp4"])
def test_special_characters_in_a_name_are_literal(decoder: Decoder, tmp_path: Path, name: str) -> None:
    """The decoder reads the file itself, whatever characters its name contains."""
    seconds, _ = decode(decoder, write_clip(tmp_path / "clip.mp4", seconds=1, tone=None).rename(tmp_path / name))
    assert len(seconds) == 1


def test_an_unknown_decoder_fails_with_the_choices() -> None:
    """The message lists the available decoders."""
    with pytest.raises(UnavailableError, match=f"'vlc' does not exist.*{', '.join(available_decoders())}"):
        get_decoder("vlc")
