"""pipeline/diagnostics/probe/probe.py: descriptions of good and broken clips, and the files of their contact sheets."""

from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib import image

from extractors.decoding.interface import VideoSummary
from extractors.decoding.self_test import write_tiny_clip
from extractors.decoding.tracks import MediaDescription, PictureFormat, SoundFormat, Track
from pipeline.base.errors import PipelineError, StorageError, UsageError
from pipeline.base.files import write_json
from pipeline.base.progress import SilentReporter
from pipeline.base.workspace import Workspace
from pipeline.diagnostics.probe.probe import DecodingChoice, Probe, decoding_choice, picture_paths, probe
from pipeline.diagnostics.probe.tracks import format_words, media_warnings, media_words

CHOICE = DecodingChoice("pyav", 44_100)
PICTURE = PictureFormat(
    width=640,
    height=360,
    pixel_aspect=1.0,
    pixel_format="yuv420p",
    bit_depth=8,
    rate_hz=25.0,
    rotation_degrees=0,
    interlaced=False,
)
VIDEO = Track(
    index=0,
    kind="video",
    codec="h264 High",
    decoded=True,
    cover=False,
    language="",
    announced_seconds=5.0,
    start_seconds=0.0,
    seconds=5.0,
    packets=125,
    steps_seconds=(0.04, 0.04),
    steady=True,
    picture=PICTURE,
    sound=None,
)
AUDIO = replace(
    VIDEO, index=1, kind="audio", codec="aac LC", picture=None, sound=SoundFormat(44_100, 2, "stereo", None)
)
SUMMARY = VideoSummary(seconds=5, duration_seconds=5.0, has_audio=True, has_visual=True, warnings=())


def probed(path: Path, picture: Path) -> Probe:
    """Probe a clip with the default choice."""
    return probe(path, picture, CHOICE, SilentReporter())


def test_a_good_clip_is_described_and_drawn(tmp_path: Path) -> None:
    """The result has tracks, seconds and no warnings; the contact sheet shows both seconds."""
    write_tiny_clip(tmp_path / "clip.mp4")
    result = probed(tmp_path / "clip.mp4", tmp_path / "new" / "clip.png")
    assert [track.kind for track in result.media.tracks] == ["video", "audio"]
    assert (result.summary.seconds, result.reason, result.warnings) == (2, "", ())
    assert result.size_bytes == (tmp_path / "clip.mp4").stat().st_size
    pixels = image.imread(result.picture)[..., :3]
    red, blue = ((abs(pixels - colour) < 0.1).all(axis=-1).sum() for colour in ((1, 0, 0), (0, 0, 1)))
    assert min(red, blue) > 0.8 * 112 * 112
    assert result.to_json()["picture"] == str(result.picture)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"hello", "text file"), (b"", "empty file"), (None, "No such file"), (b"\0\0\0\x18ftypmp42", "cut short")],
)
def test_a_broken_file_has_a_reason_and_no_picture(tmp_path: Path, content: bytes | None, reason: str) -> None:
    """Nothing is raised, so that the next clip can be probed."""
    if content is not None:
        (tmp_path / "clip.mp4").write_bytes(content)
    result = probed(tmp_path / "clip.mp4", tmp_path / "clip.png")
    assert reason in result.reason
    assert (result.summary, result.picture, (tmp_path / "clip.png").exists()) == (None, None, False)


def test_a_picture_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """It is not an error of the clip, so it is raised."""
    write_tiny_clip(tmp_path / "clip.mp4")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"clip\.png"):
        probed(tmp_path / "clip.mp4", tmp_path / "file" / "clip.png")


def test_an_unknown_decoder_is_refused_by_name(tmp_path: Path) -> None:
    """The message lists the available decoders."""
    write_tiny_clip(tmp_path / "clip.mp4")
    with pytest.raises(PipelineError, match="'pyavv' does not exist; choose one of: pyav"):
        probe(tmp_path / "clip.mp4", tmp_path / "a.png", DecodingChoice("pyavv", 24_000), SilentReporter())


def test_the_decoder_and_rate_are_those_of_the_workspace(tmp_path: Path) -> None:
    """An empty workspace gives the default; a decoder asked for by name takes precedence."""
    workspace = Workspace(tmp_path)
    assert decoding_choice(workspace, None) == CHOICE
    write_json(workspace.extractor_file, {"extractor": {"recipe": "selavi"}, "decoder": "decord", "dtype": "float32"})
    assert decoding_choice(workspace, None) == DecodingChoice("decord", 24_000)
    assert decoding_choice(workspace, "pyav") == DecodingChoice("pyav", 24_000)
    workspace.extractor_file.write_text('["damaged"]')
    with pytest.raises(StorageError, match="is damaged"):
        decoding_choice(workspace, None)


def test_pictures_in_the_workspace_are_named_after_the_clips(tmp_path: Path) -> None:
    """Clips with the same name get different pictures; long names are shortened."""
    long = "x" * 250 + ".mp4"
    clips = [Path("a/clip.mp4"), Path("b/clip.mp4"), Path("clip.avi"), Path(long)]
    names = [path.name for path in picture_paths(Workspace(tmp_path), clips, None, force=False)]
    assert names[:3] == ["clip.mp4.png", "clip.mp4-2.png", "clip.avi.png"]
    assert len(names[3]) < 240


