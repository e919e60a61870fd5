"""pipeline/datasets/dataset_folder.py: no file that somebody else wrote is deleted or replaced without a copy."""

from pathlib import Path

import pytest

from pipeline.base.errors import MissingStageError, UsageError
from pipeline.base.progress import SilentReporter
from pipeline.base.workspace import Workspace
from pipeline.datasets.dataset import RECORD, dataset_record, load_dataset, named_dataset, read_phrases, read_source
from pipeline.datasets.dataset_folder import (
    FILES,
    LISTS,
    DatasetFolder,
    locked_folder,
)
from pipeline.datasets.prepare import PreparationReport, prepare
from pipeline.datasets.sources.csv_list import find_csv


class Listener(SilentReporter):
    """Keeps the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, line: str) -> None:
        """Keep the line."""
        self.warnings.append(line)


@pytest.fixture
def listing(tmp_path: Path) -> Path:
    """A table of four videos, of which one is missing."""
    folder = tmp_path / "videos"
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / f"{name}.mp4").touch()
    (folder / "t.csv").write_text("path,class\na.mp4,dog\nb.mp4,cat\nc.mp4,bee\ngone.mp4,dog\n")
    return folder / "t.csv"


def prepared(listing: Path, folder: Path, listener: SilentReporter, *, in_workspace: bool) -> PreparationReport:
    """Prepare the table into a folder."""
    target = DatasetFolder(folder, f"avzsl prepare csv {listing}", listing, in_workspace=in_workspace)
    return prepare(find_csv(listing), target, official=None, probe=False, workers=1, reporter=listener)


@pytest.mark.parametrize("name", [*FILES, *LISTS, RECORD])
@pytest.mark.parametrize("content", ["[1, 2]", '{"source": "mine"}', "mine"])
def test_a_users_folder_that_holds_one_of_our_names_is_left_alone(
    tmp_path: Path, listing: Path, name: str, content: str
) -> None:
    """Nothing in it is touched, whatever the file holds."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / name).write_text(content)

    with pytest.raises(UsageError, match=rf"mine holds a {name} already, made by another program or by hand: choose"):
        prepared(listing, tmp_path / "mine", SilentReporter(), in_workspace=False)

    assert [(path.name, path.read_text()) for path in (tmp_path / "mine").iterdir()] == [(name, content)]


@pytest.mark.parametrize("in_workspace", [True, False])
def test_a_list_of_what_was_left_out_goes_once_nothing_is(tmp_path: Path, listing: Path, in_workspace: bool) -> None:
    """It is ours: nothing is said, and no copy stays."""
    folder, listener = tmp_path / "out", Listener()
    for _ in range(2):
        report = prepared(listing, folder, listener, in_workspace=in_workspace)
        assert report.missing_file == folder / "missing.csv"
    (listing.parent / "gone.mp4").touch()

    assert prepared(listing, folder, listener, in_workspace=in_workspace).missing_file is None

    assert not listener.warnings
    assert {path.name for path in folder.iterdir()} == {*FILES, RECORD}
    assert dataset_record(folder)["lists"] == {}


@pytest.mark.parametrize("in_workspace", [True, False])
@pytest.mark.parametrize("name", LISTS)
def test_a_list_that_we_did_not_write_so_is_put_beside(
    tmp_path: Path, listing: Path, name: str, in_workspace: bool
) -> None:
    """Notes typed into missing.csv, and an unmatched.csv of the user's in a folder that was prepared before."""
    folder, listener = tmp_path / "out", Listener()
    prepared(listing, folder, listener, in_workspace=in_workspace)
    (folder / name).write_text("my own notes\n")

    prepared(listing, folder, listener, in_workspace=in_workspace)

    assert (folder / f"{name}.edited").read_text() == "my own notes\n"
    assert listener.warnings == [f"{folder / name} already existed; saved as {folder / name}.edited"]


