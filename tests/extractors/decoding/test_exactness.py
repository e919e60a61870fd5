"""extractors/decoding/pyav/decoder.py: results equal simple references by time stamp, torch and ffmpeg's filters."""

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av.filter import Graph

from extractors.decoding.interface import DecodingRequest, Second, VideoSummary
from extractors.decoding.pyav.decoder import PyAvDecoder
from extractors.decoding.pyav.stream import StreamReader
from extractors.selavi.options import selavi_inputs


def decode(path: Path, *, rate_hz: int = 24_000, **segment: float) -> tuple[list[Second], VideoSummary]:
    """Decode a file and return all its seconds and the summary."""
    seconds = PyAvDecoder().decode(DecodingRequest(path=path, inputs=selavi_inputs(rate_hz), **segment))
    out = []
    while True:
        try:
            out.append(next(seconds))
        except StopIteration as end:
            return out, end.value


def write_pictures(
    path: Path, milliseconds: list[int], *, size: tuple[int, int] = (90, 130), pix_fmt: str = "yuv420p", **options: str
) -> Path:
    """Write a file of noise pictures of `size` (height, width) at the given times."""
    random = np.random.default_rng(0)
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "20", **options})
        stream.width, stream.height, stream.pix_fmt = size[1], size[0], pix_fmt
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for time in milliseconds:
            rgb = np.kron(random.integers(0, 256, (size[0] // 10, size[1] // 10, 3)), np.ones((10, 10, 1)))
            frame = av.VideoFrame.from_ndarray(rgb.astype(np.uint8), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_sound(path: Path, *, layout: str, rate_hz: int, seconds: float, codec: str = "flac") -> Path:
    """Write a file with different noise and tones in every channel, near full scale."""
    channels = av.AudioLayout(layout).nb_channels
    random = np.random.default_rng(0)
    times = np.arange(round(seconds * rate_hz)) / rate_hz
    waves = [np.sin(2 * np.pi * 300 * (n + 1) * times) + random.normal(0, 0.2, times.size) for n in range(channels)]
    samples = (np.clip(0.8 * np.stack(waves), -1, 1) * 32767).astype(np.int16)
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=rate_hz, layout=layout)
        resampler = av.AudioResampler(format=stream.format, layout=layout, rate=rate_hz)
        frame = av.AudioFrame.from_ndarray(samples.T.reshape(1, -1).copy(), format="s16", layout=layout)
        frame.sample_rate, frame.pts = rate_hz, 0
        for ready in (*resampler.resample(frame), None):
            container.mux(stream.encode(ready))
    return path


def mixed_by_ffmpeg(path: Path, rate_hz: int) -> np.ndarray:
    """Mix all of a file's sound to mono with a graph of libavfilter, which uses libswresample."""
    pieces = []
    with av.open(path) as container:
        stream = container.streams.audio[0]
        graph = Graph()
        nodes = (
            graph.add_abuffer(template=stream),
            graph.add("aresample", str(rate_hz)),
            graph.add("aformat", "sample_fmts=s16:channel_layouts=mono"),
            graph.add("abuffersink"),
        )
        graph.link_nodes(*nodes).configure()
        for frame in (*container.decode(stream), None):
            graph.push(frame)
            while True:
                try:
                    pieces.append(graph.pull().to_ndarray()[0])
                except (av.BlockingIOError, av.EOFError):
                    break
    return np.concatenate(pieces)


@pytest.mark.parametrize("size", [(90, 130), (160, 120), (380, 420)])
def test_pictures_equal_a_simple_reference(tmp_path: Path, size: tuple[int, int]) -> None:
    """With irregular stamps, each frame is the last picture that has started, scaled by torch and cropped."""
    times = np.cumsum([0, *np.random.default_rng(1).integers(5, 160, 40)]).tolist()
    path = write_pictures(tmp_path / "clip.mp4", times, size=size)
    with av.open(path) as container:
        shown = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    seconds, _ = decode(path)
    assert len(seconds) >= 2
    for s, second in enumerate(seconds):
        for k in (0, 1, 7, 13, 22, 29):
            rgb = [picture for time, picture in shown if time <= s + k / 30 + 0.001][-1]
            assert np.allclose(second.frames[k], scaled_and_cropped(rgb), rtol=0, atol=1e-4)


def scaled_and_cropped(rgb: np.ndarray) -> np.ndarray:
    """Scale the short side to 112 with torch and crop the centre; values in 0..1."""
    height, width, _ = rgb.shape
    target = (math.floor(height / width * 112), 112) if width < height else (112, math.floor(width / height * 112))
    picture = torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None].float() / 255
    scaled = torch.nn.functional.interpolate(picture, size=target, mode="bilinear", align_corners=False)
    top, left = math.ceil((target[0] - 112) / 2), math.ceil((target[1] - 112) / 2)
    return scaled[0, :, top : top + 112, left : left + 112].numpy()


@pytest.mark.parametrize(
    ("layout", "rate_hz", "wanted_hz"),
    [
        ("mono", 44_100, 44_100),
        ("stereo", 44_100, 44_100),
        ("5.1", 44_100, 44_100),
        ("7.1", 24_000, 24_000),
        ("stereo", 48_000, 24_000),
        ("5.1", 48_000, 44_100),
        ("mono", 8_000, 44_100),
        ("mono", 96_000, 24_000),
    ],
)
def test_mono_sound_equals_ffmpeg_sample_for_sample(tmp_path: Path, layout: str, rate_hz: int, wanted_hz: int) -> None:
    """For all channel layouts and rates, no sample differs from ffmpeg's own filters."""
    path = write_sound(tmp_path / "clip.mkv", layout=layout, rate_hz=rate_hz, seconds=2.5)
    seconds, summary = decode(path, rate_hz=wanted_hz)
    assert summary.seconds == 2
    ours = np.concatenate([second.audio for second in seconds])
    assert np.array_equal(ours, mixed_by_ffmpeg(path, wanted_hz)[: ours.size])


@pytest.mark.needs_shared
@pytest.mark.parametrize(
    "name",
    [
        "v-iashin-SpecVQGAN__VAS_dog_video_02677.mp4",
        "Vanilagy-mediabunny__hevc.ts",
        "rizkiarm-LipNet__bbaf2n.mpg",
        "androidx-media__sample.avi",
    ],
)
def test_mono_sound_of_real_clips_equals_ffmpeg(shared: Path, name: str) -> None:
    """No sample differs in four containers whose sound starts with the picture; one has six channels."""
    path = shared / "clips/real" / name
    ours = np.concatenate([second.audio for second in decode(path, rate_hz=44_100)[0]])
    expected = mixed_by_ffmpeg(path, 44_100)
    common = min(ours.size, expected.size)
    assert common > 44_100
    assert np.array_equal(ours[:common], expected[:common])


@pytest.mark.parametrize("layout", ["stereo", "5.1"])
def test_the_sound_of_a_segment_equals_that_of_the_whole_video(tmp_path: Path, layout: str) -> None:
    """No sample differs in Matroska, although its time stamps are rounded to milliseconds."""
    path = write_sound(tmp_path / "clip.mkv", layout=layout, rate_hz=44_100, seconds=8)
    whole, _ = decode(path, rate_hz=44_100)
    segment, _ = decode(path, rate_hz=44_100, start_seconds=5, end_seconds=7)
    assert all(np.array_equal(a.audio, b.audio) for a, b in zip(whole[5:7], segment, strict=True))


def test_a_segment_of_opus_has_the_same_time_as_in_the_whole_video(tmp_path: Path) -> None:
    """The sound is not a sample early or late, although the first frame is shorter and Matroska rounds."""
    path = write_sound(tmp_path / "clip.mkv", layout="stereo", rate_hz=48_000, seconds=6, codec="libopus")
    whole, _ = decode(path, rate_hz=44_100)
    for start in (1, 2, 3):
        segment, _ = decode(path, rate_hz=44_100, start_seconds=start, end_seconds=start + 1)
        ours, reference = (second.audio.astype(np.float64)[100:-100] for second in (segment[0], whole[start]))
        match = [np.dot(ours, np.roll(reference, lag)) for lag in range(-40, 41)]
        assert int(np.argmax(match)) - 40 == 0


@pytest.mark.parametrize("begins_at", [0, 100_000])
@pytest.mark.parametrize("ending", ["mkv", "flv"])
def test_a_late_first_stamp_is_not_reported_as_cut_short(tmp_path: Path, begins_at: int, ending: str) -> None:
    """Matroska's header gives the end, not the duration; a truncated file still gets its warning."""
    path = write_pictures(tmp_path / f"clip.{ending}", [begins_at + 40 * n for n in range(75)])
    seconds, summary = decode(path)
    assert len(seconds) == 3
    assert summary.warnings == ()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    seconds, summary = decode(path)
    assert len(seconds) < 3
    assert any("cut short" in warning and "announced 3.0" in warning for warning in summary.warnings)


def test_a_segment_in_the_middle_of_a_stream_is_not_reported_as_damaged(tmp_path: Path) -> None:
    """There is no warning, although a seek in an MPEG programme stream ends in the middle of a sound frame."""
    path = write_sound(tmp_path / "clip.mpg", layout="stereo", rate_hz=44_100, seconds=6, codec="mp2")
    for start in (1, 2, 3):
        _, summary = decode(path, start_seconds=start, end_seconds=start + 2)
        assert summary.warnings == ()


def test_a_segment_reads_only_its_own_packets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A segment of 2 s in a video of 60 s reads from the key frame before it to a little after its end."""
    path = write_pictures(tmp_path / "clip.mp4", [40 * n for n in range(1500)], size=(20, 20), g="25")
    read: list[object] = []
    packets = StreamReader._packets

    def counted(reader: StreamReader, stream: object) -> Iterator[object]:
        for packet in packets(reader, stream):
            read.append(packet)
            yield packet

    monkeypatch.setattr(StreamReader, "_packets", counted)
    seconds, _ = decode(path, start_seconds=40, end_seconds=42)
    assert len(seconds) == 2
    assert 50 <= len(read) <= 50 + 2 * 25 + 60  # the segment, two groups of pictures, what the decoder holds back


def test_a_picture_is_shown_until_the_next_one_starts(tmp_path: Path) -> None:
    """At 0.25 pictures per second, each picture fills four seconds."""
    seconds, summary = decode(write_pictures(tmp_path / "clip.mp4", [0, 4000, 8000]))
    assert summary.seconds >= 8
    firsts = [second.frames[0] for second in seconds[:8]]
    assert all(np.array_equal(picture, firsts[0]) for picture in firsts[:4])
    assert all(np.array_equal(picture, firsts[4]) for picture in firsts[4:])
    assert not np.array_equal(firsts[0], firsts[4])


@pytest.mark.parametrize("pix_fmt", ["gray", "yuv444p", "yuv420p10le", "yuvj420p"])
def test_pixel_formats_become_rgb(tmp_path: Path, pix_fmt: str) -> None:
    """Grey, full chroma, ten bits and full range give values in 0..1; the channels are equal only for grey."""
    seconds, _ = decode(write_pictures(tmp_path / "clip.mkv", [40 * n for n in range(30)], pix_fmt=pix_fmt))
    frames = seconds[0].frames
    assert 0 <= frames.min() < 0.3
    assert 0.7 < frames.max() <= 1
    assert np.array_equal(frames[:, 0], frames[:, 2]) == (pix_fmt == "gray")


def test_interlaced_pictures_count_once(tmp_path: Path) -> None:
    """Two fields are one picture, so 50 pictures at 25 per second are two seconds."""
    times = [40 * n for n in range(50)]
    path = write_pictures(tmp_path / "clip.mp4", times, size=(80, 120), flags="+ilme+ildct")
    with av.open(path) as container:
        assert next(container.decode(video=0)).interlaced_frame
    assert decode(path)[1].seconds == 2
