"""pipeline/datasets/sources: the videos found in folders, tables and lists, and the inputs that are refused."""

import json
from pathlib import Path

import pytest

from pipeline.base.errors import UsageError
from pipeline.datasets.sources.activitynet import find_activitynet
from pipeline.datasets.sources.csv_list import find_csv
from pipeline.datasets.sources.folder import find_folder
from pipeline.datasets.sources.found import Found
from pipeline.datasets.sources.ucf101 import find_ucf101
from pipeline.datasets.sources.vggsound import find_vggsound


def touch(folder: Path, *names: str) -> Path:
    """Create empty files; the finders do not read them."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def classes_of(found: Found) -> dict[str, str]:
    """Map keys to classes."""
    return {video.key: video.class_name for video in found.videos}


def missing_of(found: Found) -> dict[str, str]:
    """Map keys to reasons."""
    return {entry.video: entry.reason for entry in found.missing}


def test_an_empty_class_folder_is_a_class_without_videos(tmp_path: Path) -> None:
    """The class is listed with its name and phrases."""
    touch(tmp_path, "dog/a.mp4", "cat/notes.txt")

    found = find_folder(tmp_path)

    assert classes_of(found) == {"dog/a.mp4": "dog"}
    assert found.phrases == {"cat": ()}


def test_ucf101_reads_the_class_from_the_file_name_and_its_spelling_from_the_folder(tmp_path: Path) -> None:
    """HandStandPushups in file names becomes HandstandPushups, with class folders and without."""
    names = ("HandstandPushups/v_HandStandPushups_g01_c01.avi", "Archery/v_Archery_g01_c01.avi")
    nested, flat = touch(tmp_path / "nested", *names), touch(tmp_path / "flat", *(Path(name).name for name in names))
    expected = {"v_Archery_g01_c01": "Archery", "v_HandStandPushups_g01_c01": "HandstandPushups"}

    assert classes_of(find_ucf101(nested)) == classes_of(find_ucf101(flat)) == expected
    assert find_ucf101(nested).notes == find_ucf101(flat).notes == ()


def test_ucf101_reports_files_in_the_folder_of_another_class(tmp_path: Path) -> None:
    """The file name gives the class; files with other names are left out and counted."""
    touch(tmp_path, "Archery/v_Archery_g01_c01.avi", "Archery/v_Biking_g01_c01.avi", "a/x.avi", "b/x.avi")

    found = find_ucf101(tmp_path)

    assert classes_of(found)["v_Biking_g01_c01"] == "Biking"
    assert found.notes == (
        "1 file not named v_<Class>_gNN_cNN: left out",
        "1 video in the folder of another class, such as Archery/v_Biking_g01_c01.avi: the file name gives the class",
    )


def test_ucf101_refuses_a_video_that_exists_twice(tmp_path: Path) -> None:
    """The message gives both paths; a sound file with the name of a video does not count."""
    touch(tmp_path, "v_Archery_g01_c01.avi", "v_Archery_g01_c01.wav")
    assert find_ucf101(tmp_path).videos[0].path.suffix == ".avi"
    touch(tmp_path, "again/v_Archery_g01_c01.mp4")

    with pytest.raises(UsageError, match=r"duplicate video: v_Arch.*\.avi and again/v_Arch.*\.mp4 are the same clip"):
        find_ucf101(tmp_path)


def test_ucf101_refuses_a_folder_of_another_dataset(tmp_path: Path) -> None:
    """The message shows an expected name and a name that was found."""
    with pytest.raises(UsageError, match=r"named as UCF101's are: expected v_<Class>_gNN_cNN\.avi, found holiday"):
        find_ucf101(touch(tmp_path, "holiday.mp4"))


def annotations(path: Path, **videos: list[tuple[str, float, float]]) -> Path:
    """Write annotations in the layout of ActivityNet; every video is 30 s long."""
    database = {
        name.replace("minus", "-"): {
            "subset": "training",
            "duration": 30.0,
            "url": "",
            "annotations": [{"label": label, "segment": [start, end]} for label, start, end in segments],
        }
        for name, segments in videos.items()
    }
    path.write_text(json.dumps({"version": "1.3", "database": database}))
    return path


def test_activitynet_makes_a_clip_of_every_segment(tmp_path: Path) -> None:
    """Both forms of file names are found; segments keep their numbers even if others are left out."""
    segments = [("Tai chi", 1.0, 4.0), ("Tai chi", 5, 5), ("Tai chi", 31, 40), ("BMX", 20, 33.5)]
    listing = annotations(tmp_path / "a.json", minus_a=segments, gone=[("Surfing", 0, 1)])
    videos = touch(tmp_path / "videos", "sub/v_-_a.webm", "unlisted.mp4")

    found = find_activitynet(videos, listing)

    cut = {video.key: (video.class_name, video.start_seconds, video.end_seconds) for video in found.videos}
    assert cut == {"-_a_0": ("Tai chi", 1.0, 4.0), "-_a_3": ("BMX", 20.0, 30.0)}
    assert missing_of(found) == {
        "-_a_1": "its segment 5 to 5 s is empty",
        "-_a_2": "it begins at 31 s of a video of 30 s",
        "gone_0": "no file v_gone.mp4 or gone.mp4",
    }
    assert set(found.phrases) == {"Tai chi", "BMX", "Surfing"}
    assert [line.split(" ", 2)[:2] for line in found.notes] == [["1", "segment"]] * 3 + [["1", "file"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b", r"is not JSON: expected ActivityNet's annotations, \{\"database\""),
        ("[]", "another format: expected ActivityNet's .*; found no object"),
        ('{"results": {}}', "another format: .*; found the keys results"),
        ('{"database": {"a": 1}}', "another format"),
        ('{"database": {"a": {"annotations": {}}}}', "a: its annotations are not a list"),
        ('{"database": {"a": {"annotations": [{"label": "x"}]}}}', "a: an annotation is .*label.*: expected"),
        ('{"database": {"a": {"annotations": [{"label": 3, "segment": [0, 1]}]}}}', "has the label 3"),
        (
            '{"database": {"a": {"annotations": [{"label": "x", "segment": [0, "1"]}]}}}',
            "'1' is not a number of seconds",
        ),
        (
            '{"database": {"a": {"annotations": [{"label": "x", "segment": [0, NaN]}]}}}',
            "nan is not a number of seconds",
        ),
        ('{"database": {"a": {"duration": "long"}}}', "duration of a: 'long' is not a number"),
        ('{"database": {"a": {"annotations": [{"label": "x", "segment": [0, 1]}]}}}', "none of its 1 clip is in"),
    ],
)
def test_other_annotations_are_refused_with_the_expected_layout(tmp_path: Path, text: str, message: str) -> None:
    """One line gives the error and the expected layout."""
    (tmp_path / "a.json").write_text(text)

    with pytest.raises(UsageError, match=message):
        find_activitynet(touch(tmp_path / "videos", "b.mp4"), tmp_path / "a.json")


def test_vggsound_finds_files_with_the_usual_names(tmp_path: Path) -> None:
    """Start times may be padded, plain or in milliseconds; a whole video gives a segment of ten seconds."""
    rows = ['-_a,30,"dog, cat",train', "b_0,0,dog,test", "c,110,dog,train", "d,5,dog,train", "gone,1,bee,train"]
    (tmp_path / "vggsound.csv").write_text("\n".join(rows))
    files = ("train/-_a_000030.mp4", "dog/b_0_0.mkv", "c_110000_120000.mp4", "d.webm", "d.wav", "other.mp4")
    videos = touch(tmp_path / "videos", *files)

    found = find_vggsound(videos, tmp_path / "vggsound.csv")

    paths = {video.key: video.path.relative_to(videos).as_posix() for video in found.videos}
    assert paths == dict(zip(("-_a_000030", "b_0_000000", "c_000110", "d_000005"), files, strict=False))
    assert classes_of(found)["-_a_000030"] == "dog, cat"
    cut = [(video.start_seconds, video.end_seconds) for video in found.videos]
    assert cut == [(None, None)] * 3 + [(5.0, 15.0)]
    assert missing_of(found) == {"gone_000001": "no file gone_000001.mp4"}
    assert "bee" in found.phrases
    assert found.notes[1].startswith("1 file in ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lists no clips: expected vggsound.csv: lines id,start"),
        ("a,b,c\n", "line 1: 'a,b,c' is of another format: expected vggsound"),
        ("a,1,dog,train\na,1,dog,train\n", r"line 2: duplicate video: a_000001 is already on line 1"),
        ("a,1,dog,train\na,x,dog,train\n", "line 2: 'a,x,dog,train' is of another format"),
        ("youtube_id,start_seconds,label,split\nz,1,dog,train\n", "none of its 1 clip is in .* such as z_000001"),
    ],
)
def test_a_list_other_than_vggsounds_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """One line gives what was expected; a first line of column names is skipped."""
    (tmp_path / "vggsound.csv").write_text(text)

    with pytest.raises(UsageError, match=message):
        find_vggsound(touch(tmp_path / "videos", "a_1.mp4"), tmp_path / "vggsound.csv")


@pytest.mark.parametrize(
    "text",
    [
        "path,class,start,end\nv/a.mp4,dog,1,2.5\nv/b.mp4,cat,,\n",
        "Label;Start_Seconds;Filename;end_seconds\ndog;1;v/a.mp4;2.5\ncat;;v/b.mp4;\n",
        "video\tcategory\tbegin\tstop\nv/a.mp4\tdog\t1\t2.5\nv/b.mp4\tcat\t\t\n",
        "v/a.mp4,dog,1,2.5\n\nv/b.mp4,cat,,\n",
        "1,2.5,dog,v/a.mp4\n,,cat,v/b.mp4\n",
        "\ufefffile,class,start,end\r\nv/a.mp4,dog,1,2.5\r\nv/b.mp4,cat,,\r\n",
    ],
    ids=["comma", "semicolon", "tab", "no names", "no names, other order", "Windows"],
)
def test_a_table_is_read_with_any_of_the_usual_column_names(tmp_path: Path, text: str) -> None:
    """Six forms of a table give the same videos."""
    touch(tmp_path, "v/a.mp4", "v/b.mp4")
    (tmp_path / "t.csv").write_text(text, newline="")

    found = find_csv(tmp_path / "t.csv")

    rows = [(video.key, video.class_name, video.start_seconds, video.end_seconds) for video in found.videos]
    assert rows == [("v/a.mp4#1-2.5", "dog", 1.0, 2.5), ("v/b.mp4", "cat", None, None)]


def test_the_missing_files_of_a_table_are_listed(tmp_path: Path) -> None:
    """Paths may be relative to another folder; names of videos and phrases next to the table are used."""
    touch(tmp_path / "elsewhere", "a.mp4")
    (tmp_path / "classes.csv").write_text("class,phrase\ndog,a dog barking\n")
    (tmp_path / "t.csv").write_text("video,path,class\nfirst,a.mp4,dog\nsecond,b.mp4,dog\n")

    found = find_csv(tmp_path / "t.csv", tmp_path / "elsewhere")

    assert classes_of(found) == {"first": "dog"}
    assert missing_of(found) == {"second": "no such file"}
    assert found.phrases == {"dog": ("a dog barking",)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lists no videos: expected a column of paths"),
        ("name,colour\na,b\n", "expected a column of paths .* and one of classes .*; its first line is name, colour"),
        ("path,colour\na,b\n", "expected a column of paths .*; its first line has path, colour"),
        ("path,class\na.mp4,dog\na.mp4,cat\n", "line 3: duplicate video: 'a.mp4' is already on line 2"),
        ("path,class\na.mp4,\n", "line 2: the class is empty"),
        ("path,class\n,dog\n", "line 2: the path is empty"),
        ("path,class,start,end\na.mp4,dog,3,2\n", r"line 2: the end \(2 s\) must be after the start \(3 s\)"),
        ("path,class,start\na.mp4,dog,soon\n", "line 2: 'soon' is not a number of seconds from 0"),
        ("path,class,start,end\na.mp4,dog,1_0,2_0\n", "line 2: '1_0' is not a number of seconds from 0"),
        ("path,class,Class\na.mp4,dog,cat\n", "two columns are named 'class'"),
        ("path,class\nb.mp4,dog\n", r"none of its 1 clip is in .*, such as b\.mp4 \(no such file\)"),
        ('path,class\n"a.mp4,dog\n', "is not a CSV file"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """The message gives the line, the error and what was expected."""
    touch(tmp_path, "a.mp4")
    (tmp_path / "t.csv").write_text(text)

    with pytest.raises(UsageError, match=message):
        find_csv(tmp_path / "t.csv")


def test_a_path_of_the_wrong_kind_is_refused(tmp_path: Path) -> None:
    """The message names the command that accepts such a path."""
    touch(tmp_path, "d/a.mp4")
    with pytest.raises(UsageError, match=r"a\.mp4 is a video: give a table"):
        find_csv(tmp_path / "d/a.mp4")
    with pytest.raises(UsageError, match=r"is a folder\. avzsl prepare folder takes a folder"):
        find_csv(tmp_path)
    with pytest.raises(UsageError, match=r"is a file: avzsl prepare csv takes lists"):
        find_folder(tmp_path / "d/a.mp4")
    with pytest.raises(UsageError, match=r"does not exist\. Did you mean"):
        find_ucf101(tmp_path / "dd")
    with pytest.raises(UsageError, match="contains no videos"):
        find_ucf101(touch(tmp_path / "e", "x.txt"))


@pytest.mark.parametrize(
    "table",
    [
        "path,class\nvideos\\a.mp4,dog\nvideos\\b.mp4,cat\n",
        "sep=;\npath;class\nvideos/a.mp4;dog\nvideos/b.mp4;cat\n",
        '"sep=;"\r\npath;class\r\nvideos\\a.mp4;dog\r\nvideos\\b.mp4;cat\r\n',
    ],
    ids=["backslashes", "sep", "both"],
)
def test_tables_from_windows_are_understood(tmp_path: Path, table: str) -> None:
    """Backslashes separate folders, and Excel's first line names the delimiter."""
    touch(tmp_path, "videos/a.mp4", "videos/b.mp4")
    (tmp_path / "t.csv").write_text(table, newline="")
    found = find_csv(tmp_path / "t.csv")
    assert classes_of(found) == {"videos/a.mp4": "dog", "videos/b.mp4": "cat"}
    assert found.missing == ()


