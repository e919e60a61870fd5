"""Recognise media files and find them below a folder."""

import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from pipeline.base.csv_tables import escape_undecodable
from pipeline.base.errors import UsageError
from pipeline.base.files import storage_error
from pipeline.base.wording import not_a_file, some_of


def _endings(names: str) -> frozenset[str]:
    return frozenset(f".{name}" for name in names.split())


_PICTURE_ENDINGS = _endings(
    "3g2 3gp asf avi divx dv f4v flv gif h264 hevc ivf m1v m2ts m2v m4v mjpeg mk3d mkv mov mp4 mpe mpeg mpg mpv mts "
    "mxf nut ogm ogv qt rm rmvb ts vob webm wmv y4m"
)
SOUND_ENDINGS = _endings("aac ac3 aif aiff amr au caf eac3 flac m4a mka mp2 mp3 oga ogg opus wav weba wma wv")
MEDIA_ENDINGS = _PICTURE_ENDINGS | SOUND_ENDINGS
# How files of the usual containers begin: the offset of a mark in bytes, and the mark.
_MARKS = (
    (4, b"ftyp"),  # MP4, QuickTime, 3GP
    (4, b"moov"),
    (4, b"mdat"),
    (0, b"\x1aE\xdf\xa3"),  # Matroska, WebM
    (8, b"AVI "),
    (8, b"WAVE"),
    (0, b"FLV"),
    (0, b"OggS"),
    (0, b"fLaC"),
    (0, b"ID3"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),  # ASF, WMV
    (0, b"\x00\x00\x01\xba"),  # MPEG programme stream
    (0, b"\x06\x0e\x2b\x34"),  # MXF
    (0, b".RMF"),
)
_TRANSPORT_PACKET_BYTES = 188
# Folders of file managers, servers, systems and archives, and avzsl's own: what they hold belongs to no class.
_NO_CLASSES = frozenset(
    [
        "recycled",
        "recycler",
        "system volume information",
        "config.msi",
        "msocache",
        "lost.dir",
        "lost+found",
        "network trash folder",
        "temporary items",
        "thevolumesettingsfolder",
        "__macosx",
        "__pycache__",
        "_gsdata_",
        "avzsl-workspace",
        "avzsl-demo",
    ]
)
_REPAIRED = re.compile(r"found\.\d{3}")  # what Windows found when it checked a disk
_MARKS_OF_PROGRAMS = (".", "@", "#", "~", "$")  # hidden, of a NAS, of a NAS, a backup, of Windows
_LOCK = "~$"  # an office program begins the name of its lock file with it
_NAMES_SHOWN = 12  # a class of the user may be among them
_LOOKED_INTO = 20  # the most folders of one name: a NAS may have one beside each video


def media_files(folder: Path) -> Iterator[Path]:
    """Yield every media file below a folder. Links are followed, except links back to a folder that contains them.

    Raises:
        StorageError: a folder that cannot be read.
    """
    for parent, names, _ in sorted_names(folder):
        for name in names:
            yield parent / name


def may_hold_videos(folder_name: str, classes: Collection[str] = ()) -> bool:
    """Return whether a folder of this name may be a class or a part of one: it is not hidden, and no program's own.

    Args:
        folder_name: the name.
        classes: names that the user says are classes.
    """
    if classes and escape_undecodable(folder_name).strip() in classes:
        return True
    name = folder_name.casefold()
    return not (name.startswith(_MARKS_OF_PROGRAMS) or name in _NO_CLASSES or _REPAIRED.fullmatch(name))


def is_workspace(folder: Path) -> bool:
    """Say whether a folder is a workspace of avzsl, whatever its name: it may have been copied."""
    return os.path.isfile(folder / "stages.json") and os.path.isdir(folder / "dataset")  # noqa: PTH112, PTH113


