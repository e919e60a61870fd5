"""pipeline/datasets/dataset_folder.py: files that avzsl did not write are never deleted or replaced without a copy."""

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


class RecordingReporter(SilentReporter):
    """Records the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, line: str) -> None:
        """Record the line."""
        self.warnings.append(line)


@pytest.fixture
def listing(tmp_path: Path) -> Path:
    """Write a table of four videos, one of which is missing."""
    folder = tmp_path / "videos"
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / f"{name}.mp4").touch()
    (folder / "t.csv").write_text("path,class\na.mp4,dog\nb.mp4,cat\nc.mp4,bee\ngone.mp4,dog\n")
    return folder / "t.csv"


def prepared(listing: Path, folder: Path, reporter: SilentReporter, *, in_workspace: bool) -> PreparationReport:
    """Prepare the table into a folder."""
    target = DatasetFolder(folder, f"avzsl prepare csv {listing}", listing, in_workspace=in_workspace)
    return prepare(find_csv(listing), target, official=None, probe=False, workers=1, reporter=reporter)


@pytest.mark.parametrize("name", [*FILES, *LISTS, RECORD])
@pytest.mark.parametrize("content", ["[1, 2]", '{"source": "mine"}', "mine"])
def test_a_users_folder_with_a_file_of_our_names_is_refused(
    tmp_path: Path, listing: Path, name: str, content: str
) -> None:
    """Nothing in the folder changes, whatever the file contains."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / name).write_text(content)

    with pytest.raises(UsageError, match=rf"mine holds a {name} already, made by another program or by hand: choose"):
        prepared(listing, tmp_path / "mine", SilentReporter(), in_workspace=False)

    assert [(path.name, path.read_text()) for path in (tmp_path / "mine").iterdir()] == [(name, content)]


@pytest.mark.parametrize("in_workspace", [True, False])
def test_an_outdated_missing_csv_is_deleted(tmp_path: Path, listing: Path, in_workspace: bool) -> None:
    """The list was written by avzsl, so there is no warning and no copy."""
    folder, reporter = tmp_path / "out", RecordingReporter()
    for _ in range(2):
        report = prepared(listing, folder, reporter, in_workspace=in_workspace)
        assert report.missing_file == folder / "missing.csv"
    (listing.parent / "gone.mp4").touch()

    assert prepared(listing, folder, reporter, in_workspace=in_workspace).missing_file is None

    assert not reporter.warnings
    assert {path.name for path in folder.iterdir()} == {*FILES, RECORD}
    assert dataset_record(folder)["lists"] == {}


def test_what_a_killed_run_wrote_is_not_taken_for_the_users(tmp_path: Path, listing: Path) -> None:
    """The record is written last. The same command then finds its own files without one, and has nothing to save."""
    folder, reporter = tmp_path / "dataset", RecordingReporter()
    prepared(listing, folder, reporter, in_workspace=True)
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / RECORD).unlink()

    prepared(listing, folder, reporter, in_workspace=True)

    assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole
    assert reporter.warnings == []


@pytest.mark.parametrize("in_workspace", [True, False])
@pytest.mark.parametrize("name", LISTS)
def test_a_list_that_the_user_wrote_or_edited_is_backed_up(
    tmp_path: Path, listing: Path, name: str, in_workspace: bool
) -> None:
    """The user may edit missing.csv or write an unmatched.csv after the folder was prepared."""
    folder, reporter = tmp_path / "out", RecordingReporter()
    prepared(listing, folder, reporter, in_workspace=in_workspace)
    (folder / name).write_text("my own notes\n")

    prepared(listing, folder, reporter, in_workspace=in_workspace)

    assert (folder / f"{name}.edited").read_text() == "my own notes\n"
    assert reporter.warnings == [f"{folder / name} already existed; saved as {folder / name}.edited"]


