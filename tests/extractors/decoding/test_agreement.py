"""All decoders agree with the ffmpeg command line, sample for sample and frame for frame."""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from extractors.decoding.interface import DecodingRequest, Second, VideoSummary, available_decoders, get_decoder
from extractors.decoding.pictures.convert import resize_and_crop
from extractors.errors import VideoError
from extractors.selavi.options import selavi_inputs

# Name of the file, with the options that write it: the rate of the pictures, the rate of the sound, the codecs.
KINDS = {
    "xvid_with_b_frames.avi": ("25", 44_100, "-c:v mpeg4 -bf 2 -q:v 3 -vtag XVID -c:a libmp3lame -ac 2"),
    "xvid_at_29_97.avi": ("30000/1001", 22_050, "-c:v mpeg4 -bf 2 -q:v 3 -vtag XVID -c:a libmp3lame"),
    "xvid_without_sound.avi": ("15", None, "-c:v mpeg4 -bf 2 -q:v 3 -vtag XVID"),
    "mp3.mkv": ("25", 44_100, "-c:v libx264 -bf 2 -c:a libmp3lame"),
    "mp3.mp4": ("25", 44_100, "-c:v libx264 -bf 2 -c:a libmp3lame"),
    "sound_of_22_khz.mp4": ("30", 22_050, "-c:v libx264 -c:a aac -ac 2"),
    "integers_of_22_khz.avi": ("30", 22_050, "-c:v mpeg4 -q:v 3 -c:a pcm_s16le"),
    "five_point_one.mp4": ("30", 48_000, "-c:v libx264 -c:a aac -af pan=5.1|c0=c0|c1=.5*c0|c2=.3*c0|c3=.2*c0|c4=.1*c0"),
    "five_point_one.mkv": (
        "30",
        48_000,
        "-c:v libx264 -c:a flac -af pan=5.1|c0=c0|c1=.5*c0|c2=.3*c0|c4=.1*c0",
    ),
    "at_29_97.mp4": ("30000/1001", 44_100, "-c:v libx264 -bf 2 -c:a aac"),
    "at_15_25.mp4": ("61/4", 44_100, "-c:v libx264 -bf 2 -c:a aac"),
    "at_15_25.mkv": ("61/4", 44_100, "-c:v libx264 -bf 2 -c:a aac"),
    "without_edit_list.mp4": ("25", 44_100, "-c:v libx264 -bf 2 -use_editlist 0 -c:a pcm_s16le -f mov"),
    "opus.webm": ("25", 48_000, "-c:v libvpx -c:a libopus"),
}
PIXELS = 112  # no resizing, so that only the choice of frames is compared
RATES_HZ = (24_000, 44_100)


@pytest.fixture(scope="module")
def ffmpeg() -> str:
    """Return the path of the ffmpeg command of the development tools: versions prime codecs and mix in other ways."""
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="the development tools are not installed")
    return str(imageio_ffmpeg.get_ffmpeg_exe())


