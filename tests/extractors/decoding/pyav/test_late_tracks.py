"""extractors/decoding/pyav/stream.py: tracks that a container announces only when they begin."""

from pathlib import Path

import av
import numpy as np
import pytest

from extractors.decoding.interface import DecodingRequest, Second, VideoSummary
from extractors.decoding.pyav import stream
from extractors.decoding.pyav.decoder import PyAvDecoder
from extractors.decoding.tracks import describe_media
from extractors.selavi.options import selavi_inputs

RATE_HZ = 44_100


def late_sound(path: Path, *, pictures_seconds: int = 9, sound_from_seconds: int = 7) -> Path:
    """Write FLV whose header announces a picture only, and whose sound begins later."""
    with av.open(path, "w", format="flv", options={"flvflags": "no_metadata"}) as container:
        video = container.add_stream("flv", rate=10)
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        audio = container.add_stream("mp3", rate=RATE_HZ, layout="stereo")
        for number in range(10 * pictures_seconds):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 4 * number % 250, np.uint8), format="rgb24")
            container.mux(video.encode(frame))
        for start in range(sound_from_seconds * RATE_HZ, pictures_seconds * RATE_HZ, 1152):
            wave = np.sin(np.arange(start, start + 1152) / 20).astype(np.float32) / 2
            sound = av.AudioFrame.from_ndarray(np.stack([wave, wave]), format="fltp", layout="stereo")
            sound.sample_rate, sound.pts = RATE_HZ, start
            container.mux(audio.encode(sound))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    content = bytearray(path.read_bytes())
    assert content[4] == 5  # picture and sound
    content[4] = 1  # picture only
    path.write_bytes(content)
    return path


def decoded(path: Path) -> tuple[list[Second], VideoSummary]:
    """Decode a whole file."""
    seconds, run = [], PyAvDecoder().decode(DecodingRequest(path=path, inputs=selavi_inputs(RATE_HZ)))
    while True:
        try:
            seconds.append(next(run))
        except StopIteration as end:
            return seconds, end.value


def test_sound_that_begins_later_than_the_header_says_is_used(tmp_path: Path) -> None:
    """It stands at its time: silence before it."""
    path = late_sound(tmp_path / "late.flv")
    with av.open(path) as container:
        assert not container.streams.audio  # so that it has to be searched for

    seconds, summary = decoded(path)

    assert (summary.seconds, summary.has_audio, summary.has_visual) == (9, True, True)
    loudness = [float(np.abs(second.audio).mean()) for second in seconds if second.audio is not None]
    assert max(loudness[:6]) < 0.01 < min(loudness[7:])
    assert [track.kind for track in describe_media(path).tracks] == ["video", "audio"]


def test_a_track_that_is_found_too_late_is_left_out_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The picture is not lost, though PyAV raises an IndexError when the new track begins."""
    monkeypatch.setattr(stream, "_LATE_FORMATS", frozenset())
    path = late_sound(tmp_path / "late.flv")

    seconds, summary = decoded(path)

    assert (len(seconds), summary.has_audio, summary.has_visual) == (9, False, True)
    assert summary.warnings == ("a track that begins later was left out",)
    assert [track.kind for track in describe_media(path).tracks] == ["video"]
