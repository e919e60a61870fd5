"""pipeline/datasets/dataset_folder.py: no file that somebody else wrote is deleted or replaced without a copy."""

from pathlib import Path

import pytest

from pipeline.base.errors import UsageError
from pipeline.base.progress import SilentReporter
from pipeline.base.workspace import Workspace
from pipeline.datasets.dataset_folder import LISTS, PreparedFolder, locked_folder
from pipeline.datasets.prepare import PreparationReport, prepare
from pipeline.datasets.sources.csv_list import find_csv
from pipeline.kept_dataset import FILES, SOURCE_FILE, source_record


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
    target = PreparedFolder(folder, f"avzsl prepare csv {listing}", listing, in_workspace=in_workspace)
    return prepare(find_csv(listing), target, official=None, probe=False, workers=1, reporter=listener)


@pytest.mark.parametrize("name", [*FILES, *LISTS, SOURCE_FILE])
@pytest.mark.parametrize("content", ["[1, 2]", '{"source": "mine"}', "mine"])
def test_a_users_folder_that_holds_one_of_our_names_is_left_alone(
    tmp_path: Path, listing: Path, name: str, content: str
) -> None:
    """Nothing in it is touched, whatever the file holds."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / name).write_text(content)

    with pytest.raises(UsageError, match=rf"mine holds a {name} already, made by somebody else: choose another folder"):
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
    assert {path.name for path in folder.iterdir()} == {*FILES, SOURCE_FILE}
    assert source_record(folder)["lists"] == {}


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
    assert listener.warnings == [f"{folder / name} was there before: it lies in {folder / name}.edited now"]


def test_a_workspaces_files_without_our_record_are_put_beside(tmp_path: Path, listing: Path) -> None:
    """Made by hand, with a source.json that is none of ours."""
    folder, listener = tmp_path / "dataset", Listener()
    folder.mkdir()
    for name in ("manifest.csv", "splits.yaml", SOURCE_FILE):
        (folder / name).write_text("[1, 2]")

    prepared(listing, folder, listener, in_workspace=True)

    aside = {path.name: path.read_text() for path in folder.glob("*.edited*")}
    assert aside == dict.fromkeys(("manifest.csv.edited", "splits.yaml.edited", f"{SOURCE_FILE}.edited"), "[1, 2]")
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