def test_files_in_a_workspace_without_our_record_are_backed_up(tmp_path: Path, listing: Path) -> None:
    """They were made by hand, with a source.json that avzsl did not write."""
    folder, reporter = tmp_path / "dataset", RecordingReporter()
    folder.mkdir()
    for name in ("manifest.csv", "splits.yaml", RECORD):
        (folder / name).write_text("[1, 2]")

    prepared(listing, folder, reporter, in_workspace=True)

    backups = {path.name: path.read_text() for path in folder.glob("*.edited*")}
    assert backups == dict.fromkeys(("manifest.csv.edited", "splits.yaml.edited", f"{RECORD}.edited"), "[1, 2]")
    assert len(reporter.warnings) == 3


def test_new_splits_that_do_not_fit_are_backed_up(tmp_path: Path, listing: Path) -> None:
    """The first `avzsl prepare` wrote none because two classes are too few; then the user wrote some by hand."""
    listing.write_text("path,class\na.mp4,dog\nb.mp4,cat\n")
    folder, reporter = tmp_path / "out", RecordingReporter()
    report = prepared(listing, folder, reporter, in_workspace=False)
    (folder / "splits.yaml").write_text("train: [x.mp4]\n")

    prepared(listing, folder, reporter, in_workspace=False)

    assert "--unseen" not in report.splits_from  # an option that prepare does not have
    assert (folder / "splits.yaml.edited").read_text() == "train: [x.mp4]\n"
    assert len(reporter.warnings) == 1


def test_a_file_instead_of_a_folder_is_refused(tmp_path: Path) -> None:
    """The message names the option and the file."""
    (tmp_path / "afile").touch()

    with (
        pytest.raises(UsageError, match=r"--to .*afile is a file: give a folder to write into"),
        locked_folder(Workspace(tmp_path / "work"), tmp_path / "afile", "test", tmp_path),
    ):
        pass


def source(folder: Path, *files: str) -> Path:
    """Create a folder of empty videos."""
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    return folder


def keep(given: Path, folder: Path, reporter: SilentReporter | None = None) -> None:
    """Write the dataset of a source into the folder of the workspace."""
    dataset = read_source(given)
    DatasetFolder(folder, origin=str(dataset.source)).keep(dataset, reporter or SilentReporter())


def test_a_kept_dataset_equals_its_source(tmp_path: Path) -> None:
    """manifest.csv and classes.csv contain every video and phrase."""
    given = source(tmp_path / "videos", "dog_barking/a.mp4", "yoga/b.mp4")
    keep(given, tmp_path / "dataset")

    kept = load_dataset(tmp_path / "dataset")

    assert [video.key for video in kept.videos] == ["dog_barking/a.mp4", "yoga/b.mp4"]
    assert kept.phrases == {"dog_barking": ("dog barking",), "yoga": ("yoga",)}
    assert all(video.path.exists() for video in kept.videos)


def test_phrases_edited_in_the_workspace_stay(tmp_path: Path) -> None:
    """A second extraction of the same source does not overwrite them."""
    given, folder = source(tmp_path / "videos", "dog/a.mp4", "yoga/b.mp4"), tmp_path / "dataset"
    keep(given, folder)
    (folder / "classes.csv").write_text("class,phrase\ndog,a dog barking\nyoga,yoga\n")

    keep(source(given, "cat/c.mp4"), folder)

    assert read_phrases(folder / "classes.csv") == {"cat": ("cat",), "dog": ("a dog barking",), "yoga": ("yoga",)}


def test_the_dataset_of_another_source_is_moved_as_a_whole(tmp_path: Path) -> None:
    """Splits made by hand for the first source still exist, and a warning gives their path."""
    folder, reporter = tmp_path / "dataset", RecordingReporter()
    keep(source(tmp_path / "first", "dog/a.mp4"), folder)
    (folder / "splits.yaml").write_text("train: [dog/a.mp4]\n")

    keep(source(tmp_path / "second", "cat/a.mp4"), folder, reporter)

    (moved,) = tmp_path.glob("dataset-*")
    assert (moved / "splits.yaml").read_text() == "train: [dog/a.mp4]\n"
    assert not (folder / "splits.yaml").exists()
    assert str(moved) in reporter.warnings[0]


