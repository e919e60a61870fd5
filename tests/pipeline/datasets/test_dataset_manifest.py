"""pipeline/datasets/dataset.py: right and wrong manifests and class lists from people and editors."""

from pathlib import Path

import pytest

from pipeline.base.errors import UsageError
from pipeline.datasets.dataset import Video, read_source


def manifest(folder: Path, text: str | bytes, classes: str | None = None) -> Path:
    """Write a manifest.csv and, if given, a classes.csv next to it."""
    folder.mkdir(exist_ok=True)
    path = folder / "manifest.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    if classes is not None:
        (folder / "classes.csv").write_text(classes)
    return path


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"], ids=["plain", "BOM"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
def test_manifests_of_every_editor_are_read(tmp_path: Path, start: bytes, end: bytes) -> None:
    """Byte order marks and line ends do not matter; segments of one file are different videos."""
    lines = [b"path,class,start_seconds,end_seconds", b"a.mp4, dog ,1.5,2", b"a.mp4,dog,3,", b'"b, c.mp4",cat,,', b""]
    path = manifest(tmp_path, start + end.join(lines))

    dataset = read_source(path)

    assert dataset.videos == (
        Video("a.mp4#1.5-2", str(tmp_path / "a.mp4"), "dog", 1.5, 2.0),
        Video("a.mp4#3-", str(tmp_path / "a.mp4"), "dog", 3.0, None),
        Video("b, c.mp4", str(tmp_path / "b, c.mp4"), "cat"),
    )
    assert dataset.classes == ("cat", "dog")


def test_names_of_videos_and_phrases_of_classes_are_read(tmp_path: Path) -> None:
    """The column video gives names, classes.csv gives phrases; an empty phrase is made from the class name."""
    path = manifest(
        tmp_path, "video,path,class\nfirst,a.mp4,c1\nsecond,a.mp4,TaiChi\n", "class,phrase\nc1,a dog barks\nTaiChi,\n"
    )

    dataset = read_source(path)

    assert [video.key for video in dataset.videos] == ["first", "second"]
    assert dataset.phrases == {"TaiChi": ("tai chi",), "c1": ("a dog barks",)}


def test_close_segments_are_different_videos(tmp_path: Path) -> None:
    """Times in the names of videos are not rounded."""
    path = manifest(tmp_path, "path,class,start_seconds\na.mp4,c,1234.567\na.mp4,c,1234.568\n")

    assert [video.key for video in read_source(path).videos] == ["a.mp4#1234.567-", "a.mp4#1234.568-"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column path, class in its first line; it has none"),
        ("path;class\na.mp4;c\n", "no column path, class in its first line; it has path;class"),
        ("path,class\n", "lists no videos"),
        ("path,class\n,c\n", "line 2: the path is empty"),
        ("path,class\na.mp4, \n", "line 2: the class is empty"),
        ("path,class\na.mp4\n", "line 2: the class is empty"),
        ("path,class\na,b.mp4,c\n", r'line 2: more cells than the first line has names \(2\); put .* in "quotes"'),
        ("path,class\na.mp4,c\na.mp4,d\n", "line 3: video 'a.mp4' is already on line 2; give each row its own name"),
        ("video,path,class\nx,a.mp4,c\nx,b.mp4,c\n", "line 3: video 'x' is already on line 2"),
        ("path,class,start_seconds,end_seconds\na.mp4,c,2,2\n", r"end_seconds \(2\) must be greater than .* \(2\)"),
        ("path,class,start_seconds,end_seconds\na.mp4,c,3,2\n", r"end_seconds \(2\) must be greater than .* \(3\)"),
        ("path,class,end_seconds\na.mp4,c,0\n", r"end_seconds \(0\) must be greater than start_seconds \(0\)"),
        ("path,class,start_seconds\na.mp4,c,1_0\n", "line 2: start_seconds is '1_0', not a number of seconds from 0"),
        ("path,class,start_seconds\na.mp4,c,soon\n", "line 2: start_seconds is 'soon', not a number of seconds from 0"),
        ("path,class,start_seconds\na.mp4,c,-1\n", "start_seconds is '-1'"),
        ("path,class,start_seconds\na.mp4,c,nan\n", "start_seconds is 'nan'"),
        ("path,class,end_seconds\na.mp4,c,inf\n", "end_seconds is 'inf'"),
        ('path,class\n"a.mp4,c\n', "is not a CSV file"),
        ("path,class\na.mp4,---\n", "class '---' has no letters to make a phrase from"),
        (
            "path,class\na.mp4,TaiChi\nb.mp4,tai_chi\n",
            "duplicate class names: 'TaiChi', 'tai_chi' all have the phrase 'tai chi'",
        ),
    ],
)
def test_a_wrong_manifest_fails_with_line_and_remedy(tmp_path: Path, text: str, message: str) -> None:
    """One line gives the place, the error and what to do."""
    with pytest.raises(UsageError, match=message) as caught:
        read_source(manifest(tmp_path, text))

    assert "\n" not in str(caught.value)


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    """Spreadsheets in UTF-16 and other binary files are refused in one line."""
    with pytest.raises(UsageError, match="is not a text file in UTF-8: save it as CSV"):
        read_source(manifest(tmp_path, "path,class\na.mp4,c\n".encode("utf-16")))


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("class,phrase\ndogs,\n", r"line 2: unknown class 'dog': it is not in .*classes\.csv\. Did you mean dogs\?"),
        ("phrase\nx\n", r"classes\.csv: no column class"),
        ("class,phrase\ndog,\n ,\n", r"classes\.csv, line 3: the class is empty"),
        ("class,phrase\ndog,a\ndog ,a\n", r"classes\.csv, line 3: class 'dog' appears twice"),
        (
            "class,phrase\ndog,An  Animal\ncat,an animal\n",
            "duplicate class names: 'cat', 'dog' all have the phrase 'an animal'",
        ),
    ],
)
def test_a_wrong_class_list_is_refused(tmp_path: Path, classes: str, message: str) -> None:
    """Classes may be unknown, empty or repeated, or have the same phrases."""
    with pytest.raises(UsageError, match=message):
        read_source(
            manifest(tmp_path, "path,class\na.mp4,dog\nb.mp4," + ("cat" if "cat" in classes else "dog"), classes)
        )
