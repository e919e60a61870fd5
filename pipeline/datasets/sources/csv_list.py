"""Find the videos of a table, whatever the names and the order of its columns."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.csv_tables import escape_undecodable, number_in, read_by_line
from pipeline.base.errors import UsageError
from pipeline.base.wording import not_a_file
from pipeline.datasets.accents import stored_path
from pipeline.datasets.dataset import Video, read_phrases, segment_key
from pipeline.datasets.media_files import MEDIA_ENDINGS
from pipeline.datasets.sources.found import Found, LeftOut, refuse_empty, refuse_unwritable

_NAMES: Mapping[str, tuple[str, ...]] = {
    "path": ("path", "file", "filename", "file_name", "filepath", "video", "video_path", "clip"),
    "class": ("class", "label", "category", "class_name"),
    "start": ("start_seconds", "start", "start_time", "begin"),
    "end": ("end_seconds", "end", "end_time", "stop"),
}
_EXPECTED = (
    "a column of paths (path, file, filename or video) and one of classes (class, label or category), and if rows are "
    "segments start and end in seconds"
)


@dataclass(frozen=True)
class _Columns:
    """Indices of the columns; None if there is no such column."""

    path: int
    class_name: int
    start: int | None
    end: int | None
    key: int | None  # names of videos in addition to paths, as in the manifests that avzsl writes


def find_csv(listing: Path, folder: Path | None = None) -> Found:
    """Find the videos of a table whose files exist. Phrases come from a classes.csv next to the table.

    Args:
        listing: table separated by commas, semicolons or tabs, with or without a first line of column names.
        folder: folder that paths are relative to; None for the folder of the table.

    Raises:
        UsageError: a table without the columns, a row without path, class or possible times, a video that is listed
            twice, or no file that exists.
    """
    if not listing.is_file():
        remedy = " avzsl prepare folder takes a folder" if listing.is_dir() else ""
        raise UsageError(f"{not_a_file(listing)}{remedy}")
    if listing.suffix.lower() in MEDIA_ENDINGS:
        raise UsageError(f"{listing} is a video: give a table with {_EXPECTED}")
    root = (folder or listing.parent).absolute()
    videos: list[Video] = []
    missing: list[LeftOut] = []
    seen: dict[object, int] = {}
    for line, video in _videos(listing, root):
        clip = (os.path.normpath(video.location), video.start_seconds or 0.0, video.end_seconds)
        before = seen.get(video.key, seen.get(clip))
        if before is not None:
            remedy = "" if clip in seen else "; give each row its own name in the column video"
            raise UsageError(
                f"{listing}, line {line}: duplicate video: {video.key!r} is already on line {before}{remedy}"
            )
        seen[video.key] = seen[clip] = line
        reason = _why_missing(video.path)
        if reason:
            missing.append(LeftOut(video.key, reason))
        else:
            videos.append(video)
    if not seen:
        raise UsageError(f"{listing} lists no videos: expected {_EXPECTED}")
    refuse_empty(videos, missing, listing, root)
    classes, splits = listing.parent / "classes.csv", listing.parent / "splits.yaml"
    phrases = read_phrases(classes) if classes.is_file() and classes != listing else {}
    if not phrases and all(video.class_name.isdigit() for video in videos):
        raise UsageError(
            f"{listing}: its classes are numbers, such as {videos[0].class_name!r}: their names are needed, in a "
            "column class, or as phrases in a classes.csv (class,phrase) beside it"
        )
    return Found("csv", listing, tuple(videos), tuple(missing), phrases, splits=splits if splits.is_file() else None)


def _why_missing(path: Path) -> str:
    """Explain why a path is not a file; '' if it is one."""
    try:
        if path.is_file():
            return ""
        return "not a file" if path.exists() else "no such file"
    except OSError as error:  # such as a name that is too long for a file
        return (error.strerror or str(error)).lower()


def _videos(listing: Path, root: Path) -> Iterator[tuple[int, Video]]:
    """Read the videos of a table, each with its line number."""
    rows = list(read_by_line(listing, delimiters=",;\t"))
    if not rows:
        return
    columns = _named_columns(rows[0][1], listing)
    if columns is None:
        columns = _guessed_columns(rows[0][1], listing)
    else:
        rows = rows[1:]
    for line, row in rows:
        where = f"{listing}, line {line}"
        cells = {name: _cell(row, getattr(columns, name)) for name in ("path", "class_name", "start", "end", "key")}
        for name, shown_name in (("path", "path"), ("class_name", "class")):
            if not cells[name]:
                raise UsageError(f"{where}: the {shown_name} is empty")
        start, end = _seconds(cells["start"], where), _seconds(cells["end"], where)
        if end is not None and end <= (start or 0.0):
            raise UsageError(f"{where}: the end ({end:g} s) must be after the start ({start or 0:g} s)")
        refuse_unwritable(cells["class_name"], f"{where}: the class")
        if "\0" in cells["path"] + cells["key"]:  # file systems allow every other character
            raise UsageError(f"{where}: the path or the video's name contains a NUL character: remove it")
        path = _with_slashes(cells["path"], root)
        key = escape_undecodable(cells["key"] or segment_key(path, start, end))
        class_name = escape_undecodable(cells["class_name"])
        yield line, Video(key, stored_path(str(root / path)), class_name, start, end)


def _with_slashes(path: str, root: Path) -> str:
    r"""Turn the backslashes of a path from Windows, `videos\a.mp4`, into slashes, unless a file has them in its name.

    Args:
        path: the path.
        root: the folder that it is relative to.
    """
    if "\\" not in path or (root / path).exists():
        return path
    return path.replace("\\", "/")


def _named_columns(row: Sequence[str], listing: Path) -> _Columns | None:
    """Find the columns by the names in the first line; None if it is not a line of names."""
    cells = [cell.strip().lower().replace(" ", "_") for cell in row]
    indices = {
        kind: next((cells.index(name) for name in names if name in cells), None) for kind, names in _NAMES.items()
    }
    path, class_name = indices["path"], indices["class"]
    if path is None and class_name is None:
        return None
    repeated = next((name for name in cells if name and cells.count(name) > 1), None)
    if repeated is not None:
        raise UsageError(f"{listing}: two columns are named {repeated!r}: give each column another name")
    if path is None or class_name is None:
        raise UsageError(f"{listing}: expected {_EXPECTED}; its first line has {', '.join(row)}")
    key = cells.index("video") if "video" in cells and cells[path] != "video" else None
    return _Columns(path, class_name, indices["start"], indices["end"], key)


def _guessed_columns(row: Sequence[str], listing: Path) -> _Columns:
    """Guess the columns of a table without names.

    The media file is the path, the first other text is the class, and two numbers are start and end.
    """
    media = [index for index, cell in enumerate(row) if Path(cell.strip()).suffix.lower() in MEDIA_ENDINGS]
    numbers = [index for index, cell in enumerate(row) if number_in(cell) is not None]
    texts = [index for index, cell in enumerate(row) if cell.strip() and index not in {*media, *numbers}]
    if len(media) == 1 and not texts and len(numbers) == 1:
        raise UsageError(
            f"{listing}: its lines hold a path and a number, such as {row[numbers[0]].strip()!r}: the names of the "
            "classes are needed, not their numbers"
        )
    if len(media) != 1 or not texts or len(numbers) not in {0, 2}:
        raise UsageError(f"{listing}: expected {_EXPECTED}; its first line is {', '.join(row)[:80]}")
    start, end = numbers or (None, None)
    return _Columns(media[0], texts[0], start, end, None)


def _cell(row: Sequence[str], index: int | None) -> str:
    return row[index].strip() if index is not None and index < len(row) else ""


def _seconds(cell: str, where: str) -> float | None:
    """Parse a time in seconds; None for an empty cell."""
    if not cell:
        return None
    value = number_in(cell)
    if value is None or not 0 <= value < float("inf"):
        raise UsageError(f"{where}: {cell!r} is not a number of seconds from 0")
    return value
