"""pipeline/datasets/sources: clips listed twice, names that cannot be written, first lines that are not a header."""

import json
from pathlib import Path

import pytest

from pipeline.base.errors import UsageError
from pipeline.datasets.sources.activitynet import find_activitynet
from pipeline.datasets.sources.csv_list import find_csv
from pipeline.datasets.sources.vggsound import find_vggsound

SEGMENT = {"annotations": [{"label": "BMX", "segment": [0, 1]}]}


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Create a folder with two empty files."""
    (tmp_path / "videos/sub").mkdir(parents=True)
    for name in ("v_a.mp4", "sub/x_000004.mp4"):
        (tmp_path / "videos" / name).touch()
    return tmp_path / "videos"


def written(path: Path, text: str) -> Path:
    """Write a file and return its path."""
    path.write_text(text)
    return path


@pytest.mark.parametrize("other", ["./v_a.mp4,cat,,", "sub/../v_a.mp4,cat,0,", "sub//../v_a.mp4,dog,,"])
def test_a_file_listed_twice_with_different_paths_is_refused(tmp_path: Path, videos: Path, other: str) -> None:
    """Two classes for one clip cannot both be right."""
    listing = written(tmp_path / "t.csv", f"path,class,start,end\nv_a.mp4,dog,,\n{other}\n")

    with pytest.raises(UsageError, match=r"line 3: duplicate video: '.*v_a\.mp4.*' is already on line 2"):
        find_csv(listing, videos)


def test_different_segments_of_one_file_are_different_videos(tmp_path: Path, videos: Path) -> None:
    """Only equal segments are refused."""
    listing = written(tmp_path / "t.csv", "path,class,start,end\nv_a.mp4,dog,0,1\n./v_a.mp4,cat,1,2\n")

    assert len(find_csv(listing, videos).videos) == 2


def test_paths_that_are_not_files_are_left_out_with_a_reason(tmp_path: Path, videos: Path) -> None:
    """These are a folder, a missing file and a name that is too long for the file system."""
    long = "n" * 300
    listing = written(tmp_path / "t.csv", f"path,class\nv_a.mp4,dog\n.,dog\n{long}.mp4,dog\nno.mp4,dog\n")

    found = find_csv(listing, videos)

    reasons = {entry.video: entry.reason for entry in found.missing}
    assert [video.key for video in found.videos] == ["v_a.mp4"]
    assert (reasons["."], reasons["no.mp4"]) == ("not a file", "no such file")
    assert "too long" in reasons[f"{long}.mp4"]


def test_an_id_that_appears_twice_in_the_annotations_is_refused(tmp_path: Path, videos: Path) -> None:
    """Python's JSON reader would silently use the last one."""
    entry = json.dumps(SEGMENT)
    listing = written(tmp_path / "a.json", f'{{"database": {{"a": {entry}, "b": {entry}, "a": {entry}}}}}')

    with pytest.raises(UsageError, match=r"a\.json: 'a' appears twice in one object"):
        find_activitynet(videos, listing)


def test_two_ids_that_mean_one_file_are_refused(tmp_path: Path, videos: Path) -> None:
    """v_a.mp4 would be the file of the id a and of the id v_a."""
    listing = written(tmp_path / "a.json", json.dumps({"database": {"a": SEGMENT, "v_a": SEGMENT}}))

    with pytest.raises(UsageError, match=r"duplicate video: the ids a and v_a both mean v_a\.mp4"):
        find_activitynet(videos, listing)


@pytest.mark.parametrize("name", ["\ud800", "d\0g", "dog\x1b[2J", "dog\ncat"])
def test_names_that_cannot_be_written_into_a_table_are_refused(tmp_path: Path, videos: Path, name: str) -> None:
    """The message shows labels and ids of ActivityNet with escapes, so that any terminal can print it."""
    labelled = {"a": {"annotations": [{"label": name, "segment": [0, 1]}]}}
    for database, what in ((labelled, "a: the label of an annotation"), ({name: SEGMENT}, "the id of a video")):
        listing = written(tmp_path / "a.json", json.dumps({"database": database}))
        with pytest.raises(UsageError, match=f"{what} is '.*': remove its control characters") as caught:
            find_activitynet(videos, listing)
        assert str(caught.value).isascii()


def test_nul_in_lists_of_videos_is_refused(tmp_path: Path, videos: Path) -> None:
    """A manifest or classes.csv with a NUL could not be read again."""
    with pytest.raises(UsageError, match=r"line 1: the class is 'd\\x00g'"):
        find_csv(written(tmp_path / "t.csv", "v_a.mp4,d\0g\n"), videos)
    with pytest.raises(UsageError, match="line 1: the path or the video's name contains a NUL"):
        find_csv(written(tmp_path / "t.csv", "v\0_a.mp4,dog\n"), videos)
    with pytest.raises(UsageError, match=r"line 1: the class is 'd\\x00g'"):
        find_vggsound(videos, written(tmp_path / "v.csv", "x,4,d\0g,train\n"))


@pytest.mark.parametrize(
    "text",
    ["x,4.0,dog,train\n", "\n\nid,start,label,split\nx,4,dog,train\n", "   \n x , 4. ,dog,train\n"],
    ids=["a fraction of zero", "names after blank lines", "blanks"],
)
def test_a_clip_of_vggsound_is_found_after_a_header_or_blank_lines(tmp_path: Path, videos: Path, text: str) -> None:
    """A first line is skipped only if it has letters instead of the start time."""
    found = find_vggsound(videos, written(tmp_path / "v.csv", text))

    assert [(video.key, video.class_name) for video in found.videos] == [("x_000004", "dog")]


@pytest.mark.parametrize("start", ["4.5", "-4", "4s", "", "9" * 5000])
def test_a_first_line_with_a_wrong_start_is_not_a_header(tmp_path: Path, videos: Path, start: str) -> None:
    """The line is refused, not skipped."""
    with pytest.raises(UsageError, match=r"line 1: .* is of another format: expected vggsound"):
        find_vggsound(videos, written(tmp_path / "v.csv", f"x,{start},dog,train\nx,4,dog,train\n"))
