"""pipeline/extraction/extract.py: which videos are extracted (again), and what does not change a feature."""

import csv
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from extractors.selavi.options import SelaviOptions
from pipeline.base.errors import ExtractionStoppedError, PipelineError, StorageError
from pipeline.base.progress import SilentReporter
from pipeline.base.workspace import Workspace
from pipeline.extraction.extract import extract, merge
from pipeline.extraction.merge import ExtractionReport
from pipeline.features.inspection.report import inspect_store
from pipeline.features.parts import PartWriter
from pipeline.features.store import open_store
from pipeline.settings.extraction import ExtractionSettings
from pipeline.status import workspace_status

SAMPLES = Path(__file__).resolve().parents[3] / "sample_videos"
CLIPS = ("red_ball_bouncing/000.mp4", "red_ball_bouncing/001.mp4", "blue_ball_blinking/000.mp4")
SETTINGS = ExtractionSettings(extractor=SelaviOptions(weights="untrained", width=2), workers=1)

Features = dict[str, tuple[np.ndarray, np.ndarray]]


class WarningCollector(SilentReporter):
    """A reporter that collects the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, line: str) -> None:
        """Add the line, unless it warns about untrained weights."""
        if "untrained" not in line:
            self.warnings.append(line)


def run(
    workspace: Workspace, source: Path | None, settings: ExtractionSettings = SETTINGS, **options: object
) -> ExtractionReport:
    """Extract on the CPU."""
    options = {"reporter": SilentReporter(), **options}
    return extract(workspace, source, settings, device=torch.device("cpu"), **options)  # type: ignore[arg-type]  # options of extract


def features_of(features: Path) -> Features:
    """Read the visual and audio features (T, D) of every video in a features.h5."""
    with open_store(features) as store:
        visual, audio = store.features("visual"), store.features("audio")
        store.check(visual, audio)
        ranges = [
            (video.video, slice(offset, offset + video.seconds))
            for video, offset in zip(store.videos(), store.offsets().tolist(), strict=True)
        ]
    return {key: (visual[rows], audio[rows]) for key, rows in ranges}


def assert_same(found: Features, expected: Features) -> None:
    """Check that both have the same videos with the same features, to 1e-5."""
    assert found.keys() == expected.keys()
    for key, pair in expected.items():
        for found_rows, expected_rows in zip(found[key], pair, strict=True):
            np.testing.assert_allclose(found_rows, expected_rows, atol=1e-5, rtol=1e-5, err_msg=key)


def copy_clips(folder: Path, clips: Sequence[str] = CLIPS) -> Path:
    """Copy sample clips into class folders."""
    for clip in clips:
        (folder / clip).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SAMPLES / clip, folder / clip)
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Make a folder of clips and a workspace with their features."""
    folder = tmp_path_factory.mktemp("plain")
    videos = copy_clips(folder / "videos")
    run(Workspace(folder / "work"), videos)
    return videos, folder / "work"


@pytest.fixture
def home(plain: tuple[Path, Path], tmp_path: Path) -> tuple[Path, Workspace, Features]:
    """Copy both for changes; also return the features."""
    videos, work = tmp_path / "videos", tmp_path / "work"
    shutil.copytree(plain[0], videos)
    shutil.copytree(plain[1], work)
    workspace = Workspace(work)
    run(workspace, videos)  # the paths of the videos changed, their content did not
    return videos, workspace, features_of(workspace.current_features())


def parts_of(workspace: Workspace) -> Path:
    """Return the folder of part files."""
    return workspace.current_features().parent / "parts"