def names_passed_over(passed: Iterable[Path]) -> tuple[str, ...]:
    """Return the names among those that were passed over that hold media files, each once."""
    by_name: dict[str, list[Path]] = {}
    for path in passed:
        by_name.setdefault(escape_undecodable(path.name), []).append(path)
    return tuple(sorted(name for name, paths in by_name.items() if any(map(_holds_media, paths[:_LOOKED_INTO]))))


def passed_over_note(names: Sequence[str]) -> str:
    """Say what was passed over, and how to use it nevertheless."""
    listed = ", ".join(names) if len(names) <= _NAMES_SHOWN else some_of(names)
    return (
        f"passed over, because programs give such names to what they keep for themselves: {listed} "
        "(a classes.csv that lists such a name makes it a class)"
    )


def _holds_media(path: Path) -> bool:
    """Whether a folder holds a media file, as far as it can be read; a file does itself."""
    endings = tuple(MEDIA_ENDINGS)
    if os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises an error if a link leads into a locked folder
        return True
    return any(name.lower().endswith(endings) for _, _, files in os.walk(path) for name in files)


def sorted_names(
    folder: Path, *, classes: Collection[str] = (), passed_over: list[Path] | None = None
) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yield every folder from `folder` downwards, the names of its media files, and the names of its other files.

    The ending of a file decides whether it is media; if it has none, its first bytes decide. Hidden files are left out,
    and so are lock files, the recycle bins and previews of file managers, and what else programs keep for themselves.

    Args:
        folder: the folder.
        classes: names that the user says are classes; no folder of such a name is left out.
        passed_over: receives the folders and lock files that are left out.
    """
    endings = tuple(MEDIA_ENDINGS)
    passed = [] if passed_over is None else passed_over
    for parent, folders, files in os.walk(folder, followlinks=True, onerror=_refuse):
        inner = [name for name in folders if may_hold_videos(name, classes) and not is_workspace(Path(parent) / name)]
        passed += [Path(parent) / name for name in set(folders) - set(inner)]
        folders[:] = sorted(name for name in inner if not _is_loop(Path(parent) / name, folder))
        media, others = [], []
        for name in sorted(files):
            if name.startswith(_LOCK):
                passed.append(Path(parent) / name)
            elif name.lower().endswith(endings) or ("." not in name and _looks_like_media(Path(parent) / name)):
                media.append(name)
            else:
                others.append(name)
        yield (
            Path(parent),
            [name for name in media if not name.startswith(".")],
            [name for name in others if not name.startswith(".")],
        )


def _looks_like_media(path: Path) -> bool:
    """Whether a file begins like the files of the usual containers."""
    try:
        if not path.is_file():  # opening a pipe would block forever
            return False
        with path.open("rb") as file:
            head = file.read(_TRANSPORT_PACKET_BYTES + 1)
    except OSError:
        return False
    is_transport_stream = head[:1] == b"G" == head[_TRANSPORT_PACKET_BYTES:]
    return is_transport_stream or any(head[offset : offset + len(mark)] == mark for offset, mark in _MARKS)


def _refuse(error: OSError) -> None:
    raise storage_error(error, Path(error.filename)) from error


def _is_loop(path: Path, root: Path) -> bool:
    """Whether a folder below `root` is a link to one of the folders that contain it."""
    if not path.is_symlink():
        return False
    return path.resolve() in {parent.resolve() for parent in path.parents if parent.is_relative_to(root)}


def find_clips(paths: Sequence[Path]) -> list[Path]:
    """Find the clips that a user named: files as they are, and every media file below folders.

    Raises:
        UsageError: a path that does not exist, or a folder without videos.
    """
    clips: list[Path] = []
    for path in paths:
        if path.is_dir():
            found = list(media_files(path))
            if not found:
                raise UsageError(f"{path} contains no videos")
            clips += found
        elif path.exists():
            clips.append(path)
        else:
            raise UsageError(not_a_file(path))
    return list(dict.fromkeys(clips))
