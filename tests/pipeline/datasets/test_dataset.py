"""pipeline/datasets/dataset.py: class folders of every shape, and the round trip through a workspace."""

import os
import re
import shutil
from pathlib import Path

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.base.csv_tables import escape_undecodable
from pipeline.base.errors import MissingStageError, StorageError, UsageError
from pipeline.datasets.dataset import Dataset, Video, load_dataset, nested_note, read_source, save_dataset
from pipeline.datasets.media_files import MEDIA_ENDINGS, media_files
from pipeline.datasets.sources.folder import find_folder

ODD_NAMES = [
    "with space.mp4",
    "quotes \"double\" and 'single'.mp4",
    "%03d.mp4",
    "-dash.mp4",
    "new\nline.mp4",
    "carriage\rreturn.mp4",
    "comma, semicolon;.mp4",
    " leading and trailing .mp4",
    "日本語 é 🎬.mp4",
    "e\u0301 decomposed.mp4",
    "back\\slash.mp4",
    "#1-2.mp4",
    "a" * 200 + ".mp4",
    os.fsdecode(b"latin \xe9.mp4"),
]


def add(folder: Path, *names: str) -> Path:
    """Create empty files below a folder."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def round_trip(dataset: Dataset, folder: Path) -> Dataset:
    """Write a dataset into a folder and read it back."""
    save_dataset(dataset, folder)
    return load_dataset(folder)


def test_class_folders_become_classes_and_relative_paths_become_keys(tmp_path: Path) -> None:
    """Equal file names in different folders are different videos, also in deeper folders."""
    add(tmp_path, "yoga/a.mp4", "DogBarking/a.mp4", "DogBarking/deeper/a.mp4")

    dataset = read_source(tmp_path)

    assert [(video.key, video.class_name) for video in dataset.videos] == [
        ("DogBarking/a.mp4", "DogBarking"),
        ("DogBarking/deeper/a.mp4", "DogBarking"),
        ("yoga/a.mp4", "yoga"),
    ]
    assert dataset.phrases == {"DogBarking": ("dog barking",), "yoga": ("yoga",)}
    assert dataset.classes == ("DogBarking", "yoga")
    assert all(video.path == tmp_path / video.key for video in dataset.videos)


def test_media_files_are_recognised_by_their_ending_in_any_case(tmp_path: Path) -> None:
    """Pictures and sounds are media; texts, hidden files and files without an ending are not."""
    add(tmp_path, "c/a.MP4", "c/b.Mkv", "c/c.wav", "c/d.txt", "c/.hidden.mp4", ".hidden/e.mp4", "c/mp4")

    assert [video.key for video in read_source(tmp_path).videos] == ["c/a.MP4", "c/b.Mkv", "c/c.wav"]
    assert all(ending == ending.lower() and ending.startswith(".") for ending in MEDIA_ENDINGS)


def test_files_outside_class_folders_are_named(tmp_path: Path) -> None:
    """They are left out, but the dataset gives their names."""
    add(tmp_path, "c/a.mp4", "loose.mp4")

    assert read_source(tmp_path).loose == ("loose.mp4",)


def test_folders_of_file_managers_are_no_classes(tmp_path: Path) -> None:
    """Deleted videos, previews and what an archive leaves are not in the dataset, whatever the case of the names."""
    add(tmp_path, "c/a.mp4", "d/b.mp4", "#recycle/deleted.mp4", "c/@eaDir/a.mp4/teaser.mp4", "__MACOSX/c/._a.mp4")
    add(tmp_path, "$RECYCLE.BIN/x.mp4", "lost+found/y.mp4", "avzsl-workspace/probes/z.mp4")
    (tmp_path / "lost+found").chmod(0)
    try:
        dataset = read_source(tmp_path)
    finally:
        (tmp_path / "lost+found").chmod(0o755)
    assert [video.key for video in dataset.videos] == ["c/a.mp4", "d/b.mp4"]
    assert dataset.classes == ("c", "d")


@pytest.mark.parametrize(
    "name",
    [
        *("@Recycle", "#snapshot", "System Volume Information", "@Recently-Snapshot", "@Transcode", "~snapshot"),
        *("#archive", "RECYCLED", "RECYCLER", "found.000", "FOUND.001", "Network Trash Folder", "Temporary Items"),
        *("__pycache__", "_gsdata_", ".Trash-1000", "$RECYCLE.BIN", "LOST.DIR"),
    ],
)
def test_what_programs_keep_is_passed_over_and_named(tmp_path: Path, name: str) -> None:
    """It is named if it holds videos; a classes.csv makes it a class."""
    add(tmp_path, "yoga/0.mp4", "yoga/~$0.mp4", f"{name}/old/1.mp4", "@eaDir/0.jpg")
    dataset = read_source(tmp_path)
    assert [video.key for video in dataset.videos] == ["yoga/0.mp4"]
    assert dataset.passed_over == tuple(sorted((name, "~$0.mp4")))
    found = find_folder(tmp_path)
    assert set(found.phrases) | {video.class_name for video in found.videos} == {"yoga"}
    assert name in found.notes[0]
    (tmp_path / "classes.csv").write_text(f"class,phrase\nyoga,yoga\n{name},another\n")
    assert read_source(tmp_path).classes == tuple(sorted((name, "yoga")))


def test_names_that_only_resemble_those_of_programs_are_classes(tmp_path: Path) -> None:
    """A mark counts only at the beginning of a name."""
    names = ("c#", "found.objects", "recycling", "system volume", "tai~chi")
    assert read_source(add(tmp_path, *(f"{name}/1.mp4" for name in names))).classes == names


def test_a_folder_of_nothing_else_names_what_was_passed_over(tmp_path: Path) -> None:
    """Nobody looks in vain for classes such as `#dance`."""
    with pytest.raises(UsageError, match=r"contains no videos: .*passed over, .*#dance, #yoga"):
        read_source(add(tmp_path, "#dance/1.mp4", "#yoga/1.mp4"))


@pytest.mark.skipif(os.name != "posix", reason="names that only POSIX allows")
def test_odd_names_are_read_back_unchanged(tmp_path: Path) -> None:
    """Quotes, line breaks, per-cent signs and bytes that are not UTF-8 give the same file again."""
    dataset = read_source(add(tmp_path / "videos", *(f"some class/{name}" for name in ODD_NAMES)))

    again = round_trip(dataset, tmp_path / "dataset")

    assert len(again.videos) == len(ODD_NAMES)
    assert again.videos == dataset.videos
    assert all(video.path.is_file() and video.key.encode() for video in again.videos)


def test_spaces_around_the_name_of_a_class_folder_are_ignored(tmp_path: Path) -> None:
    """The keys keep the spaces because they are paths."""
    dataset = read_source(add(tmp_path / "videos", " dog/a.mp4", "cat /a.mp4"))

    assert dataset.classes == ("cat", "dog")
    assert {video.key for video in dataset.videos} == {" dog/a.mp4", "cat /a.mp4"}
    assert round_trip(dataset, tmp_path / "dataset").videos == dataset.videos


@pytest.mark.skipif(os.name != "posix", reason="links and fifos of POSIX")
def test_a_link_back_to_a_folder_above_is_left_out(tmp_path: Path) -> None:
    """A loop of links ends, and every real video is found once."""
    add(tmp_path, "a/1.mp4", "a/deep/2.mp4", "b/3.mp4")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "deep" / "self").symlink_to(tmp_path / "a" / "deep")
    (tmp_path / "b" / "broken.mp4").symlink_to("broken.mp4")

    found = [path.relative_to(tmp_path).as_posix() for path in media_files(tmp_path)]

    assert sorted(found) == ["a/1.mp4", "a/deep/2.mp4", "b/3.mp4", "b/broken.mp4"]


@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
def test_a_loop_is_found_from_a_relative_folder_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`avzsl extract .` finds the same videos as with the full path."""
    add(tmp_path, "a/1.mp4")
    (tmp_path / "a" / "up").symlink_to("..")
    monkeypatch.chdir(tmp_path)

    assert [path.as_posix() for path in media_files(Path())] == ["a/1.mp4"]