def test_the_file_asked_for_is_replaced_only_with_force(tmp_path: Path) -> None:
    """It must be a PNG and for one clip."""
    workspace, clip, out = Workspace(tmp_path), Path("clip.mp4"), tmp_path / "mine.png"
    assert picture_paths(workspace, [clip], out, force=False) == [out]
    out.write_text("precious")
    with pytest.raises(UsageError, match="exists already"):
        picture_paths(workspace, [clip], out, force=False)
    assert picture_paths(workspace, [clip], out, force=True) == [out]
    with pytest.raises(UsageError, match="one file for 2 clips"):
        picture_paths(workspace, [clip, clip], tmp_path / "other.png", force=False)
    with pytest.raises(UsageError, match=r"ends in \.png"):
        picture_paths(workspace, [clip], tmp_path / "clip.mp4", force=True)


def lines(*tracks: Track, summary: VideoSummary = SUMMARY, silent_seconds: int = 2) -> list[str]:
    """List the warnings about tracks."""
    media = MediaDescription("mov,mp4", "QuickTime / MOV", 5.0, tracks)
    return list(media_warnings(media, summary, audio_rate_hz=44_100, silent_seconds=silent_seconds))


def test_an_ordinary_clip_has_no_warnings() -> None:
    """Sound that starts a few frames early, as with AAC, is ordinary too."""
    assert lines(VIDEO, AUDIO) == []
    assert lines(VIDEO, replace(AUDIO, start_seconds=-0.05, seconds=5.1)) == []


@pytest.mark.parametrize(
    ("video", "audio", "warning"),
    [
        ({"steady": False, "steps_seconds": (0.02, 0.1)}, {}, "variable frame rate (20 to 100 ms"),
        ({"picture": replace(PICTURE, rotation_degrees=-90)}, {}, "turned by -90°"),
        ({"picture": replace(PICTURE, rotation_degrees=45)}, {}, "not a quarter turn"),
        ({"picture": replace(PICTURE, pixel_aspect=16 / 11)}, {}, "1.45 times as wide"),
        ({"picture": replace(PICTURE, interlaced=True)}, {}, "interlaced"),
        ({}, {"sound": SoundFormat(8000, 1, "mono", None)}, "nothing above 4 kHz"),
        ({}, {"start_seconds": 2.0, "seconds": 3.0}, "starts 2.00 s after the picture"),
        (
            {"start_seconds": 1.0},
            {"seconds": 6.0},
            "starts 1.00 s before the picture: the first picture is shown",
        ),
        ({"start_seconds": 11.0}, {"seconds": 16.0}, "starts 11.00 s before the picture: that much of it is left out"),
        ({}, {"seconds": 2.0}, "ends 3.00 s before the picture"),
        ({}, {"seconds": 9.0}, "ends 4.00 s after the picture"),
    ],
)
def test_each_oddity_has_its_warning(video: dict[str, object], audio: dict[str, object], warning: str) -> None:
    """There is one warning and no other."""
    found = lines(replace(VIDEO, **video), replace(AUDIO, **audio))
    assert len(found) == 1
    assert warning in found[0]


def test_absent_silent_short_and_additional_tracks_give_warnings() -> None:
    """They are listed after the warnings of decoding."""
    silent = replace(SUMMARY, has_audio=False)
    assert lines(VIDEO, summary=silent) == ["no sound: that modality will be absent"]
    assert lines(AUDIO, summary=replace(SUMMARY, has_visual=False)) == ["no picture: that modality will be absent"]
    assert "2 tracks of sound: number 1 is used" in lines(VIDEO, AUDIO, replace(AUDIO, index=2, decoded=False))
    assert "silent in 3 of 5 s" in lines(VIDEO, AUDIO, silent_seconds=3)[0]
    assert "padded to one" in lines(VIDEO, AUDIO, summary=replace(SUMMARY, duration_seconds=0.4))[0]
    cut = replace(silent, warnings=("cut short: 2 of 5",))
    assert lines(VIDEO, AUDIO, summary=cut) == ["cut short: 2 of 5"]
    cover = replace(VIDEO, decoded=False, cover=True)
    assert "cover picture" in lines(AUDIO, cover, summary=replace(SUMMARY, has_visual=False))[-1]


def test_formats_are_described_in_words() -> None:
    """Usual properties are left out."""
    assert format_words(VIDEO) == "640x360, 25 fps, yuv420p"
    odd = replace(PICTURE, bit_depth=10, pixel_aspect=2.0, rotation_degrees=90, interlaced=True, rate_hz=None)
    assert format_words(replace(VIDEO, picture=odd)) == "640x360, 10 bit, yuv420p, pixels 2:1, turned 90°, interlaced"
    assert format_words(AUDIO) == "44.1 kHz, stereo"
    media = MediaDescription("mov,mp4", "QuickTime / MOV", None, (VIDEO, replace(AUDIO, decoded=False)))
    assert media_words(media) == "QuickTime / MOV · h264 High 640x360, 25 fps, yuv420p"


@pytest.mark.needs_shared
@pytest.mark.parametrize(
    ("name", "seconds", "warning"),
    [
        ("real/Vanilagy-mediabunny__rotate-buck-bunny.mp4", 1, "turned by -90°"),
        ("torture/audio_starts_at_2s.mp4", 5, "starts 1.98 s after"),
        ("torture/truncated60.mkv", 5, "cut short: 5.96 s of the announced 10.00 s"),
        ("torture/vfr.mp4", 5, "variable frame rate (40 to 200 ms"),
        ("torture/stereo_antiphase.mp4", 5, "is silent in 4 of 5 s"),
    ],
)
def test_odd_clips_are_drawn_with_their_warning(
    tmp_path: Path, shared: Path, name: str, seconds: int, warning: str
) -> None:
    """The clips are real files."""
    result = probed(shared / "clips" / name, tmp_path / "sheet.png")
    assert result.summary.seconds == seconds
    assert any(warning in line for line in result.warnings)
    assert result.picture.exists()
