"""Tests of sample_videos/render.py: rendering is repeatable, and the committed files are those it renders."""

import importlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest
import yaml

FOLDER = Path(__file__).parents[1] / "sample_videos"
CLASSES, UNSEEN_CLASSES = 24, 6
MOST_BYTES = 8 * 2**20


@pytest.fixture(scope="module")
def render() -> Iterator[ModuleType]:
    """Import the script with its own folder first on the path, as Python does if it runs the script."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield importlib.import_module("render")


@pytest.fixture(scope="module")
def splits() -> dict[str, list[str]]:
    """Read the committed splits."""
    document: dict[str, list[str]] = yaml.safe_load((FOLDER / "splits.yaml").read_text(encoding="utf-8"))
    return document


def decode(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Decode all frames (F, H, W, 3), as float64 in 0..255, and all sound samples (N,), empty if there is no sound."""
    with av.open(str(path)) as container:
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    with av.open(str(path)) as container:
        tracks = container.streams.audio
        sounds = [frame.to_ndarray()[0] for frame in container.decode(audio=0)] if tracks else []
    return frames.astype(np.float64), np.concatenate(sounds) if sounds else np.zeros(0)


def class_of(video: str) -> str:
    """Return the folder of a video."""
    return video.split("/", maxsplit=1)[0]


def test_rendering_a_clip_twice_gives_the_same_frames_and_samples(render: ModuleType, tmp_path: Path) -> None:
    """The result depends only on the clip's name, not on time, order or threads."""
    clip = render.plan("yellow ball spinning", "003")
    once, twice = (render.write_clip(clip, tmp_path / name) for name in ("once", "twice"))
    for first, second in zip(decode(once), decode(twice), strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("class_name", "stem"),
    [("red ball bouncing", "003"), ("blue heart spinning", "004"), ("green star sliding", "000")],
)
def test_a_committed_clip_equals_the_rendered_clip(
    render: ModuleType, tmp_path: Path, class_name: str, stem: str
) -> None:
    """Pictures and sound agree, except for rounding in other builds of the encoders."""
    clip = render.plan(class_name, stem)
    fresh_frames, fresh_sound = decode(render.write_clip(clip, tmp_path))
    frames, sound = decode(FOLDER / clip.path)
    assert frames.shape == fresh_frames.shape
    assert np.abs(frames - fresh_frames).mean() < 1.0
    assert len(sound) == len(fresh_sound)
    assert np.sqrt(np.mean((sound - fresh_sound) ** 2)) < 0.01


def test_the_committed_files_and_splits_are_those_of_the_script(
    render: ModuleType, splits: dict[str, list[str]]
) -> None:
    """Each clip is in exactly one split, no other clips exist, and splits.yaml is what the script writes."""
    listed = [video for videos in splits.values() for video in videos]
    present = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.mp4")}
    assert Counter(listed) == Counter(present)
    assert (FOLDER / "splits.yaml").read_text(encoding="utf-8") == render.splits_yaml()


def test_no_class_is_both_seen_and_unseen(splits: dict[str, list[str]]) -> None:
    """Stage 1 has no class of val_unseen, stage 2 none of test_unseen; seen splits have only trained classes."""
    classes = {name: {class_of(video) for video in videos} for name, videos in splits.items()}
    assert list(splits) == ["train", "val_seen", "val_unseen", "test_seen", "test_unseen"]
    assert classes["val_seen"] == classes["train"]
    assert classes["test_seen"] == classes["train"] | classes["val_unseen"]
    assert not classes["val_unseen"] & classes["train"]
    assert not classes["test_unseen"] & classes["test_seen"]
    assert len(classes["test_unseen"]) == UNSEEN_CLASSES
    assert len(classes["test_seen"] | classes["test_unseen"]) == CLASSES


def test_every_property_of_an_unseen_class_occurs_in_training(splits: dict[str, list[str]]) -> None:
    """An unseen class is a new composition of colours, shapes and movements from training stage 1."""
    trained = {class_of(video) for video in splits["train"]}
    unseen = {class_of(video) for name in ("val_unseen", "test_unseen") for video in splits[name]}
    for index in range(3):
        assert {name.split("_")[index] for name in unseen} <= {name.split("_")[index] for name in trained}


def test_the_files_are_small_h264_and_aac_of_3_to_5_seconds(splits: dict[str, list[str]]) -> None:
    """All files together have at most 8 MiB, and every readable clip has the stated codecs, size and length."""
    assert sum(path.stat().st_size for path in FOLDER.rglob("*.mp4")) <= MOST_BYTES
    for video in (video for videos in splits.values() for video in videos):
        if video.endswith("_broken.mp4"):
            continue
        with av.open(str(FOLDER / video)) as container:
            picture = container.streams.video[0]
            assert picture.codec_context.name == "h264"
            assert 112 <= min(picture.width, picture.height) <= max(picture.width, picture.height) <= 160
            assert picture.duration is not None
            assert picture.time_base is not None
            assert 3.0 <= float(picture.duration * picture.time_base) <= 5.05
            names = [stream.codec_context.name for stream in container.streams.audio]
            assert names == ([] if video.endswith("_no_sound.mp4") else ["aac"])


def test_one_clip_has_no_sound_and_one_is_broken(splits: dict[str, list[str]]) -> None:
    """Both are training videos with the problem in their names, and the broken one cannot be opened."""
    (silent,) = [video for video in splits["train"] if video.endswith("_no_sound.mp4")]
    (broken,) = [video for video in splits["train"] if video.endswith("_broken.mp4")]
    frames, sound = decode(FOLDER / silent)
    assert len(frames) > 0
    assert len(sound) == 0
    with pytest.raises(av.error.FFmpegError):
        av.open(str(FOLDER / broken))


def test_about_a_seventh_of_the_clips_has_a_flaw(render: ModuleType) -> None:
    """Every flaw of picture and sound occurs; training and unseen classes both have flawed clips."""
    by_split = render.splits()
    clips = [clip for clips_of_split in by_split.values() for clip in clips_of_split]
    flaws = Counter(clip.flaw for clip in clips)
    assert set(flaws) == {None, *render.pictures.FLAWS, *render.SOUND_FLAWS}
    assert 0.1 < 1 - flaws[None] / len(clips) < 0.2
    for name in ("train", "test_unseen"):
        assert any(clip.flaw for clip in by_split[name])


def test_the_sound_has_a_thud_when_the_ball_touches_the_ground(render: ModuleType) -> None:
    """Directly after a bounce the sound is louder than directly before it."""
    clip = render.plan("red ball bouncing", "003")
    sound, rate_hz = render.render_sound(clip), render.sounds.SAMPLE_RATE_HZ
    phase = clip.cycles(np.arange(len(sound)) / rate_hz) % 1.0
    just_after, just_before = sound[phase < 0.05], sound[phase > 0.9]
    assert clip.flaw is None
    assert np.abs(just_after).mean() > 3 * np.abs(just_before).mean()
