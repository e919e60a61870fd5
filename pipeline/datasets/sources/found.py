"""Code that all finders share: their result, an index of media files, and checks."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.base.csv_tables import escape_undecodable
from pipeline.base.errors import UsageError
from pipeline.base.wording import counted, not_a_file
from pipeline.datasets.dataset import Video
from pipeline.datasets.media_files import SOUND_ENDINGS, media_files
from pipeline.datasets.phrases import Phrases


@dataclass(frozen=True)
class LeftOut:
    """A row of missing.csv: a clip that was listed but is not in the dataset."""

    video: str
    reason: str


@dataclass(frozen=True)
class Found:
    """The content of a folder or a list of videos, before files are checked and anything is written.

    Attributes:
        command: name of the finder: folder, csv, ucf101, activitynet or vggsound.
        source: folder or file that the user named.
        videos: videos whose files exist.
        missing: clips that were listed but have no file or wrong times.
        phrases: class name -> phrases, also of classes without videos; the phrases are empty if none were given.
        notes: messages for the user, one line each.
        splits: splits.yaml of the source; None if there is none.
        split_of: video key -> split, if the folders of the source are splits; see `split_folders`.
    """

    command: str
    source: Path
    videos: tuple[Video, ...]
    missing: tuple[LeftOut, ...] = ()
    phrases: Mapping[str, Phrases] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    splits: Path | None = None
    split_of: Mapping[str, str] = field(default_factory=dict)


class MediaIndex:
    """Finds the media files below a folder by their names without ending, in whatever form their accents are stored.

    Args:
        folder: folder to search, with its sub-folders.

    Raises:
        UsageError: no such folder, or a folder without media files.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.exists():
            raise UsageError(not_a_file(folder))
        if not folder.is_dir():
            raise UsageError(f"{folder} is a file: give the folder that contains the videos")
        self.folder = folder.absolute()
        self._duplicates: dict[str, str] = {}
        self._files: dict[str, list[Path]] = defaultdict(list)
        for path in media_files(self.folder):
            self._files[name_of_file(path)].append(path)
        if not self._files:
            raise UsageError(f"{folder} contains no videos: give the folder that contains them")

    @property
    def names(self) -> list[str]:
        """All names of files, sorted, each once."""
        return sorted(self._files)

    def find(self, names: Iterable[str]) -> Path | None:
        """Find the file that has one of these names; None if there is none.

        A video is preferred to sound files, which may have been extracted from it. Several videos of these names are
        remembered for `refuse_duplicates`, which must be called after the last search.
        """
        paths = [path for name in names for path in self._files.get(escape_undecodable(name), ())]
        videos = [path for path in paths if path.suffix.lower() not in SOUND_ENDINGS] or paths
        if len(videos) > 1:
            first, second = (str(path.relative_to(self.folder)) for path in videos[:2])
            self._duplicates[first] = second
        return next(iter(videos), None)

    def refuse_duplicates(self) -> None:
        """Refuse clips that several files of the folder hold.

        Raises:
            UsageError: such clips; the message names all of them.
        """
        pairs = [f"{first} and {second}" for first, second in self._duplicates.items()]
        if len(pairs) == 1:
            raise UsageError(f"{self.folder}: duplicate video: {pairs[0]} are the same clip; keep one")
        if pairs:
            raise UsageError(
                f"{self.folder}: {len(pairs)} duplicate videos: {'; '.join(pairs)} are the same clips; keep one of each"
            )


def name_of_file(path: Path) -> str:
    """Return the name by which `MediaIndex` knows a file."""
    return escape_undecodable(path.stem)


def refuse_unwritable(text: str, where: str) -> None:
    """Refuse a name that cannot be written into a table: half a surrogate pair, or control characters such as NUL.

    Args:
        text: name to check.
        where: beginning of the message, which says what the text is and where it was found.

    Raises:
        UsageError: such a name; the message shows it with escapes.
    """
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in text):
        raise UsageError(f"{where} is {ascii(text)[:80]}: remove its control characters and broken characters")


def refuse_empty(found: Sequence[Video], missing: Sequence[LeftOut], source: Path, folder: Path) -> None:
    """Refuse a dataset without any file.

    Raises:
        UsageError: no file exists; the message names the first that was looked for.
    """
    if found:
        return
    first = f", such as {missing[0].video} ({missing[0].reason})" if missing else ""
    raise UsageError(f"{source}: none of its {counted(len(missing), 'clip')} is in {folder}{first}")