def test_a_backslash_in_the_name_of_a_file_stays(tmp_path: Path) -> None:
    """Only Windows forbids it."""
    touch(tmp_path, "a\\b.mp4")
    (tmp_path / "t.csv").write_text("path,class\na\\b.mp4,dog\n")
    assert classes_of(find_csv(tmp_path / "t.csv")) == {"a\\b.mp4": "dog"}


def test_numbers_of_classes_are_refused(tmp_path: Path) -> None:
    """Their names are needed."""
    touch(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "t.csv").write_text("a.mp4,0\nb.mp4,1\n")
    with pytest.raises(UsageError, match="the names of the classes are needed, not their numbers"):
        find_csv(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text("path,label\na.mp4,0\nb.mp4,1\n")
    with pytest.raises(UsageError, match=r"its classes are numbers, such as '0': their names are needed"):
        find_csv(tmp_path / "t.csv")
    (tmp_path / "classes.csv").write_text("class,phrase\n0,a dog\n1,a cat\n")
    assert find_csv(tmp_path / "t.csv").phrases == {"0": ("a dog",), "1": ("a cat",)}


def test_all_clips_that_exist_twice_are_named_at_once(tmp_path: Path) -> None:
    """So one look at the message is enough."""
    touch(tmp_path, *(f"v_Archery_g01_c0{n}.{ending}" for n in (1, 2, 3) for ending in ("avi", "mp4")))
    with pytest.raises(UsageError, match=r"3 duplicate videos: .*c01.*; .*c02.*; .*c03.* are the same clips"):
        find_ucf101(tmp_path)
