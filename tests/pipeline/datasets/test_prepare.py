"""pipeline/datasets/prepare.py: files that are written, videos that are left out, and edits that are kept."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from extractors.decoding.self_test import write_tiny_clip
from pipeline.base.csv_tables import read_table
from pipeline.base.errors import UsageError
from pipeline.base.progress import SilentReporter
from pipeline.datasets.dataset import Dataset, load_dataset, named_dataset, read_phrases
from pipeline.datasets.dataset_folder import DatasetFolder
from pipeline.datasets.official.split_lists import read_official_splits
from pipeline.datasets.prepare import PreparationReport, prepare
from pipeline.datasets.prepare_splits import prepare_splits
from pipeline.datasets.sources.folder import find_folder
from pipeline.datasets.sources.found import Found
from pipeline.datasets.splits.amounts import Amounts
from pipeline.datasets.splits.splits import read_splits

CLASSES = ("dog_barking", "yoga", "drumming", "rain")


class RecordingReporter(SilentReporter):
    """Records the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, line: str) -> None:
        """Record the line."""
        self.warnings.append(line)


def videos(folder: Path, classes: tuple[str, ...] = CLASSES) -> Path:
    """Create class folders of four empty files each."""
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(4):
            (folder / name / f"{number}.mp4").touch()
    return folder


def prepared(
    given: Path, folder: Path, *, reporter: SilentReporter | None = None, in_workspace: bool = True, **options: object
) -> PreparationReport:
    """Prepare class folders."""
    target = DatasetFolder(folder, f"avzsl prepare folder {given}", given, in_workspace=in_workspace)
    choices: dict[str, object] = {"official": None, "probe": False, "workers": 1, **options}
    return prepare(find_folder(given), target, reporter=reporter or SilentReporter(), **choices)  # type: ignore[arg-type] -- options by name


def keep(folder: Path, dataset: Dataset, reporter: SilentReporter) -> Dataset:
    """Write the dataset of a source into a folder, as an extraction does."""
    return DatasetFolder(folder, origin=str(dataset.source)).keep(dataset, reporter)


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """Create class folders."""
    return videos(tmp_path / "videos")


@pytest.fixture
def official(tmp_path: Path) -> Callable[[], Path]:
    """Return a function that writes official lists of the videos; rain has another spelling and phrase there."""

    def write() -> Path:
        split = tmp_path / "class-split" / "main_split"
        split.mkdir(parents=True)
        rows = {
            "stage_1_train": [("dog_barking/0", "dog_barking"), ("yoga/0", "yoga"), ("yoga/7", "yoga")],
            "stage_1_val_seen": [("yoga/1", "yoga")],
            "stage_1_val_unseen": [("drumming/0", "drumming")],
            "stage_2_test_seen": [("yoga/2", "yoga")],
            "stage_2_test_unseen": [("rain/0.mp4", "Rain")],
        }
        for stage, lines in rows.items():
            text = "".join(f"{name}{'' if '.' in name else '.mp4'},{label}\n" for name, label in lines)
            (split / f"{stage}.csv").write_text(f"filename,label\n{text}")
        names = ["dog_barking,Dog Barks", "yoga,Yoga", "drumming,Drumming", "Rain,Heavy Rain", "Snow,Snow"]
        (split.parent / "x_w2v_class_names.csv").write_text("original,manual\n" + "\n".join(names))
        return split.parent

    return write


def test_the_three_files_are_written_and_fit_each_other(tmp_path: Path, given: Path) -> None:
    """An empty class is listed, splits are random, and there is no missing.csv because nothing is missing."""
    (given / "silence").mkdir()

    report = prepared(given, tmp_path / "dataset")
    dataset = load_dataset(tmp_path / "dataset")
    splits = read_splits(tmp_path / "dataset/splits.yaml", dataset)

    assert (report.videos, report.classes, report.empty_classes) == (16, 4, ("silence",))
    assert sum(len(keys) for keys in splits.by_name.values()) == 16
    assert {name: count[1] for name, count in report.split_counts.items()} == {
        name: len(keys) for name, keys in splits.by_name.items()
    }
    assert dataset.phrases["dog_barking"] == ("dog barking",)
    assert dataset.without_videos == {"silence": ("silence",)}
    assert not (tmp_path / "dataset/missing.csv").exists()


def test_given_splits_with_a_recording_on_two_sides_are_used_and_named(tmp_path: Path) -> None:
    """The note gives counts and an example; splits that avzsl makes itself have no such recording."""
    given = tmp_path / "videos"
    for name in CLASSES:
        (given / name).mkdir(parents=True)
        for group, clip in ((1, 1), (1, 2), (2, 1), (2, 2)):
            (given / name / f"v_{name}_g0{group}_c0{clip}.avi").touch()
    made = prepared(given, tmp_path / "made")
    keys = [f"yoga/v_yoga_g01_c0{clip}.avi" for clip in (1, 2)]
    (given / "splits.yaml").write_text(
        f"train: [{keys[0]}, rain/v_rain_g01_c01.avi]\ntest_seen: [{keys[1]}]\n", encoding="utf-8"
    )

    report = prepared(given, tmp_path / "dataset")

    assert made.notes == ()
    assert report.split_counts["test_seen"] == (1, 1)
    (note,) = report.notes
    assert "1 of 2 recordings have videos on two sides of the splits" in note
    assert "(0 in train and in val, 1 in test and in one of these)" in note
    assert f"{keys[0]} in train and {keys[1]} in test" in note


