"""pipeline/datasets/split_folders.py: folders train, val and test are splits, unless they are classes."""

from pathlib import Path

import pytest

from pipeline.base.progress import SilentReporter
from pipeline.base.workspace import Workspace
from pipeline.datasets.dataset import read_source
from pipeline.datasets.dataset_folder import DatasetFolder
from pipeline.datasets.prepare import prepare
from pipeline.datasets.sources.folder import find_folder
from pipeline.datasets.splits.splits import parse_splits, splits_of_folders


def make(folder: Path, *files: str) -> Path:
    """Write empty files."""
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Make a dataset: bee is only in val, cat only in test."""
    return make(
        tmp_path / "dataset",
        *(f"{split}/{name}/{split}{name}.mp4" for split in ("Train", "valid", "test") for name in ("dog", "ant")),
        "valid/bee/1.mp4",
        "test/bee/2.mp4",
        "test/cat/3.mp4",
    )


def test_classes_are_in_the_folders_and_the_folders_are_splits(dataset: Path) -> None:
    """A class that is not in train is unseen where it is used first."""
    read = read_source(dataset)
    assert read.classes == ("ant", "bee", "cat", "dog")
    splits = splits_of_folders(read)
    assert splits is not None
    assert splits.by_name == {
        "train": ("Train/ant/Trainant.mp4", "Train/dog/Traindog.mp4"),
        "val_seen": ("valid/ant/validant.mp4", "valid/dog/validdog.mp4"),
        "val_unseen": ("valid/bee/1.mp4",),
        "test_seen": ("test/ant/testant.mp4", "test/bee/2.mp4", "test/dog/testdog.mp4"),
        "test_unseen": ("test/cat/3.mp4",),
    }


@pytest.mark.parametrize("how", ["extract", "prepare"])
def test_the_splits_are_written_and_said(dataset: Path, tmp_path: Path, how: str) -> None:
    """A splits.yaml that the user wrote is used instead."""
    workspace = Workspace(tmp_path / "ws")
    if how == "prepare":
        folder = DatasetFolder(workspace.dataset_folder, "avzsl prepare folder", dataset)
        report = prepare(find_folder(dataset), folder, official=None, probe=False, workers=1, reporter=SilentReporter())
        assert report.splits_from == "the folders train, val and test"
        assert report.empty_classes == ()
        assert any("its folders are taken as splits" in note for note in report.notes)
    else:
        read = read_source(dataset)
        DatasetFolder(workspace.dataset_folder, str(read.source)).keep(read, SilentReporter())
    written = workspace.dataset_folder / "splits.yaml"
    assert parse_splits(written).by_name == splits_of_folders(read_source(dataset)).by_name


@pytest.mark.parametrize(
    "files",
    [
        ("train/1.mp4", "bus/2.mp4"),  # a locomotive
        ("train/1.mp4", "test/2.mp4"),  # videos without class folders
        ("train/dog/1.mp4", "bus/dog/2.mp4"),
        ("train/dog/1.mp4",),
        ("val/dog/1.mp4", "test/dog/2.mp4"),
    ],
)
def test_other_folders_are_classes(tmp_path: Path, files: tuple[str, ...]) -> None:
    """A class may be called train."""
    read = read_source(make(tmp_path / "videos", *files))
    assert set(read.classes) == {name.split("/")[0] for name in files}
    assert splits_of_folders(read) is None


def test_names_with_accents_are_the_same_however_a_system_stores_them(tmp_path: Path) -> None:
    """Composed and decomposed forms of a name are one class; the files keep their own paths."""
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    folder = make(tmp_path / "videos", f"{decomposed}/1.mp4", "tea/2.mp4")
    (folder / "classes.csv").write_text(f"class,phrase\n{composed},a coffee house\ntea,tea\n")
    read = read_source(folder)
    assert read.classes == (composed, "tea")
    assert read.phrases[composed] == ("a coffee house",)
    assert all(video.path.exists() for video in read.videos)
    assert read.videos[0].key == f"{composed}/1.mp4"
