"""pipeline/datasets/split_folders.py: folders train, val and test are splits, unless they are classes."""

from pathlib import Path

import pytest

from pipeline.base.errors import UsageError
from pipeline.base.progress import SilentReporter
from pipeline.base.workspace import Workspace
from pipeline.datasets.dataset import read_source
from pipeline.datasets.dataset_folder import DatasetFolder
from pipeline.datasets.prepare import prepare
from pipeline.datasets.sources.folder import find_folder
from pipeline.datasets.split_folders import folders_in_words, said
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
        assert report.splits_from == "the folders Train, valid and test"
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
        ("train/1.mp4", "bus/old/2.mp4"),
        ("latest/dog/1.mp4", "trainer/dog/2.mp4", "contest/dog/2.mp4"),
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


@pytest.mark.parametrize(
    "folders",
    [
        ("train", "dev", "test"),
        ("train_split", "val_split", "test_split"),
        ("train", "eval"),
        ("trainset", "testset"),
        ("training_set", "test_set"),
        ("01_train", "02_test"),
        ("train_256", "val_256"),
        ("train2017", "val2017"),
        ("Training", "VALIDATION", "Testing"),
    ],
)
def test_the_usual_names_of_splits_are_understood(tmp_path: Path, folders: tuple[str, ...]) -> None:
    """The folders are named as they are, with the numbers of their videos."""
    read = read_source(make(tmp_path / "videos", *(f"{name}/{kind}/1.mp4" for name in folders for kind in "ab")))
    assert read.classes == ("a", "b")
    splits = splits_of_folders(read)
    assert splits is not None
    assert set(splits.train) == {f"{folders[0]}/a/1.mp4", f"{folders[0]}/b/1.mp4"}
    assert folders_in_words(read.split_of) == f"the folders {', '.join(folders[:-1])} and {folders[-1]}"
    line = said(read.split_of, splits.test_unseen)
    assert f"(videos: {', '.join(f'{name} 2' for name in folders)})" in line
    has_test = "test" in folders[-1].casefold()
    assert ("test has no class that is not in train" in line) == has_test
    assert ("no folder is for testing" in line) != has_test


def test_folders_of_the_five_splits_are_these_splits(tmp_path: Path) -> None:
    """An unseen class that is trained on is refused, as in splits.yaml."""
    files = ("train/a/1.mp4", "val_seen/a/2.mp4", "val_unseen/b/3.mp4", "test_seen/b/4.mp4", "test_unseen/c/5.mp4")
    folder = make(tmp_path / "videos", *files)
    splits = splits_of_folders(read_source(folder))
    assert splits is not None
    assert splits.by_name == {name.split("/")[0]: (name,) for name in files}
    make(folder, "test_unseen/a/6.mp4")
    with pytest.raises(UsageError, match="class 'a' is in test_unseen and in train"):
        splits_of_folders(read_source(folder))


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        (("train/dog/1.mp4",), "there is no folder to validate or test with"),
        (("val/dog/1.mp4", "test/dog/2.mp4"), "none is for training"),
        (("train/dog/1.mp4", "test/dog/2.mp4", "extra/dog/3.mp4"), "extra is no split"),
        (("train/dog/1.mp4", "bus/2.mp4", "yoga/3.mp4"), "bus, yoga are no splits"),
        (("train/dog/1.mp4", "test/2.mp4"), "the videos in test are in no class folder"),
        (("train/dog/1.mp4", "dev/dog/2.mp4", "eval/dog/3.mp4"), "dev, eval all mean val"),
        (("train/dog/1.mp4", "train_256/dog/2.mp4", "val/dog/3.mp4"), "train, train_256 all mean train"),
        (("train/dog/1.mp4", "test/dog/2.mp4", "test_unseen/cat/3.mp4"), "test, test_unseen all mean test"),
    ],
)
def test_folders_that_are_splits_in_part_are_refused(tmp_path: Path, files: tuple[str, ...], fault: str) -> None:
    """The message says what to give instead, and a classes.csv says that they are classes."""
    folder = make(tmp_path / "videos", *files)
    first = files[0].split("/")[0]
    for read in (read_source, find_folder):
        with pytest.raises(UsageError, match=fault) as error:
            read(folder)
        assert f"Give {folder / first} alone" in str(error.value)
        assert "\n" not in str(error.value)
    names = sorted({name.split("/")[0] for name in files})
    (folder / "classes.csv").write_text("class\n" + "\n".join(names))
    assert read_source(folder).classes == tuple(names)
    assert set(find_folder(folder).phrases) == set(names)


def test_folders_without_videos_do_not_count(tmp_path: Path) -> None:
    """An empty folder val beside train and test is nothing to refuse."""
    folder = make(tmp_path / "videos", "train/dog/1.mp4", "test/dog/2.mp4", "val/readme.txt", "annotations/all.json")
    assert read_source(folder).classes == ("dog",)
