"""extractors/decoding/pyav/decoder.py: unusual clocks, rotated pictures, and damaged or undecodable tracks."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from extractors.decoding.interface import DecodingRequest, Second, VideoSummary
from extractors.decoding.pyav.decoder import PyAvDecoder
from extractors.errors import VideoError
from extractors.selavi.options import selavi_inputs

RATE_HZ = 24_000
# The marker colours.
COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)


def decode(path: Path, **segment: float) -> tuple[list[Second], VideoSummary]:
    """Decode a file and return all its seconds and the summary."""
    seconds = PyAvDecoder().decode(DecodingRequest(path=path, inputs=selavi_inputs(RATE_HZ), **segment))
    out = []
    while True:
        try:
            out.append(next(seconds))
        except StopIteration as end:
            return out, end.value


def write_pictures(
    path: Path,
    pictures: Sequence[tuple[int, np.ndarray]],
    *,
    sound: Sequence[tuple[int, np.ndarray]] = (),
    crf: int = 8,
    **options: str,
) -> Path:
    """Write H.264 pictures and pieces of AAC sound, each with its time in milliseconds."""
    height, width, _ = pictures[0][1].shape
    with av.open(path, "w", options=options) as container:
        video = container.add_stream("libx264", rate=25, options={"crf": str(crf), "g": "10"})
        video.width, video.height, video.pix_fmt, video.time_base = width, height, "yuv420p", Fraction(1, 1000)
        video.codec_context.time_base = Fraction(1, 1000)
        audio = container.add_stream("aac", rate=RATE_HZ, layout="mono") if sound else None
        for milliseconds, rgb in pictures:
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = milliseconds, Fraction(1, 1000)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for milliseconds, samples in sound:
            for start in range(0, samples.size, 1024):
                piece = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], format="fltp", layout="mono")
                piece.sample_rate, piece.pts = RATE_HZ, milliseconds * RATE_HZ // 1000 + start
                container.mux(audio.encode(piece))
        if audio is not None:
            container.mux(audio.encode(None))
    return path


def plain(colour: int, size: tuple[int, int] = (80, 96)) -> np.ndarray:
    """Return a picture of one marker colour."""
    return np.broadcast_to(COLOURS[colour % 3], (*size, 3)).copy()


def steady(seconds: float, fps: int = 25) -> list[tuple[int, np.ndarray]]:
    """Return pictures at a steady rate, with a new colour every second."""
    return [(1000 * n // fps, plain(n // fps)) for n in range(round(seconds * fps))]


def tone(seconds: float) -> np.ndarray:
    """Return a tone of 500 Hz."""
    return (0.5 * np.sin(np.arange(round(seconds * RATE_HZ)) * 2 * np.pi * 500 / RATE_HZ)).astype(np.float32)


def colours_shown(second: Second) -> list[int]:
    """Return the marker colour of each of the 30 pictures."""
    return [int(frame.mean(axis=(1, 2)).argmax()) for frame in second.frames]


def is_loud(audio: np.ndarray, start: float, end: float) -> bool:
    """Return whether a second is loud from `start` to `end`; fail if it is neither loud nor silent there."""
    stretch = np.abs(audio[round(start * RATE_HZ) : round(end * RATE_HZ)].astype(int)).reshape(-1, 60).max(axis=1)
    assert stretch.min() > 12_000 or stretch.max() < 500
    return bool(stretch.min() > 12_000)


def make_unknown(path: Path, *boxes: bytes) -> None:
    """Overwrite the names of boxes that give the codec of a track in an MP4 file."""
    content = path.read_bytes()
    for box in boxes:
        content = content.replace(box, b"zzzz")
    path.write_bytes(content)


def test_irregular_pictures_are_shown_at_their_stamps(tmp_path: Path) -> None:
    """Pictures at 0, 100, 1500, 1540 and 2900 ms are each shown from their stamp on."""
    path = write_pictures(tmp_path / "vfr.mp4", [(t, plain(n)) for n, t in enumerate((0, 100, 1500, 1540, 2900))])
    seconds, summary = decode(path)
    assert summary.seconds >= 2
    assert colours_shown(seconds[0]) == [0] * 3 + [1] * 27
    assert colours_shown(seconds[1]) == [1] * 15 + [2] * 2 + [0] * 13


def test_matroska_rounding_shifts_no_picture(tmp_path: Path) -> None:
    """At 30 pictures per second with stamps in whole milliseconds, every picture is shown once."""
    pictures = [(round(1000 * n / 30), plain(n)) for n in range(60)]
    seconds, summary = decode(write_pictures(tmp_path / "clip.mkv", pictures))
    assert summary.seconds == 2
    assert colours_shown(seconds[0]) == colours_shown(seconds[1]) == [0, 1, 2] * 10


def test_sound_that_starts_late_is_preceded_by_silence(tmp_path: Path) -> None:
    """A tone whose track starts at 1.5 s is loud from then on and silent before."""
    seconds, summary = decode(write_pictures(tmp_path / "clip.mp4", steady(3), sound=[(1500, tone(1.5))]))
    assert summary.has_audio
    assert not is_loud(seconds[0].audio, 0, 1)
    assert not is_loud(seconds[1].audio, 0, 0.45)
    assert is_loud(seconds[1].audio, 0.55, 1)
    assert is_loud(seconds[2].audio, 0, 0.9)


def test_a_gap_in_the_sound_is_silence(tmp_path: Path) -> None:
    """Sound from 0 to 1 s and from 2 to 3 s, as in a recording with lost packets, has silence in between."""
    path = write_pictures(tmp_path / "clip.mkv", steady(3), sound=[(0, tone(1)), (2000, tone(1))])
    seconds, _ = decode(path)
    assert is_loud(seconds[0].audio, 0.1, 0.9)
    assert not is_loud(seconds[1].audio, 0.1, 0.9)
    assert is_loud(seconds[2].audio, 0.1, 0.9)


def test_sound_is_padded_and_cut_to_the_picture(tmp_path: Path) -> None:
    """One second of sound is padded to three of picture, and three are cut to one."""
    seconds, summary = decode(write_pictures(tmp_path / "short.mp4", steady(3), sound=[(0, tone(1))]))
    assert summary.seconds == 3
    assert [is_loud(second.audio, 0.1, 0.9) for second in seconds] == [True, False, False]
    seconds, summary = decode(write_pictures(tmp_path / "long.mp4", steady(1), sound=[(0, tone(3))]))
    assert (len(seconds), summary.warnings) == (1, ())


@pytest.mark.parametrize(
    ("matrix", "side"),
    [((0, 1, -1, 0), np.s_[:, :, 60:]), ((0, -1, 1, 0), np.s_[:, :, :50]), ((-1, 0, 0, -1), np.s_[:, 60:])],
)
def test_rotation_is_applied(tmp_path: Path, matrix: tuple[int, int, int, int], side: tuple[slice, ...]) -> None:
    """A stored red upper half appears on the right, on the left or below, according to the track's matrix."""
    rgb = plain(2)
    rgb[:40] = COLOURS[0]
    path = write_pictures(tmp_path / "clip.mp4", [(40 * n, rgb) for n in range(25)])
    one = 0x10000
    identity = b"".join(value.to_bytes(4, "big") for value in (one, 0, 0, 0, one, 0, 0, 0, one << 14))
    a, b, c, d = (value * one % 2**32 for value in matrix)
    turned = b"".join(value.to_bytes(4, "big") for value in (a, b, 0, c, d, 0, 0, 0, one << 14))
    before, header, after = path.read_bytes().partition(b"tkhd")
    path.write_bytes(before + header + after.replace(identity, turned, 1))
    seconds, _ = decode(path)
    red, _, blue = seconds[0].frames[0][side].mean(axis=(1, 2))
    assert red > 0.9
    assert blue < 0.1


