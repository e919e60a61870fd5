"""Find the clips of VGGSound: a list of ten-second clips, and files with one of the usual names."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.csv_tables import escape_undecodable, read_by_line
from pipeline.base.errors import UsageError
from pipeline.base.wording import counted, not_a_file
from pipeline.datasets.dataset import Video
from pipeline.datasets.phrases import Phrases
from pipeline.datasets.sources.found import Found, LeftOut, MediaIndex, name_of_file, refuse_empty, refuse_unwritable

_CLIP_SECONDS = 10
_EXPECTED = 'vggsound.csv: lines id,start in seconds,"class",train or test, without a first line of names'


@dataclass(frozen=True)
class _Clip:
    """A clip of the list."""

    video_id: str
    start_seconds: int
    class_name: str

    @property
    def key(self) -> str:
        """The name of the clip in the official splits."""
        return f"{self.video_id}_{self.start_seconds:06d}"

    @property
    def names(self) -> tuple[str, ...]:
        """The possible names of a file that contains only this clip, each once."""
        start, end = self.start_seconds, self.start_seconds + _CLIP_SECONDS
        names = (
            self.key,
            f"{self.video_id}_{start}",
            f"{self.video_id}_{start}_{end}",
            f"{self.video_id}_{start:06d}_{end:06d}",
            f"{self.video_id}_{start * 1000}_{end * 1000}",
        )
        return tuple(dict.fromkeys(names))


def find_vggsound(folder: Path, listing: Path) -> Found:
    """Find the clips that have a file. If there is only the whole video, the clip is a segment of ten seconds.

    Args:
        folder: folder of files named <id>_<start, six digits>, <id>_<start>, <id>_<start in ms>_<end in ms> or <id>,
            with any ending, also in sub-folders.
        listing: file vggsound.csv.

    Raises:
        UsageError: a file other than vggsound.csv, a clip that is listed twice, no clip in the folder, or a clip that
            is there twice.
    """
    clips = list(_read(listing))
    index = MediaIndex(folder)
    videos, missing, whole = [], [], 0
    for clip in clips:
        path = index.find(clip.names)
        if path is not None:
            videos.append(Video(clip.key, str(path), clip.class_name))
            continue
        path = index.find((clip.video_id,))
        if path is None:
            missing.append(LeftOut(clip.key, f"no file {clip.key}.mp4"))
            continue
        whole += 1
        end = float(clip.start_seconds + _CLIP_SECONDS)
        videos.append(Video(clip.key, str(path), clip.class_name, float(clip.start_seconds), end))
    index.refuse_duplicates()
    refuse_empty(videos, missing, listing, folder)
    used = {name_of_file(Path(video.location)) for video in videos}
    unlisted = sum(name not in used for name in index.names)
    notes = []
    if whole:
        notes.append(f"{counted(whole, 'clip')} cut out of whole videos, {_CLIP_SECONDS} s each")
    if unlisted:
        notes.append(f"{counted(unlisted, 'file')} in {folder} not in {listing.name}: left out")
    phrases: dict[str, Phrases] = dict.fromkeys(sorted({clip.class_name for clip in clips}), ())
    return Found("vggsound", folder, tuple(videos), tuple(missing), phrases, tuple(notes))


def _read(path: Path) -> Iterator[_Clip]:
    """Read the clips in the order of the list."""
    if not path.is_file():
        raise UsageError(not_a_file(path) if not path.exists() else f"{path} is not a file: give vggsound.csv")
    seen: dict[str, int] = {}
    for number, (line, row) in enumerate(read_by_line(path, strict=False)):
        if number == 0 and _names_columns(row):
            continue
        clip = _clip(row, f"{path}, line {line}")
        if clip.key in seen:
            raise UsageError(f"{path}, line {line}: duplicate video: {clip.key} is already on line {seen[clip.key]}")
        seen[clip.key] = line
        yield clip
    if not seen:
        raise UsageError(f"{path} lists no clips: expected {_EXPECTED}")


def _names_columns(row: list[str]) -> bool:
    """Whether a first line contains column names, as in some copies: letters instead of the start time."""
    return len(row) >= 4 and any(character.isalpha() for character in row[1]) and not re.search(r"\d", row[1])


def _clip(row: list[str], where: str) -> _Clip:
    cells = [escape_undecodable(cell).strip() for cell in row]
    start = re.fullmatch(r"([0-9]{1,9})(\.0*)?", cells[1]) if len(cells) >= 4 else None
    if start is None or not cells[0] or not cells[2]:
        raise UsageError(f"{where}: {','.join(row)[:60]!r} is of another format: expected {_EXPECTED}")
    refuse_unwritable(cells[0], f"{where}: the id")
    refuse_unwritable(cells[2], f"{where}: the class")
    return _Clip(cells[0], int(start[1]), cells[2])