def test_splits_follow_their_source(tmp_path: Path) -> None:
    """Splits next to the class folders are copied, and deleted after the source deleted them."""
    given, folder = source(tmp_path / "videos", "dog/a.mp4"), tmp_path / "dataset"
    (given / "splits.yaml").write_text("train: [dog/a.mp4]\n")
    keep(given, folder)
    assert (folder / "splits.yaml").read_text() == "train: [dog/a.mp4]\n"
    (given / "splits.yaml").unlink()

    keep(given, folder)

    assert not (folder / "splits.yaml").exists()


def test_splits_written_into_the_workspace_stay(tmp_path: Path) -> None:
    """The source never had splits, so the user wrote these."""
    given, folder = source(tmp_path / "videos", "dog/a.mp4"), tmp_path / "dataset"
    keep(given, folder)
    (folder / "splits.yaml").write_text("train: [dog/a.mp4]\n")

    keep(given, folder)

    assert (folder / "splits.yaml").exists()


def test_without_a_source_the_recorded_one_is_read_again(tmp_path: Path) -> None:
    """`avzsl extract` without a source finds videos that were added later."""
    given, folder = source(tmp_path / "videos", "dog/a.mp4"), tmp_path / "dataset"
    keep(given, folder)
    source(given, "dog/b.mp4")

    assert len(named_dataset(None, folder).videos) == 2


def test_the_manifest_in_the_workspace_is_read_if_the_source_is_gone(tmp_path: Path) -> None:
    """Features of videos that were deleted stay usable."""
    given, folder = source(tmp_path / "videos", "dog/a.mp4"), tmp_path / "dataset"
    keep(given, folder)
    given.rename(tmp_path / "elsewhere")

    assert [video.key for video in named_dataset(None, folder).videos] == ["dog/a.mp4"]


def test_a_workspace_without_a_dataset_needs_a_source(tmp_path: Path) -> None:
    """The message names the command to run first."""
    with pytest.raises(MissingStageError, match="run avzsl extract VIDEOS, or avzsl prepare, first"):
        named_dataset(None, tmp_path / "dataset")


def test_an_edit_that_differs_from_the_source_is_backed_up_with_a_warning(tmp_path: Path) -> None:
    """The source is used, but no edit in the workspace is lost."""
    given, folder, reporter = source(tmp_path / "videos", "dog/a.mp4"), tmp_path / "dataset", RecordingReporter()
    (given / "splits.yaml").write_text("train: [dog/a.mp4]\n")
    keep(given, folder)
    (folder / "splits.yaml").write_text("test_unseen: [dog/a.mp4]\n")

    keep(given, folder, reporter)

    assert (folder / "splits.yaml").read_text() == "train: [dog/a.mp4]\n"
    assert (folder / "splits.yaml.edited").read_text() == "test_unseen: [dog/a.mp4]\n"
    assert "splits.yaml was edited by hand" in reporter.warnings[0]


def test_a_changed_source_is_not_an_edit(tmp_path: Path) -> None:
    """New videos and new splits are used without a warning."""
    given, folder, reporter = source(tmp_path / "videos", "dog/a.mp4"), tmp_path / "dataset", RecordingReporter()
    keep(given, folder)
    (given / "splits.yaml").write_text("train: [dog/b.mp4]\n")

    keep(source(given, "dog/b.mp4"), folder, reporter)

    assert reporter.warnings == []
    assert not list(folder.glob("*.edited"))


@pytest.mark.parametrize("record", [None, "[1, 2]"])
def test_files_without_a_record_are_backed_up(tmp_path: Path, record: str | None) -> None:
    """A manifest was made by hand in the workspace, with a source.json that avzsl did not write, or without one."""
    folder, reporter = tmp_path / "dataset", RecordingReporter()
    folder.mkdir()
    (folder / "manifest.csv").write_text("path,class\nmine.mp4,dog\n")
    if record:
        (folder / "source.json").write_text(record)

    keep(source(tmp_path / "videos", "dog/a.mp4"), folder, reporter)

    assert (folder / "manifest.csv.edited").read_text() == "path,class\nmine.mp4,dog\n"
    assert len(reporter.warnings) == 1