def test_pictures_may_change_size_and_stamps_may_restart(tmp_path: Path) -> None:
    """Two transport streams in one file give all four seconds of both, with their sound."""
    segments = [
        write_pictures(tmp_path / "a.ts", [(40 * n, plain(0)) for n in range(50)], sound=[(0, tone(2))]),
        write_pictures(tmp_path / "b.ts", [(40 * n, plain(1, (120, 160))) for n in range(50)], sound=[(0, tone(2))]),
    ]
    path = tmp_path / "spliced.ts"
    path.write_bytes(b"".join(segment.read_bytes() for segment in segments))
    seconds, summary = decode(path)
    assert summary.seconds == 4
    # The sound begins 43 ms before the first picture, which is shown until the second one.
    colours = [colour for second in seconds for colour in colours_shown(second)]
    assert (set(colours[:60]), set(colours[62:])) == ({0}, {1})
    assert is_loud(seconds[3].audio, 0.1, 0.8)


def test_an_undecodable_sound_track_is_absent_with_a_warning(tmp_path: Path) -> None:
    """The picture is decoded although the codec of the sound is unknown."""
    path = write_pictures(tmp_path / "clip.mp4", steady(2), sound=[(0, tone(2))])
    make_unknown(path, b"mp4a", b"esds")
    seconds, summary = decode(path)
    assert summary.seconds == 2
    assert (summary.has_audio, summary.has_visual) == (False, True)
    assert summary.warnings == ("the sound track cannot be decoded: treated as absent",)
    assert [second.audio for second in seconds] == [None, None]


