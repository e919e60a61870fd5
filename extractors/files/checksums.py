"""The sha256 of large files, remembered while the file stays as it is: eight gigabytes take most of a minute."""

import contextlib
import hashlib
import re
from pathlib import Path

from extractors.text.word_vectors import file_sha256

_LARGE_BYTES = 1 << 28


def remembered_sha256(path: Path, cache_dir: Path | None, *, large_bytes: int = _LARGE_BYTES) -> str:
    """Checksum of a file, read again only if it has changed by its size, its times or its place on the disk.

    Args:
        path: the file.
        cache_dir: where checksums are noted, a small file each; None: nowhere.
        large_bytes: of files that are smaller nothing is noted.

    Raises:
        TextEncoderError: the file cannot be read.
    """
    if cache_dir is None or not path.is_file() or path.stat().st_size < large_bytes:
        return file_sha256(path)
    state = path.stat()
    known_by = (str(path.resolve()), state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
    note = cache_dir / "checksums" / hashlib.sha256(repr(known_by).encode("utf-8", "surrogateescape")).hexdigest()
    if note.is_file() and re.fullmatch("[0-9a-f]{64}", noted := note.read_text(errors="replace")):
        return noted
    sha256 = file_sha256(path)
    with contextlib.suppress(OSError):  # a cache that cannot be written costs time and nothing else
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(sha256)
    return sha256
