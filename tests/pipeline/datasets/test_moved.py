"""pipeline/datasets/moved.py: after a move the dataset is the same, with its splits and edits."""

import shutil
from pathlib import Path

import pytest

from pipeline.base.files import write_json
from pipeline.base.progress import SilentReporter
from pipeline.base.workspace import Workspace
from pipeline.datasets.dataset import dataset_record, load_dataset, named_dataset, read_source
from pipeline.datasets.dataset_folder import DatasetFolder
from pipeline.datasets.moved import follow_move
from pipeline.datasets.origin import prepared_origin
from pipeline.datasets.prepare import prepare
from pipeline.datasets.sources.folder import find_folder
from pipeline.features.index import StoredFailure
from pipeline.features.known_files import known_files
from pipeline.features.parts import FeatureParts, source_of

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
        follow_move(workspace.dataset_folder, videos, reporter, known_files=lambda: known_files(workspace))
        if how == "prepared":
            folder = DatasetFolder(workspace.dataset_folder, prepared_origin("folder", videos), videos)
            prepare(find_folder(videos), folder, official=None, probe=False, workers=1, reporter=reporter)
        else:
            dataset = named_dataset(videos, workspace.dataset_folder)
            DatasetFolder(workspace.dataset_folder, str(dataset.source)).keep(dataset, reporter)


def remember(place: Path) -> None:
    """Record the files of all videos in a part file, as an extraction does."""
    workspace = Workspace(place / "ws")
    videos = load_dataset(workspace.dataset_folder).videos
    failures = [StoredFailure(video.key, source_of(video.path), "no decoder") for video in videos]
    parts = FeatureParts(workspace.feature_folder("abc") / "parts")
    parts.write(
        [],
        failures,
        widths=(2, 2),
        dtype="float32",
        attributes={"feature_width": 2, "dtype": "float32"},
    )


def follows(place: Path, source: Path | None) -> bool:
    """Say whether the workspace takes a place for that of its videos."""
    workspace = Workspace(place / "ws")
    return follow_move(workspace.dataset_folder, source, SilentReporter(), known_files=lambda: known_files(workspace))


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


@pytest.mark.parametrize("extracted", [True, False], ids=["extracted", "not extracted"])
def test_another_folder_is_another_dataset_though_the_first_is_gone(place: Path, extracted: bool) -> None:
    """One path in common does not make it the same dataset, nor do all paths among many others."""
    if extracted:
        remember(place)
    shutil.rmtree(place / "videos")
    other = place.with_name("other")
    for name in ("dog", "owl", "fox"):
        for number in range(9):
            (other / name).mkdir(parents=True, exist_ok=True)
            (other / name / f"{number}.mp4").write_bytes(b"another clip")
    assert not follows(place, other)
    for name in CLASSES:
        for number in range(3):
            (other / name).mkdir(exist_ok=True)
            (other / name / f"{number}.mp4").write_bytes(b"another clip")
    assert not follows(place, other)


def test_clips_of_equal_size_and_other_content_are_another_dataset(place: Path) -> None:
    """Files of a raw format, or of one length, may all have one size."""
    remember(place)
    shutil.move(place / "videos", place / "moved")
    for path in (place / "moved").rglob("*.mp4"):
        path.write_bytes(b"y" * path.stat().st_size)
    assert not follows(place, place / "moved")


@pytest.mark.parametrize("extracted", [True, False], ids=["extracted", "not extracted"])
def test_a_clip_that_was_deleted_on_the_way_changes_nothing_if_the_others_are_known(
    place: Path, extracted: bool
) -> None:
    """Without features nothing tells a smaller dataset from another one."""
    if extracted:
        remember(place)
    shutil.move(place / "videos", place / "moved")
    (place / "moved" / "dog" / "0.mp4").unlink()
    assert follows(place, place / "moved") is extracted


def test_a_clip_that_was_never_there_does_not_count(place: Path) -> None:
    """Most clips of an old list may be gone."""
    for path in (place / "videos").rglob("[12].mp4"):
        path.unlink()
    remember(place)
    shutil.move(place / "videos", place / "moved")
    assert follows(place, place / "moved")


@pytest.mark.parametrize("recorded_with_dots", [False, True])
def test_after_a_move_the_next_preparation_knows_its_dataset(place: Path, recorded_with_dots: bool) -> None:
    """The origin has no `..` in it; that of an earlier version counts as the same."""
    if how_of(place) == "extracted":
        pytest.skip("an extraction records the resolved path")
    new, notes = place.with_name("B"), Notes()
    shutil.move(place, new)
    folder = new / "ws" / "dataset"
    assert follow_move(folder, None, notes)
    assert notes.said == [
        f"the videos of {place / 'videos'} are now in {new / 'videos'}: dataset, splits and phrases stay"
    ]
    assert dataset_record(folder)["source"] == f"avzsl prepare folder {new / 'videos'}"
    if recorded_with_dots:
        origin = f"avzsl prepare folder {new}/ws/../videos"
        write_json(folder / "source.json", {**dataset_record(folder), "source": origin})
    (new / "videos" / "dog" / "9.mp4").write_bytes(b"new")
    use(new, how="prepared", reporter=notes)
    assert not any("is now" in line for line in notes.warnings)
    assert load_dataset(folder).phrases["dog"] == ("a hound that barks",)