def test_a_workspaces_files_without_our_record_are_put_beside(tmp_path: Path, listing: Path) -> None:
    """Made by hand, with a source.json that is none of ours."""
    folder, listener = tmp_path / "dataset", Listener()
    folder.mkdir()
    for name in ("manifest.csv", "splits.yaml", RECORD):
        (folder / name).write_text("[1, 2]")

    prepared(listing, folder, listener, in_workspace=True)

    aside = {path.name: path.read_text() for path in folder.glob("*.edited*")}
    assert aside == dict.fromkeys(("manifest.csv.edited", "splits.yaml.edited", f"{RECORD}.edited"), "[1, 2]")
    assert len(listener.warnings) == 3


def test_splits_that_appeared_since_are_put_beside_where_they_do_not_fit(tmp_path: Path, listing: Path) -> None:
    """The first preparation wrote none, as two classes are too few; then somebody wrote some by hand."""
    listing.write_text("path,class\na.mp4,dog\nb.mp4,cat\n")
    folder, listener = tmp_path / "out", Listener()
    report = prepared(listing, folder, listener, in_workspace=False)
    (folder / "splits.yaml").write_text("train: [x.mp4]\n")

    prepared(listing, folder, listener, in_workspace=False)

    assert "--unseen" not in report.splits_from  # which prepare lacks
    assert (folder / "splits.yaml.edited").read_text() == "train: [x.mp4]\n"
    assert len(listener.warnings) == 1


def test_a_file_is_no_folder_to_write_into(tmp_path: Path) -> None:
    """The option and the file are named."""
    (tmp_path / "afile").touch()

    with (
        pytest.raises(UsageError, match=r"--to .*afile is a file: give a folder to write into"),
        locked_folder(Workspace(tmp_path / "work"), tmp_path / "afile", "test", tmp_path),
    ):
        pass


def source(folder: Path, *files: str) -> Path:
    """A folder of empty videos."""
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    return folder


def keep(given: Path, folder: Path, reporter: SilentReporter | None = None) -> None:
    """Take a source over into the workspace's folder."""
    dataset = read_source(given)
    DatasetFolder(folder, origin=str(dataset.source)).keep(dataset, reporter or SilentReporter())


def test_what_is_kept_reads_as_its_source(tmp_path: Path) -> None:
    """manifest.csv and classes.csv hold every video and phrase."""
    given = source(tmp_path / "videos", "dog_barking/a.mp4", "yoga/b.mp4")
    keep(given, tmp_path / "dataset")

    kept = load_dataset(tmp_path / "dataset")

    assert [video.key for video in kept.videos] == ["dog_barking/a.mp4", "yoga/b.mp4"]
    assert kept.phrases == {"dog_barking": ("dog barking",), "yoga": ("yoga",)}
    assert all(video.path.exists() for video in kept.videos)


def test_phrases_edited_in_the_workspace_stay(tmp_path: Path) -> None:
    """A second extraction of the same source does not undo them."""
    given, folder = source(tmp_path / "videos", "dog/a.mp4", "yoga/b.mp4"), tmp_path / "dataset"
    keep(given, folder)
    (folder / "classes.csv").write_text("class,phrase\ndog,a dog barking\nyoga,yoga\n")

    keep(source(given, "cat/c.mp4"), folder)

    assert read_phrases(folder / "classes.csv") == {"cat": ("cat",), "dog": ("a dog barking",), "yoga": ("yoga",)}


def test_the_dataset_of_another_source_is_set_aside_as_a_whole(tmp_path: Path) -> None:
    """Splits made by hand for the first are still there, and the user is told where."""
    folder, listener = tmp_path / "dataset", Listener()
    keep(source(tmp_path / "first", "dog/a.mp4"), folder)
    (folder / "splits.yaml").write_text("train: [dog/a.mp4]\n")

    keep(source(tmp_path / "second", "cat/a.mp4"), folder, listener)

    (aside,) = tmp_path.glob("dataset-*")
    assert (aside / "splits.yaml").read_text() == "train: [dog/a.mp4]\n"
    assert not (folder / "splits.yaml").exists()
    assert str(aside) in listener.warnings[0]