def test_a_dataset_too_small_for_splits_is_prepared_without_them(tmp_path: Path) -> None:
    """The report gives the reason."""
    report = prepared(videos(tmp_path / "videos", ("dog", "yoga")), tmp_path / "dataset")

    assert report.split_counts == {}
    assert report.splits_from.startswith("none: 2 classes, and at least 3 are needed")
    assert not (tmp_path / "dataset/splits.yaml").exists()


def test_official_splits_name_classes_and_phrases(tmp_path: Path, given: Path, official: Callable[[], Path]) -> None:
    """Classes without videos are listed too; names without a match are listed in a file."""
    lists = read_official_splits(official())

    report = prepared(given, tmp_path / "dataset", official=lists)
    dataset = load_dataset(tmp_path / "dataset")

    assert dict(dataset.phrases)["Rain"] == ("Heavy Rain",)
    assert dataset.without_videos == {"Snow": ("Snow",)}
    assert read_splits(tmp_path / "dataset/splits.yaml", dataset).test_unseen == ("rain/0.mp4",)
    rows = read_table(tmp_path / "dataset/unmatched.csv")
    assert rows[0] == {"kind": "video", "name": "yoga/7.mp4", "side": "listed", "reason": "listed in train, not here"}
    assert len(rows) == len(report.unmatched) == 1 + 10
    prepared(given, tmp_path / "dataset")
    assert not (tmp_path / "dataset/unmatched.csv").exists()


def test_splits_of_another_dataset_change_nothing(tmp_path: Path, given: Path, official: Callable[[], Path]) -> None:
    """The dataset that was prepared before still exists."""
    prepared(given, tmp_path / "dataset")
    other = videos(tmp_path / "other", ("a", "b", "c"))

    with pytest.raises(UsageError, match="lists no video of this dataset"):
        prepared(other, tmp_path / "dataset", official=read_official_splits(official()))

    assert len(load_dataset(tmp_path / "dataset").videos) == 16


def test_another_dataset_is_moved_in_a_workspace_and_refused_in_a_users_folder(tmp_path: Path, given: Path) -> None:
    """In a workspace, the former dataset is moved as a whole."""
    other, reporter = videos(tmp_path / "other", ("a", "b", "c")), RecordingReporter()
    for folder in ("work/dataset", "out"):
        prepared(given, tmp_path / folder, in_workspace=folder != "out")

    prepared(other, tmp_path / "work/dataset", reporter=reporter)
    with pytest.raises(UsageError, match=r"out holds a manifest\.csv already, made by avzsl prepare folder .*/videos"):
        prepared(other, tmp_path / "out", in_workspace=False)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/classes.csv").write_text("class\n")
    with pytest.raises(UsageError, match=r"mine holds a classes\.csv already, made by another program or by hand"):
        prepared(other, tmp_path / "mine", in_workspace=False)

    assert len(load_dataset(next((tmp_path / "work").glob("dataset-*"))).videos) == 16
    assert len(load_dataset(tmp_path / "work/dataset").videos) == 12
    assert len(reporter.warnings) == 1


def test_edited_phrases_and_splits_are_kept_when_preparing_again(tmp_path: Path, given: Path) -> None:
    """They stay as long as they fit the dataset, without a warning."""
    folder, reporter = tmp_path / "dataset", RecordingReporter()
    prepared(given, folder)
    phrases = read_phrases(folder / "classes.csv") | {"yoga": ("people doing yoga",)}
    (folder / "classes.csv").write_text("class,phrase\n" + "".join(f"{n},{p}\n" for n, (p,) in phrases.items()))
    (folder / "splits.yaml").write_text("train: [yoga/0.mp4, rain/0.mp4]\ntest_unseen: [drumming/0.mp4]\n")

    for _ in range(3):
        report = prepared(given, folder, reporter=reporter)
        (given / "yoga/9.mp4").touch()

    assert read_phrases(folder / "classes.csv")["yoga"] == ("people doing yoga",)
    assert report.splits_from == "as made here before"
    assert report.split_counts["test_unseen"] == (1, 1)
    assert not reporter.warnings


def test_edited_splits_that_no_longer_fit_are_backed_up(tmp_path: Path, given: Path) -> None:
    """They list a video that no longer exists."""
    folder, reporter = tmp_path / "dataset", RecordingReporter()
    prepared(given, folder)
    (folder / "splits.yaml").write_text("train: [yoga/0.mp4, rain/0.mp4]\n")
    (given / "yoga/0.mp4").unlink()

    prepared(given, folder, reporter=reporter)

    assert (folder / "splits.yaml.edited").read_text() == "train: [yoga/0.mp4, rain/0.mp4]\n"
    assert len(reporter.warnings) == 1


