"""pipeline/datasets/moved.py: after a move the dataset is the same, with its splits and edits."""

import shutil
from pathlib import Path

import pytest

from pipeline.base.progress import SilentReporter
from pipeline.base.workspace import Workspace
from pipeline.datasets.dataset import dataset_record, load_dataset, named_dataset, read_source
from pipeline.datasets.dataset_folder import DatasetFolder
from pipeline.datasets.moved import follow_move
from pipeline.datasets.prepare import prepare
from pipeline.datasets.sources.folder import find_folder

CLASSES = ("bee", "cat", "dog")


class Notes(SilentReporter):
    """Keeps what is said and what is warned of."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.warnings: list[str] = []

    def say(self, line: str) -> None:
        """Keep a line."""
        self.said.append(line)

    def warn(self, line: str) -> None:
        """Keep a warning."""
        self.warnings.append(line)


@pytest.fixture(params=["extracted", "prepared"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Make a folder with videos and a workspace whose dataset was made from them, with a phrase edited by hand."""
    place = tmp_path / "A"
    for name in CLASSES:
        for number in range(3):
            video = place / "videos" / name / f"{number}.mp4"
            video.parent.mkdir(parents=True, exist_ok=True)
            video.write_bytes(b"x" * (number + 1))
    use(place, how=request.param, reporter=SilentReporter())
    classes = place / "ws" / "dataset" / "classes.csv"
    classes.write_text(classes.read_text().replace("dog,dog", "dog,a hound that barks"))
    return place


def use(place: Path, *, how: str, reporter: SilentReporter) -> None:
    """Do what `avzsl extract` or `avzsl prepare folder` does with the dataset of a workspace."""
    workspace, videos = Workspace(place / "ws"), place / "videos"
    with workspace.locked(how):
        follow_move(workspace.dataset_folder, videos, reporter)
        if how == "prepared":
            origin = f"avzsl prepare folder {videos.absolute()}"
            folder = DatasetFolder(workspace.dataset_folder, origin, videos)
            prepare(find_folder(videos), folder, official=None, probe=False, workers=1, reporter=reporter)
        else:
            dataset = named_dataset(videos, workspace.dataset_folder)
            DatasetFolder(workspace.dataset_folder, str(dataset.source)).keep(dataset, reporter)


def how_of(place: Path) -> str:
    """Return which command made the dataset."""
    record = dataset_record(place / "ws" / "dataset")
    return "prepared" if "prepared_from" in record else "extracted"


@pytest.mark.parametrize("copied", [False, True], ids=["moved", "copied"])
def test_the_same_command_after_a_move_keeps_the_dataset(place: Path, copied: bool) -> None:
    """The edited phrase and the splits stay, nothing is set aside, and the videos are at the new place."""
    before = {path.name: path.read_text() for path in (place / "ws" / "dataset").iterdir()}
    new = place.with_name("B")
    (shutil.copytree if copied else shutil.move)(place, new)
    notes = Notes()
    use(new, how=how_of(new), reporter=notes)
    folder = new / "ws" / "dataset"
    dataset = load_dataset(folder)
    assert {video.path.parent.parent for video in dataset.videos} == {new / "videos"}
    assert dataset.phrases["dog"] == ("a hound that barks",)
    for name in ("splits.yaml", "classes.csv"):
        assert (folder / name).exists() == (name in before)
        assert not (folder / name).exists() or (folder / name).read_text() == before[name]
    assert [path.name for path in (new / "ws").glob("dataset*")] == ["dataset"]
    assert notes.warnings == []
    assert any(line.startswith(f"the videos of {place / 'videos'} are now in ") for line in notes.said)
    notes.said.clear()
    use(new, how=how_of(new), reporter=notes)
    assert not any("are now in" in line for line in notes.said)


def test_without_a_source_the_place_beside_the_workspace_is_found(place: Path) -> None:
    """The record says where the videos are as seen from the workspace."""
    new = place.with_name("B")
    shutil.move(place, new)
    assert follow_move(new / "ws" / "dataset", None, SilentReporter())
    assert all(video.path.is_file() for video in load_dataset(new / "ws" / "dataset").videos)


def test_other_videos_are_another_dataset(place: Path) -> None:
    """A file of another size at the same path is another video; the former dataset is then set aside as ever."""
    other = place.with_name("other")
    shutil.copytree(place / "videos", other)
    (other / "dog" / "0.mp4").write_bytes(b"something else")
    assert not follow_move(place / "ws" / "dataset", other, SilentReporter())
    (other / "dog" / "0.mp4").unlink()
    assert not follow_move(place / "ws" / "dataset", other, SilentReporter())


def test_new_videos_at_the_new_place_join_the_dataset(place: Path) -> None:
    """A dataset that has moved and grown is the same dataset."""
    if how_of(place) == "prepared":
        pytest.skip("a prepared dataset grows with avzsl prepare")
    new = place.with_name("B")
    shutil.move(place, new)
    (new / "videos" / "dog" / "9.mp4").write_bytes(b"new")
    notes = Notes()
    use(new, how="extracted", reporter=notes)
    assert len(load_dataset(new / "ws" / "dataset").videos) == len(read_source(new / "videos").videos) == 10
    assert notes.warnings == []
