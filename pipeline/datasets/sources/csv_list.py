"""A list of videos and classes in whatever columns it has."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.csv_tables import read_by_line
from pipeline.base.errors import UsageError
from pipeline.base.wording import does_not_exist
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
    "a column of paths (path, file, filename or video) and one of classes (class, label or category), and where rows "
    "are segments start and end in seconds"
)


@dataclass(frozen=True)
class _Columns:
    """Places of what is needed in a row; None: there is no such column."""

    path: int
    class_name: int
    start: int | None
    end: int | None
    key: int | None  # of videos' names beside their paths, as our own manifest has


def find_csv(listing: Path, folder: Path | None = None) -> Found:
    """The rows of a table whose files exist; a class's phrase comes from a classes.csv beside it.

    Args:
        listing: a table between commas, semicolons or tabs, with a first line of names or without.
        folder: what paths are relative to; None: the table's own folder.

    Raises:
        UsageError: no such columns, a row without path, class or sensible times, a video that is there twice, or no
            file exists.
    """
    if not listing.is_file():
        raise UsageError(
            does_not_exist(listing) if not listing.exists() else f"{listing} is a folder: avzsl prepare folder takes it"
        )
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
            raise UsageError(f"{listing}, line {line}: duplicate video: {video.key!r} is already on line {before}")
        seen[video.key] = seen[clip] = line
        lack = _lack(video.path)
        if lack:
            missing.append(LeftOut(video.key, lack))
        else:
            videos.append(video)
    if not seen:
        raise UsageError(f"{listing} lists no videos: expected {_EXPECTED}")
    refuse_empty(videos, missing, listing, root)
    classes, splits = listing.parent / "classes.csv", listing.parent / "splits.yaml"
    phrases = read_phrases(classes) if classes.is_file() and classes != listing else {}
    return Found("csv", listing, tuple(videos), tuple(missing), phrases, splits=splits if splits.is_file() else None)


def _lack(path: Path) -> str:
    """Why there is no file; nothing where there is one."""
    try:
        if path.is_file():
            return ""
        return "not a file" if path.exists() else "no such file"
    except OSError as error:  # such as a name longer than any file's
        return (error.strerror or str(error)).lower()


def _videos(listing: Path, root: Path) -> Iterator[tuple[int, Video]]:
    """Line numbers and videos."""
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
        for name, words in (("path", "path"), ("class_name", "class")):
            if not cells[name]:
                raise UsageError(f"{where}: the {words} is empty")
        start, end = _seconds(cells["start"], where), _seconds(cells["end"], where)
        if end is not None and end <= (start or 0.0):
            raise UsageError(f"{where}: the end ({end:g} s) must be after the start ({start or 0:g} s)")
        refuse_unwritable(cells["class_name"], f"{where}: the class")
        if "\0" in cells["path"] + cells["key"]:  # file systems take every other character
            raise UsageError(f"{where}: the path or the video's name holds a NUL: take it out")
        key = cells["key"] or segment_key(cells["path"], start, end)
        yield line, Video(key, str(root / cells["path"]), cells["class_name"], start, end)


def _named_columns(row: Sequence[str], listing: Path) -> _Columns | None:
    """Columns by the names in the first line; None where it is no line of names."""
    cells = [cell.strip().lower().replace(" ", "_") for cell in row]
    places = {
        kind: next((cells.index(name) for name in names if name in cells), None) for kind, names in _NAMES.items()
    }
    path, class_name = places["path"], places["class"]
    if path is None and class_name is None:
        return None
    if path is None or class_name is None:
        raise UsageError(f"{listing}: expected {_EXPECTED}; its first line has {', '.join(row)}")
    key = cells.index("video") if "video" in cells and cells[path] != "video" else None
    return _Columns(path, class_name, places["start"], places["end"], key)


def _guessed_columns(row: Sequence[str], listing: Path) -> _Columns:
    """Columns of a table without names: a media file, then the first other text; numbers are start and end."""
    media = [place for place, cell in enumerate(row) if Path(cell.strip()).suffix.lower() in MEDIA_ENDINGS]
    numbers = [place for place, cell in enumerate(row) if _is_number(cell)]
    texts = [place for place, cell in enumerate(row) if cell.strip() and place not in {*media, *numbers}]
    if len(media) != 1 or not texts or len(numbers) not in {0, 2}:
        raise UsageError(f"{listing}: expected {_EXPECTED}; its first line is {', '.join(row)[:80]}")
    start, end = numbers or (None, None)
    return _Columns(media[0], texts[0], start, end, None)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _cell(row: Sequence[str], place: int | None) -> str:
    return row[place].strip() if place is not None and place < len(row) else ""


def _seconds(cell: str, where: str) -> float | None:
    """A time; None where there is none."""
    if not cell:
        return None
    if not _is_number(cell) or not 0 <= float(cell) < float("inf"):
        raise UsageError(f"{where}: {cell!r} is not a number of seconds from 0")
    return float(cell)
