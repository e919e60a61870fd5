"""Which files are media, and where they lie below a folder."""

import os
from collections.abc import Iterator
from pathlib import Path

from pipeline.files import storage_error

_PICTURE_ENDINGS = {".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts"}
_PICTURE_ENDINGS |= {".ogv", ".ts", ".vob", ".webm", ".wmv"}
SOUND_ENDINGS = frozenset({".aac", ".flac", ".m4a", ".mp3", ".ogg", ".opus", ".wav"})
MEDIA_ENDINGS = frozenset(_PICTURE_ENDINGS | SOUND_ENDINGS)


def media_files(folder: Path) -> Iterator[Path]:
    """Every media file below a folder, links followed; a link back to a folder it lies in is left out.

    Raises:
        StorageError: a folder cannot be read.
    """
    for parent, names in media_names(folder):
        for name in names:
            yield parent / name


def media_names(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """Every folder from `folder` downwards, and the names of the media files in it."""
    endings = tuple(MEDIA_ENDINGS)
    for parent, folders, files in os.walk(folder, followlinks=True, onerror=_refuse):
        inner = [name for name in folders if not name.startswith(".")]
        folders[:] = sorted(name for name in inner if not _is_loop(Path(parent) / name, folder))
        names = [name for name in sorted(files) if not name.startswith(".")]
        yield Path(parent), [name for name in names if name.lower().endswith(endings)]


def _refuse(error: OSError) -> None:
    raise storage_error(error, Path(error.filename)) from error


def _is_loop(path: Path, root: Path) -> bool:
    """Whether a folder below `root` is a link to one that leads to it."""
    if not path.is_symlink():
        return False
    return path.resolve() in {parent.resolve() for parent in path.parents if parent.is_relative_to(root)}