@pytest.fixture(scope="module")
def clips(ffmpeg: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write a clip of 3.5 s of each kind: moving pictures and a tone with beeps."""
    folder = tmp_path_factory.mktemp("clips")
    for name, (fps, rate_hz, codecs) in KINDS.items():
        sound = [] if rate_hz is None else ["-f", "lavfi", "-i", f"sine=440:4:{rate_hz}"]
        pictures = ["-f", "lavfi", "-i", f"testsrc2=s={PIXELS}x{PIXELS}:r={fps}"]
        command = [ffmpeg, "-v", "error", *pictures, *sound, "-t", "3.5", *codecs.split(), str(folder / name)]
        subprocess.run(command, check=True)
    return {name: folder / name for name in KINDS}


@pytest.fixture(params=available_decoders())
def decoder(request: pytest.FixtureRequest) -> str:
    """Return the name of each installed decoder in turn."""
    return str(request.param)


def decode(name: str, path: Path, rate_hz: int = RATES_HZ[0]) -> list[Second]:
    """Decode all whole seconds of a file."""
    return list(get_decoder(name).decode(DecodingRequest(path=path, inputs=selavi_inputs(rate_hz))))


def decode_whole(name: str, path: Path) -> tuple[list[Second], VideoSummary]:
    """Decode a file and return all its seconds and the summary."""
    run, seconds = get_decoder(name).decode(DecodingRequest(path=path, inputs=selavi_inputs(RATES_HZ[0]))), []
    while True:
        try:
            seconds.append(next(run))
        except StopIteration as end:
            return seconds, end.value


@pytest.mark.parametrize("kind", [kind for kind, (_, rate_hz, _) in KINDS.items() if rate_hz is not None])
@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_sound_agrees_with_the_ffmpeg_command_sample_for_sample(
    ffmpeg: str, clips: dict[str, Path], decoder: str, kind: str, rate_hz: int
) -> None:
    """No sample of the whole seconds differs, the first ones included."""
    command = [ffmpeg, "-v", "error", "-i", str(clips[kind]), "-f", "s16le", "-ac", "1", "-ar", str(rate_hz), "-"]
    expected = np.frombuffer(subprocess.run(command, check=True, capture_output=True).stdout, np.int16)
    sound = np.concatenate([second.audio for second in decode(decoder, clips[kind], rate_hz)])
    assert sound.size == 3 * rate_hz
    assert np.array_equal(sound, expected[: sound.size])


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_agree_with_the_ffmpeg_command_frame_for_frame(
    ffmpeg: str, clips: dict[str, Path], decoder: str, kind: str
) -> None:
    """Each picture is the last that has started according to the command's own time stamps."""
    command = [ffmpeg, "-hide_banner", "-i", str(clips[kind]), "-an", "-vf", "showinfo", "-fps_mode", "passthrough"]
    done = subprocess.run([*command, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], check=True, capture_output=True)
    times = [float(time) for time in re.findall(rb"pts_time:([-\d.]+)", done.stderr)]
    pictures = np.frombuffer(done.stdout, np.uint8).reshape(len(times), PIXELS, PIXELS, 3)
    seconds = decode(decoder, clips[kind])
    assert len(seconds) == 3
    for number, frame in enumerate(np.concatenate([second.frames for second in seconds])):
        # At 29.97 Hz a picture starts exactly 1 ms after a whole second: either side of the tolerance is right.
        limits = (number / 30 + 0.001 - 1e-6, number / 30 + 0.001 + 1e-6)
        shown = {max((n for n, time in enumerate(times) if time <= limit), default=0) for limit in limits}
        # Conversions to RGB differ by a step between versions of ffmpeg; other frames differ far more.
        assert min(np.abs(frame - as_input(pictures[n])).mean() for n in shown) < 0.01, f"at {number / 30:.3f} s"


def test_a_clip_that_was_cut_without_coding_shows_what_its_edit_list_shows(
    ffmpeg: str, clips: dict[str, Path], decoder: str, tmp_path: Path
) -> None:
    """`ffmpeg -ss 1.1 -c copy` keeps earlier pictures for the decoder; decord would show them, and so refuses."""
    path = tmp_path / "cut.mp4"
    subprocess.run(
        [ffmpeg, "-v", "error", "-ss", "1.1", "-i", str(clips["at_15_25.mp4"]), "-c", "copy", str(path)], check=True
    )
    if decoder == "decord":
        with pytest.raises(VideoError, match="edit list leaves out; use the pyav decoder"):
            decode(decoder, path)
        return
    command = [ffmpeg, "-v", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    shown = subprocess.run(command, check=True, capture_output=True).stdout
    pictures = np.frombuffer(shown, np.uint8).reshape(-1, PIXELS, PIXELS, 3)
    seconds, summary = decode_whole(decoder, path)
    assert (len(seconds), summary.warnings) == (2, ())
    assert summary.duration_seconds == pytest.approx(len(pictures) / 15.25, abs=0.05)
    assert np.abs(seconds[0].frames[0] - as_input(pictures[0])).mean() < 0.01


def test_decord_refuses_matroska_without_usable_time_stamps(
    ffmpeg: str, clips: dict[str, Path], tmp_path: Path
) -> None:
    """Evenly spaced pictures would be seconds late, if the stamps before the cut are negative."""
    if "decord" not in available_decoders():
        pytest.skip("decord is not installed")
    path = tmp_path / "cut.mkv"
    command = [ffmpeg, "-v", "error", "-ss", "1.1", "-i", str(clips["at_15_25.mp4"]), "-c", "copy"]
    subprocess.run([*command, "-avoid_negative_ts", "disabled", str(path)], check=True)
    with pytest.raises(VideoError, match="use the pyav decoder"):
        decode("decord", path)


def as_input(rgb: np.ndarray) -> np.ndarray:
    """Return a picture as the network takes it, (3, 112, 112) in 0..1."""
    out = np.empty((3, PIXELS, PIXELS), np.float32)
    resize_and_crop(rgb, out, selavi_inputs(24_000).picture)
    return out