def test_an_undecodable_picture_is_absent_and_the_sound_remains(tmp_path: Path) -> None:
    """The sound then determines the seconds."""
    path = write_pictures(tmp_path / "clip.mp4", steady(3), sound=[(0, tone(2))])
    make_unknown(path, b"avc1")
    seconds, summary = decode(path)
    assert summary.seconds == 2
    assert (summary.has_audio, summary.has_visual) == (True, False)
    assert is_loud(seconds[0].audio, 0.1, 0.9)


def test_damage_in_the_middle_affects_only_the_middle(tmp_path: Path) -> None:
    """With noise over a tenth of the file, all seconds are decoded and the last is unchanged."""
    noise = np.random.default_rng(0)
    pictures = [(40 * n, noise.integers(0, 256, (80, 96, 3), dtype=np.uint8)) for n in range(150)]
    path = write_pictures(tmp_path / "clip.mp4", pictures, crf=30)
    whole, _ = decode(path)
    content = bytearray(path.read_bytes())
    start = len(content) * 4 // 10
    content[start : start + len(content) // 10] = noise.bytes(len(content) // 10)
    path.write_bytes(content)
    seconds, summary = decode(path)
    assert summary.seconds == 6
    assert any("damaged packets skipped in the picture" in warning for warning in summary.warnings)
    assert np.array_equal(seconds[5].frames, whole[5].frames)
    assert not np.array_equal(seconds[2].frames, whole[2].frames)


def test_cover_art_is_not_a_picture(tmp_path: Path) -> None:
    """Music with cover art has only sound."""
    path = write_pictures(tmp_path / "clip.mkv", [(0, plain(0))], sound=[(0, tone(2))])
    with av.open(path) as source, av.open(tmp_path / "song.m4a", "w", format="mp4") as target:
        audio = target.add_stream_from_template(source.streams.audio[0])
        cover = target.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 96, 80, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        target.mux(cover.encode(av.VideoFrame.from_ndarray(plain(0), format="rgb24")))
        for packet in source.demux(audio=0):
            if packet.dts is not None:
                packet.stream = audio
                target.mux(packet)
    seconds, summary = decode(tmp_path / "song.m4a")
    assert (summary.has_audio, summary.has_visual, summary.warnings) == (True, False, ())
    assert len(seconds) == 2


def test_a_file_without_decodable_tracks_fails(tmp_path: Path) -> None:
    """A file fails if the codecs of both tracks are unknown."""
    path = write_pictures(tmp_path / "clip.mp4", steady(1), sound=[(0, tone(1))])
    make_unknown(path, b"avc1", b"mp4a", b"esds")
    with pytest.raises(VideoError, match="neither picture nor sound"):
        decode(path)


def test_a_playlist_opens_no_other_file(tmp_path: Path) -> None:
    """A list of other files with a video's name is refused, and none of them is shown."""
    write_pictures(tmp_path / "other.ts", steady(1))
    path = tmp_path / "list.mp4"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(VideoError, match="not a video"):
        decode(path)


def test_a_segment_of_a_stream_without_index_is_decoded(tmp_path: Path) -> None:
    """Segments of transport streams and bare H.264, which have no index, equal the whole video."""
    path = write_pictures(tmp_path / "clip.ts", steady(4), sound=[(0, tone(4))])
    whole, _ = decode(path)
    segment, summary = decode(path, start_seconds=2.0, end_seconds=3.0)
    assert summary.seconds == 1
    assert np.array_equal(segment[0].frames, whole[2].frames)
    bare = write_pictures(tmp_path / "clip.h264", steady(4))
    assert colours_shown(decode(bare, start_seconds=2.0, end_seconds=3.0)[0][0]) == [2] * 30


def test_a_segment_shorter_than_a_second_ends_as_requested(tmp_path: Path) -> None:
    """The segment from 0.6 to 1.1 s is padded with its last picture and silence, although the file continues."""
    path = write_pictures(tmp_path / "clip.mp4", steady(3), sound=[(0, tone(3))])
    seconds, summary = decode(path, start_seconds=0.6, end_seconds=1.1)
    assert (summary.seconds, summary.duration_seconds) == (1, pytest.approx(0.5))
    assert colours_shown(seconds[0]) == [0] * 12 + [1] * 18
    assert is_loud(seconds[0].audio, 0, 0.49)
    assert not is_loud(seconds[0].audio, 0.51, 1)