@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
def test_a_class_folder_that_is_a_link_has_the_linked_videos(tmp_path: Path) -> None:
    """A link that is not a loop is followed, and the linked folder keeps its videos."""
    add(tmp_path / "videos", "dog/1.mp4")
    add(tmp_path / "elsewhere", "2.mp4")
    (tmp_path / "videos" / "animal").symlink_to(tmp_path / "videos" / "dog")
    (tmp_path / "videos" / "cat").symlink_to(tmp_path / "elsewhere")

    assert [video.key for video in read_source(tmp_path / "videos").videos] == [
        "animal/1.mp4",
        "cat/2.mp4",
        "dog/1.mp4",
    ]


@pytest.mark.skipif(os.name != "posix", reason="fifos of POSIX")
def test_a_fifo_is_listed_and_not_opened(tmp_path: Path) -> None:
    """Opening it would block forever; later only this video fails, with a reason."""
    os.mkfifo(add(tmp_path, "c/a.mp4") / "c" / "fifo.mp4")
    (tmp_path / "c" / "folder.mp4").mkdir()

    assert [video.key for video in read_source(tmp_path).videos] == ["c/a.mp4", "c/fifo.mp4"]


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its videos must not be dropped from a dataset silently."""
    add(tmp_path, "a/1.mp4", "b/2.mp4")
    scan = os.scandir

    def guarded(path: str) -> object:
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(StorageError, match=r"/b: permission denied"):
        read_source(tmp_path)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], r"contains no videos: expected videos/<class>/<file>\.mp4"),
        (["c/readme.txt"], "contains no videos"),
        (["1.mp4", "2.mp4"], r"its 2 videos are not in class folders\. Sort them as videos/<class>/<file>"),
    ],
)
def test_a_folder_without_labelled_videos_fails(tmp_path: Path, names: list[str], message: str) -> None:
    """The message explains how to sort the videos."""
    folder = tmp_path / "videos"
    folder.mkdir()

    with pytest.raises(UsageError, match=message):
        read_source(add(folder, *names))


def test_a_missing_source_fails_with_a_suggestion(tmp_path: Path) -> None:
    """A typing error is answered with the nearest existing name."""
    (tmp_path / "videos").mkdir()

    with pytest.raises(UsageError, match=r"vidoes does not exist\. Did you mean .*videos\?"):
        read_source(tmp_path / "vidoes")


def test_a_name_too_long_for_the_system_fails_in_one_line(tmp_path: Path) -> None:
    """A user may paste a text instead of a path."""
    with pytest.raises(StorageError, match="too long"):
        read_source(tmp_path / ("x" * 5000))


@pytest.mark.skipif(os.name != "posix", reason="fifos of POSIX")
def test_a_single_video_or_fifo_is_refused(tmp_path: Path) -> None:
    """It is neither a folder nor a manifest."""
    add(tmp_path, "clip.MP4")
    os.mkfifo(tmp_path / "fifo")

    with pytest.raises(UsageError, match=r"clip\.MP4 is neither a folder <class>/<file> nor a manifest"):
        read_source(tmp_path / "clip.MP4")
    with pytest.raises(UsageError, match="fifo is not a regular file"):
        read_source(tmp_path / "fifo")


def test_an_empty_workspace_holds_no_dataset(tmp_path: Path) -> None:
    """The message names the command that makes one."""
    with pytest.raises(MissingStageError, match=f"^{re.escape(str(tmp_path))} has no dataset yet: run avzsl extract"):
        load_dataset(tmp_path / "dataset")


# Any text that a file can contain, except NUL.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
keys = texts.map(escape_undecodable)  # as every key is
seconds = st.floats(0, 1e6, allow_subnormal=False)


@settings(deadline=None, max_examples=50)
@given(
    rows=st.lists(
        st.tuples(keys, texts, st.sampled_from(["dog", "Tai Chi", "é, \"'"]), seconds, seconds, st.booleans()),
        min_size=1,
        max_size=6,
        unique_by=lambda row: row[0],
    )
)
def test_every_dataset_is_read_back_unchanged(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str, float, float, bool]]
) -> None:
    """Keys, paths, classes and segments come back exactly, with any characters."""
    videos = tuple(
        Video(key, str(Path("/") / name.strip("/")), class_name, start if segment else None, start + length + 1)
        for key, name, class_name, start, length, segment in rows
    )
    phrases = {name: (name.lower(),) for name in sorted({video.class_name for video in videos})}
    dataset = Dataset(Path("anywhere"), videos, phrases)

    again = round_trip(dataset, tmp_path_factory.mktemp("workspace"))

    assert again.videos == dataset.videos
    assert list(again.phrases.items()) == list(phrases.items())


def test_a_file_without_an_ending_is_recognised_by_its_first_bytes(tmp_path: Path) -> None:
    """A clip without an ending is a video; texts, pipes and files with other endings are left out and counted."""
    folder = tmp_path / "dog"
    folder.mkdir()
    with av.open(folder / "clip.mp4", "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width = stream.height = 16
        container.mux(stream.encode(av.VideoFrame(16, 16, "yuv420p")))
        container.mux(stream.encode(None))
    for name in ("bare", "again.F4V", "thing.pkl"):
        shutil.copy(folder / "clip.mp4", folder / name)
    (folder / "README").write_text("ftyp")
    (folder / "notes.txt").write_text("a")
    os.mkfifo(folder / "pipe")

    dataset = read_source(tmp_path)

    assert [video.key for video in dataset.videos] == ["dog/again.F4V", "dog/bare", "dog/clip.mp4"]
    assert dataset.other_files == {"": 2, ".pkl": 1, ".txt": 1}


def test_folders_inside_folders_taken_for_classes_are_said(tmp_path: Path) -> None:
    """The inner folders may be the classes; a class folder with videos of its own leaves no doubt."""
    for name in ("seen/dog/a.mp4", "unseen/cat/b.mp4"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"?")
    dataset = read_source(tmp_path)
    assert dataset.nested
    assert "such as seen/dog/a.mp4: the classes are seen, unseen" in nested_note(dataset)
    (tmp_path / "seen" / "c.mp4").write_bytes(b"?")
    assert not read_source(tmp_path).nested


def test_a_workspace_among_the_videos_is_no_class(tmp_path: Path) -> None:
    """Whatever its name: it may have been copied."""
    for name in ("dog/a.mp4", "copy/dataset/manifest.csv", "copy/stages.json", "copy/models/b.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"?")
    dataset = read_source(tmp_path)
    assert dataset.classes == ("dog",)
    assert dataset.passed_over == ("copy",)