def test_splits_follow_their_source(tmp_path: Path) -> None:
    """Splits beside the class folders are taken over, and forgotten once they are gone there."""
    given, folder = source(tmp_path / "videos", "dog/a.mp4"), tmp_path / "dataset"
    (given / "splits.yaml").write_text("train: [dog/a.mp4]\n")
    keep(given, folder)
    assert (folder / "splits.yaml").read_text() == "train: [dog/a.mp4]\n"
    (given / "splits.yaml").unlink()

    keep(given, folder)

    assert not (folder / "splits.yaml").exists()


def test_splits_written_into_the_workspace_stay(tmp_path: Path) -> None:
    """The source never had any: these are the user's own."""
    given, folder = source(tmp_path / "videos", "dog/a.mp4"), tmp_path / "dataset"
    keep(given, folder)
    (folder / "splits.yaml").write_text("train: [dog/a.mp4]\n")

    keep(given, folder)

    assert (folder / "splits.yaml").exists()


def test_without_a_source_the_remembered_one_is_read_as_it_is_today(tmp_path: Path) -> None:
    """`avzsl extract` alone finds videos that were added since."""
    given, folder = source(tmp_path / "videos", "dog/a.mp4"), tmp_path / "dataset"
    keep(given, folder)
    source(given, "dog/b.mp4")

    assert len(named_dataset(None, folder).videos) == 2


def test_without_a_source_that_is_gone_the_kept_manifest_counts(tmp_path: Path) -> None:
    """Features of videos that were deleted stay usable."""
    given, folder = source(tmp_path / "videos", "dog/a.mp4"), tmp_path / "dataset"
    keep(given, folder)
    given.rename(tmp_path / "elsewhere")

    assert [video.key for video in named_dataset(None, folder).videos] == ["dog/a.mp4"]


def test_a_fresh_workspace_has_nothing_to_name(tmp_path: Path) -> None:
    """The message says which command comes first."""
    with pytest.raises(MissingStageError, match="run avzsl extract VIDEOS, or avzsl prepare, first"):
        named_dataset(None, tmp_path / "dataset")


def test_an_edit_that_the_source_contradicts_is_kept_aside_and_named(tmp_path: Path) -> None:
    """The source counts, yet nothing that was typed into the workspace is lost."""
    given, folder, listener = source(tmp_path / "videos", "dog/a.mp4"), tmp_path / "dataset", Listener()
    (given / "splits.yaml").write_text("train: [dog/a.mp4]\n")
    keep(given, folder)
    (folder / "splits.yaml").write_text("test_unseen: [dog/a.mp4]\n")

    keep(given, folder, listener)

    assert (folder / "splits.yaml").read_text() == "train: [dog/a.mp4]\n"
    assert (folder / "splits.yaml.edited").read_text() == "test_unseen: [dog/a.mp4]\n"
    assert "splits.yaml was edited by hand" in listener.warnings[0]


def test_a_source_that_changed_is_no_edit(tmp_path: Path) -> None:
    """New videos and new splits are taken over without a word."""
    given, folder, listener = source(tmp_path / "videos", "dog/a.mp4"), tmp_path / "dataset", Listener()
    keep(given, folder)
    (given / "splits.yaml").write_text("train: [dog/b.mp4]\n")

    keep(source(given, "dog/b.mp4"), folder, listener)

    assert listener.warnings == []
    assert not list(folder.glob("*.edited"))


@pytest.mark.parametrize("record", [None, "[1, 2]"])
def test_files_that_nobody_noted_are_kept_aside(tmp_path: Path, record: str | None) -> None:
    """A manifest made by hand in the workspace's folder, with a source.json that is none of ours, or without."""
    folder, listener = tmp_path / "dataset", Listener()
    folder.mkdir()
    (folder / "manifest.csv").write_text("path,class\nmine.mp4,dog\n")
    if record:
        (folder / "source.json").write_text(record)

    keep(source(tmp_path / "videos", "dog/a.mp4"), folder, listener)

    assert (folder / "manifest.csv.edited").read_text() == "path,class\nmine.mp4,dog\n"
    assert len(listener.warnings) == 1
