"""extractors/decoding/tracks.py: the description of a track matches what was written."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from extractors.decoding.tracks import MediaDescription, Track, describe_media
from extractors.errors import VideoError

RATE_HZ = 24_000


def write_clip(
    path: Path, milliseconds: list[int], *, sound_from: float | None = None, rotation: int = 0, aspect: int = 1
) -> Path:
    """Write H.264 pictures at given times and a second of AAC from `sound_from` seconds on; None for no sound."""
    with av.open(path, "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        video.codec_context.time_base = video.time_base = Fraction(1, 1000)
        video.codec_context.sample_aspect_ratio = Fraction(aspect)
        if rotation:
            video.set_display_rotation(rotation)
        audio = container.add_stream("aac", rate=RATE_HZ, layout="stereo") if sound_from is not None else None
        for time in milliseconds:
            frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), time % 250, np.uint8), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for start in range(0, RATE_HZ if audio else 0, 1024):
            frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = RATE_HZ, round(sound_from * RATE_HZ) + start
            container.mux(audio.encode(frame))
        if audio is not None:
            container.mux(audio.encode(None))
    return path


def picture_of(media: MediaDescription) -> Track:
    """Return the picture track that decoding uses."""
    return next(track for track in media.tracks if track.kind == "video" and track.decoded)


def test_picture_and_sound_are_described_as_written(tmp_path: Path) -> None:
    """Codec, size, rate, channels and times match the written file."""
    media = describe_media(write_clip(tmp_path / "a.mp4", [40 * n for n in range(50)], sound_from=0.5))
    picture, sound = media.tracks
    assert "mp4" in media.container
    assert (picture.kind, picture.decoded, picture.codec.split()[0], picture.packets) == ("video", True, "h264", 50)
    assert (picture.picture.width, picture.picture.height, picture.picture.bit_depth) == (96, 64, 8)
    assert picture.picture.rate_hz == pytest.approx(25, abs=0.5)
    assert (picture.start_seconds, picture.seconds) == (0, pytest.approx(2, abs=0.05))
    assert (sound.sound.rate_hz, sound.sound.channels, sound.sound.layout) == (RATE_HZ, 2, "stereo")
    assert sound.sound.bit_depth is None
    assert sound.start_seconds == pytest.approx(0.5, abs=0.1)  # AAC begins a frame early


def test_rotation_and_pixel_aspect_are_described(tmp_path: Path) -> None:
    """Both are read from the file, as the stored size does not show them."""
    picture = picture_of(describe_media(write_clip(tmp_path / "a.mp4", [0, 40, 80], rotation=90, aspect=2))).picture
    assert abs(picture.rotation_degrees) == 90
    assert picture.pixel_aspect == 2


@pytest.mark.parametrize(
    ("milliseconds", "steady"),
    [
        ([40 * n for n in range(40)], True),
        ([round(1000 * n / 29.97) for n in range(40)], True),  # rounded to milliseconds
        ([40 * n for n in range(40) if n != 20], True),  # one picture was lost
        ([10 * n * n for n in range(20)], False),
        ([*range(0, 800, 40), *range(800, 4000, 160)], False),
    ],
)
def test_a_variable_frame_rate_is_distinguished_from_rounding_and_loss(
    tmp_path: Path, milliseconds: list[int], steady: bool
) -> None:
    """Small or rare differences between steps do not make a frame rate variable."""
    assert picture_of(describe_media(write_clip(tmp_path / "a.mkv", milliseconds))).steady is steady


def test_the_steps_are_those_between_pictures(tmp_path: Path) -> None:
    """The steps are measured in display order, not in file order."""
    track = picture_of(describe_media(write_clip(tmp_path / "a.mkv", [*range(0, 800, 40), *range(800, 4000, 160)])))
    assert track.steps_seconds == (pytest.approx(0.04), pytest.approx(0.16))


@pytest.mark.parametrize(
    ("content", "message"), [(None, "no such file"), (b"", "empty"), (b"<html>", "web page"), (b"hello", "text file")]
)
def test_a_path_that_is_not_a_video_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    """The reason is the same as in extraction."""
    path = tmp_path / "a.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(VideoError, match=message):
        describe_media(path)


@pytest.mark.needs_shared
@pytest.mark.parametrize(
    ("name", "decoded"),
    [("real/meta-pytorch-torchcodec__nasa_13013.mp4", {3, 4}), ("torture/two_audio_tracks.mp4", {0, 1})],
)
def test_the_tracks_that_decoding_uses_are_marked(shared: Path, name: str, decoded: set[int]) -> None:
    """The marks are right in files with several tracks of a kind."""
    media = describe_media(shared / "clips" / name)
    assert {track.index for track in media.tracks if track.decoded} == decoded


@pytest.mark.needs_shared
def test_cover_art_is_not_decoded(shared: Path) -> None:
    """Cover art is a video track that decoding does not use."""
    media = describe_media(shared / "clips" / "torture" / "audio_with_cover.mp3")
    assert [(track.kind, track.cover, track.decoded) for track in media.tracks] == [
        ("audio", False, True),
        ("video", True, False),
    ]


@pytest.mark.needs_shared
def test_a_truncated_file_is_shorter_than_announced(shared: Path) -> None:
    """The announced and the actual duration are both described."""
    track = picture_of(describe_media(shared / "clips" / "torture" / "truncated60_faststart.mp4"))
    assert track.announced_seconds == pytest.approx(5)
    assert track.seconds == pytest.approx(3.08)