def damage(part: Path, *, keep_time: bool) -> None:
    """Flip a bit in the features of a part file."""
    stat, content = part.stat(), bytearray(part.read_bytes())
    with open_store(part) as store:
        content[content.index(store.features("visual").tobytes()) + 1] ^= 1
    part.write_bytes(content)
    if keep_time:
        os.utime(part, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_order_batch_size_and_workers_change_no_feature(plain: tuple[Path, Path], tmp_path: Path) -> None:
    """A manifest lists the clips in reverse order, batches mix videos, and there are several processes."""
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        rows = [(clip, plain[0] / clip, clip.split("/")[0]) for clip in reversed(CLIPS)]
        csv.writer(file).writerows([("video", "path", "class"), *rows])
    settings = replace(SETTINGS, batch_seconds=3, workers=3)

    report = run(Workspace(tmp_path / "work"), tmp_path / "manifest.csv", settings)

    found, expected = features_of(report.features), features_of(Workspace(plain[1]).current_features())
    assert list(found) == list(reversed(CLIPS))
    assert_same(found, expected)


def test_a_stopped_extraction_keeps_finished_videos_and_can_be_continued(
    plain: tuple[Path, Path], tmp_path: Path
) -> None:
    """The second call of `stop` comes before the second clip starts; features.h5 is written only at the end."""
    workspace = Workspace(tmp_path / "work")
    calls: list[bool] = []

    def stop() -> bool:
        calls.append(True)
        return len(calls) > 1

    with pytest.raises(ExtractionStoppedError, match="stopped: 1 of 3 videos are extracted and kept; the same command"):
        run(workspace, plain[0], stop=stop)
    features = next(entry for entry in workspace_status(workspace) if entry.stage == "features")
    assert (features.state, features.detail) == ("partial", "1 of 3 videos")
    assert not list(tmp_path.glob("**/features.h5"))

    report = run(workspace, plain[0])

    assert (report.extracted, report.reused) == (2, 1)
    assert_same(features_of(report.features), features_of(Workspace(plain[1]).current_features()))


def test_a_stopped_extraction_does_not_wait_for_a_long_video(
    plain: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Videos in progress have FINISHING_SECONDS to finish, here none; then they are given up."""
    monkeypatch.setattr("pipeline.extraction.extract_missing.FINISHING_SECONDS", -1.0)
    calls: list[bool] = []

    def stop() -> bool:
        calls.append(True)
        return len(calls) > 1

    with pytest.raises(ExtractionStoppedError, match="stopped: 0 of 3 videos"):
        run(Workspace(tmp_path / "work"), plain[0], replace(SETTINGS, batch_seconds=1), stop=stop)

    assert run(Workspace(tmp_path / "work"), plain[0]).extracted == 3


@pytest.mark.parametrize("keep_time", [False, True], ids=["new time", "old time"])
def test_a_damaged_part_is_found_and_its_videos_are_extracted_again(
    home: tuple[Path, Workspace, Features], keep_time: bool
) -> None:
    """A new time of the file shows the damage at once; with the old time, the next merge finds it."""
    videos, workspace, expected = home
    (part,) = parts_of(workspace).glob("part-*.h5")
    damage(part, keep_time=keep_time)
    if keep_time:
        workspace.current_features().unlink()
    collector = WarningCollector()

    report = run(workspace, videos, reporter=collector)

    assert collector.warnings == [
        (
            f"{part} is damaged: its videos are extracted again. "
            f"The damaged file is saved as {part.stem}.damaged; you may delete it"
        )
    ]
    assert report.extracted == len(CLIPS)
    assert part.with_suffix(".damaged").exists()
    assert_same(features_of(report.features), expected)
    assert run(workspace, videos).did_nothing


def test_only_a_changed_video_is_extracted_again(home: tuple[Path, Workspace, Features]) -> None:
    """Only new content is a change; a new time is not."""
    videos, workspace, expected = home
    for clip in CLIPS:
        os.utime(videos / clip)
    assert run(workspace, videos).did_nothing
    shutil.copy(SAMPLES / "green_star_sliding/000.mp4", videos / CLIPS[1])

    report = run(workspace, videos)

    assert (report.extracted, report.reused) == (1, 2)
    found = features_of(report.features)
    assert not np.allclose(found[CLIPS[1]][0][:1], expected[CLIPS[1]][0][:1])
    assert_same(
        {clip: found[clip] for clip in (CLIPS[0], CLIPS[2])}, {clip: expected[clip] for clip in (CLIPS[0], CLIPS[2])}
    )


def test_another_recipe_has_its_own_features(home: tuple[Path, Workspace, Features]) -> None:
    """The features of the former recipe are neither used nor changed; the former recipe can be used again."""
    videos, workspace, expected = home
    former = workspace.current_features()
    other = replace(SETTINGS, extractor=replace(SETTINGS.extractor, recipe="selavi"))

    report = run(workspace, videos, other)

    assert (report.extracted, report.reused) == (3, 0)
    assert report.features.parent != former.parent
    assert not np.allclose(features_of(report.features)[CLIPS[0]][1], expected[CLIPS[0]][1])
    assert run(workspace, videos).did_nothing  # settings that are not given keep their values
    assert workspace.current_features() == report.features
    assert run(workspace, videos, passed=frozenset({"extractor.recipe"})).did_nothing
    assert workspace.current_features() == former
    assert_same(features_of(former), expected)


def test_a_refused_merge_does_not_change_the_recorded_extractor(home: tuple[Path, Workspace, Features]) -> None:
    """Nothing was extracted with the other recipe, so an extraction without options uses the former one."""
    videos, workspace, _ = home
    other = replace(SETTINGS, extractor=replace(SETTINGS.extractor, recipe="selavi"))
    with pytest.raises(PipelineError, match="3 of 3 videos are not extracted yet"):
        merge(workspace, videos, other, reporter=SilentReporter())
    assert run(workspace, None, ExtractionSettings()).did_nothing


@pytest.mark.parametrize("cut", [False, True], ids=["a bit", "cut"])
def test_a_damaged_features_file_is_merged_again(home: tuple[Path, Workspace, Features], cut: bool) -> None:
    """A changed bit or half a file is found by the next extraction, which merges but extracts nothing."""
    videos, workspace, expected = home
    features = workspace.current_features()
    content = bytearray(features.read_bytes())
    with h5py.File(features) as file:
        offset = file["visual"].id.get_offset()
    content[offset] ^= 1
    features.write_bytes(content[: len(content) // 2] if cut else content)
    later = features.stat().st_mtime + 5  # the stage records when it ended in whole seconds
    os.utime(features, (later, later))
    assert next(entry.state for entry in workspace_status(workspace) if entry.stage == "features") == "damaged"

    report = run(workspace, videos)

    assert (report.extracted, report.merged) == (0, True)
    assert_same(features_of(features), expected)
    assert run(workspace, videos).did_nothing


def test_inspect_says_how_to_get_a_damaged_file_again(home: tuple[Path, Workspace, Features]) -> None:
    """The videos of a part file are extracted again; features.h5 is made from the part files."""
    _, workspace, _ = home
    (part,) = parts_of(workspace).glob("part-*.h5")
    for path, remedy in (
        (part, "run avzsl extract again, which extracts its videos again"),
        (workspace.current_features(), "run avzsl extract again, which makes it from the part files"),
    ):
        path.write_bytes(path.read_bytes()[:40] + bytes(160) + path.read_bytes()[200:])
        with pytest.raises(StorageError, match=remedy):
            inspect_store(path, SilentReporter())


def test_temporary_files_of_killed_processes_are_removed(home: tuple[Path, Workspace, Features]) -> None:
    """This holds in every folder that an extraction writes to; finished files stay."""
    videos, workspace, expected = home
    store = workspace.current_features().parent
    leftovers = [
        folder / ".name.abcd1234.tmp"
        for folder in (workspace.root, workspace.dataset_folder, store.parent, store, store / "parts")
    ]
    for leftover in leftovers:
        leftover.touch()

    report = run(workspace, videos)

    assert not any(leftover.exists() for leftover in leftovers)
    assert report.did_nothing
    assert_same(features_of(report.features), expected)


def test_an_error_during_the_extraction_keeps_finished_videos(
    plain: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The videos before the error are in a part file."""
    workspace, add, calls = Workspace(tmp_path / "work"), PartWriter.add, []

    def failing(writer: PartWriter, *arguments: object) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise PipelineError("an error")
        add(writer, *arguments)  # type: ignore[arg-type]  # unchanged

    monkeypatch.setattr(PartWriter, "add", failing)
    with pytest.raises(PipelineError, match="an error"):
        run(workspace, plain[0])
    monkeypatch.undo()

    assert run(workspace, plain[0]).reused == 1


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_runtime_that_cannot_run_is_refused_before_anything_is_written(tmp_path: Path, precision: str) -> None:
    """OpenVINO refuses half precision; the workspace stays empty, so such a recipe is not recorded."""
    settings = ExtractionSettings(
        extractor=SelaviOptions(weights="untrained", width=2, precision=precision),  # type: ignore[arg-type]
        runtime="openvino",
    )
    with pytest.raises(PipelineError, match="runtime openvino"):
        run(Workspace(tmp_path / "work"), copy_clips(tmp_path / "videos"), settings)
    assert not (tmp_path / "work").exists()
