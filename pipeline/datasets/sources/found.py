"""What the ways of preparing a dataset have in common: what they find, and how they look for files."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.base.errors import UsageError
from pipeline.base.wording import counted, does_not_exist
from pipeline.datasets.dataset import Video
from pipeline.datasets.media_files import SOUND_ENDINGS, media_files
from pipeline.datasets.phrases import Phrases


@dataclass(frozen=True)
class LeftOut:
    """A row of missing.csv: a clip that was named and is not in the dataset."""

    video: str
    reason: str


@dataclass(frozen=True)
class Found:
    """What a folder or a list of videos holds, before files are checked and anything is written.

    Attributes:
        command: which way it was found: folder, csv, ucf101, activitynet or vggsound.
        source: what the user pointed at.
        videos: with files that exist.
        missing: clips that were named but whose file does not exist, or that cannot be right.
        phrases: class name -> phrases, also of classes without videos; none if none were given.
        notes: a line each for what the user should know.
        splits: a splits.yaml that came with it.
    """

    command: str
    source: Path
    videos: tuple[Video, ...]
    missing: tuple[LeftOut, ...] = ()
    phrases: Mapping[str, Phrases] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    splits: Path | None = None


class MediaIndex:
    """The media files below a folder by their names without ending.

    Args:
        folder: may have sub-folders.

    Raises:
        UsageError: there is no such folder, or no media file in it.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.exists():
            raise UsageError(does_not_exist(folder))
        if not folder.is_dir():
            raise UsageError(f"{folder} is a file: give the folder that the videos lie in")
        self.folder = folder.absolute()
        self._files: dict[str, list[Path]] = defaultdict(list)
        for path in media_files(self.folder):
            self._files[path.stem].append(path)
        if not self._files:
            raise UsageError(f"{folder} holds no videos: give the folder that they lie in")

    @property
    def names(self) -> list[str]:
        """All names in order, each once."""
        return sorted(self._files)

    def find(self, names: Iterable[str]) -> Path | None:
        """The file that has one of these names.

        Raises:
            UsageError: there are two.
        """
        paths = [path for name in names for path in self._files.get(name, ())]
        return self._only(paths) if paths else None

    def _only(self, paths: Sequence[Path]) -> Path:
        """One of them; sound that somebody took out of a video gives way to the video."""
        videos = [path for path in paths if path.suffix.lower() not in SOUND_ENDINGS] or paths
        if len(videos) > 1:
            first, second = (path.relative_to(self.folder) for path in videos[:2])
            raise UsageError(f"{self.folder}: duplicate video: {first} and {second} are one clip; keep one of them")
        return videos[0]


def refuse_unwritable(text: str, where: str) -> None:
    """Refuse a name that no table can hold: with half a surrogate pair, or with control characters such as NUL.

    Args:
        text: the name.
        where: of what, where it stands, as the message begins.

    Raises:
        UsageError: shows the name with escapes.
    """
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in text):
        raise UsageError(f"{where} is {ascii(text)[:80]}: take the control characters and broken characters out of it")


def refuse_empty(found: Sequence[Video], missing: Sequence[LeftOut], source: Path, folder: Path) -> None:
    """Refuse a dataset of which no file is there.

    Raises:
        UsageError: names the first that was looked for.
    """
    if found:
        return
    first = f", such as {missing[0].video} ({missing[0].reason})" if missing else ""
    raise UsageError(f"{source}: none of its {counted(len(missing), 'clip')} is in {folder}{first}")