def test_edits_that_differ_from_official_lists_are_backed_up(
    tmp_path: Path, given: Path, official: Callable[[], Path]
) -> None:
    """The official lists are used because the user asked for them."""
    folder, reporter = tmp_path / "dataset", RecordingReporter()
    prepared(given, folder)
    prepare_splits(
        DatasetFolder(folder, "splits"), Amounts(unseen_test=2), seed=3, least_videos=1, reporter=SilentReporter()
    )
    made = (folder / "splits.yaml").read_text()
    assert prepared(given, folder).split_counts["test_unseen"][0] == 2

    prepared(given, folder, official=read_official_splits(official()), reporter=reporter)

    assert (folder / "splits.yaml.edited").read_text() == made
    assert "splits.yaml was edited by hand" in reporter.warnings[0]


def test_extracting_from_the_source_uses_the_prepared_dataset(
    tmp_path: Path, given: Path, official: Callable[[], Path]
) -> None:
    """Its splits and phrases stay; for another source, the prepared dataset is moved."""
    folder, reporter = tmp_path / "work/dataset", RecordingReporter()
    prepared(given, folder, official=read_official_splits(official()))

    for source in (None, given):
        dataset = keep(folder, named_dataset(source, folder), reporter)
        assert dataset.phrases["Rain"] == ("Heavy Rain",)
    assert not reporter.warnings
    keep(folder, named_dataset(videos(tmp_path / "other", ("a", "b")), folder), reporter)

    assert "was avzsl prepare folder" in reporter.warnings[0]
    assert (next((tmp_path / "work").glob("dataset-*")) / "splits.yaml").exists()


def test_splits_made_in_the_workspace_are_not_replaced_by_those_of_the_source(tmp_path: Path, given: Path) -> None:
    """`avzsl prepare splits` was run after `avzsl extract videos/`, and videos/ has splits of its own."""
    (given / "splits.yaml").write_text("train: [yoga/0.mp4, rain/0.mp4]\n")
    folder = tmp_path / "dataset"
    keep(folder, named_dataset(given, folder), SilentReporter())
    prepare_splits(DatasetFolder(folder, "splits"), Amounts(), seed=0, least_videos=1, reporter=SilentReporter())
    made = (folder / "splits.yaml").read_text()

    keep(folder, named_dataset(None, folder), SilentReporter())

    assert (folder / "splits.yaml").read_text() == made
    assert prepared(given, tmp_path / "again").split_counts["train"] == (2, 2)


def test_probing_measures_videos_and_leaves_out_unreadable_ones(tmp_path: Path) -> None:
    """Each unreadable file has a reason; the seconds are those of the readable videos."""
    clip = tmp_path / "videos/dog/good.mp4"
    clip.parent.mkdir(parents=True)
    write_tiny_clip(clip)
    for name in ("a", "b", "c"):
        (tmp_path / "videos" / name).mkdir()
        (tmp_path / "videos" / name / "copy.mp4").write_bytes(clip.read_bytes())
    (tmp_path / "videos/a/page.mp4").write_text("<!doctype html><html></html>")
    if sys.platform != "win32":
        os.mkfifo(tmp_path / "videos/a/pipe.mp4")

    report = prepared(tmp_path / "videos", tmp_path / "dataset", probe=True, workers=2)

    reasons = {entry.video: entry.reason for entry in report.unreadable or ()}
    assert (report.videos, report.soundless, report.pictureless) == (4, 0, 0)
    assert report.seconds == pytest.approx(8, abs=0.5)
    assert "a web page" in reasons["a/page.mp4"]
    assert sys.platform == "win32" or "not a regular file" in reasons["a/pipe.mp4"]
    assert [row["video"] for row in read_table(tmp_path / "dataset/missing.csv")] == list(reasons)
    assert {video.key for video in load_dataset(tmp_path / "dataset").videos}.isdisjoint(reasons)


def test_a_dataset_without_a_readable_file_is_refused(tmp_path: Path) -> None:
    """All files are empty; nothing is written."""
    with pytest.raises(UsageError, match="none of its 16 videos can be read: see avzsl probe"):
        prepared(videos(tmp_path / "videos"), tmp_path / "dataset", probe=True)

    assert not (tmp_path / "dataset").exists()


def test_splits_of_the_source_with_an_unknown_video_are_refused(tmp_path: Path, given: Path) -> None:
    """A video that the source does not list at all is an error, unlike a missing one."""
    found = find_folder(given)
    listing = tmp_path / "splits.yaml"
    listing.write_text("train: [yoga/0.mp4, rain/0.mp4, gone.mp4]\n")
    target = DatasetFolder(tmp_path / "dataset", "test", given, in_workspace=True)
    plain = Found("folder", given, found.videos, splits=listing)

    with pytest.raises(UsageError, match=r"train lists 'gone\.mp4', which is not a video of the dataset"):
        prepare(plain, target, official=None, probe=False, workers=None, reporter=SilentReporter())
