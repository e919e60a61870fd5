"""Check a path before a decoder opens it, because both libraries block for ever on a named pipe."""

import os
import stat
from pathlib import Path

from extractors.errors import VideoError

_HEAD_BYTES = 512


def check_media_file(path: Path) -> None:
    """Check that a path is a regular file, is not empty and may be read.

    Raises:
        VideoError: a path that is missing, not a regular file, empty or not readable.
    """
    try:
        status = path.stat()
    except FileNotFoundError as error:
        if path.is_symlink():
            raise VideoError(f"a link to {path.readlink()}, which does not exist") from error
        raise VideoError("no such file") from error
    except OSError as error:
        raise VideoError(f"cannot be reached: {error.strerror}") from error
    if stat.S_ISDIR(status.st_mode):
        raise VideoError("a folder, not a video file")
    if not stat.S_ISREG(status.st_mode):
        raise VideoError("not a regular file but a pipe, socket or device; save the video to a file first")
    if status.st_size == 0:
        raise VideoError("empty file (0 bytes); fetch it again")
    if not os.access(path, os.R_OK):
        raise VideoError("no permission to read it")


def why_unreadable(path: Path) -> str:
    """Guess from a file's first bytes why no demuxer could open it."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head[4:8] == b"ftyp":
        return "cut short: the index at the end of this MP4 file is missing; fetch it again"
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "not a video but a web page saved under a video's name; fetch it again"
    if _is_text(head):
        return "not a video but a text file"
    return "not a video, or damaged beyond recognition"


def _is_text(head: bytes) -> bool:
    """Return whether bytes are UTF-8 without control characters; a character cut off at the end is ignored."""
    text = head.decode("utf-8", errors="ignore")
    complete = len(text.encode()) >= len(head) - 3
    return complete and all(character.isprintable() or character in "\t\r\n\f" for character in text)
