"""Compute the sha256 of a file; that of a large file is cached, as reading 8 GB takes most of a minute."""

import contextlib
import hashlib
import re
from pathlib import Path

_LARGE_BYTES = 1 << 28


def sha256_of_file(path: Path) -> str:
    """Compute the sha256 of a file's content, reading it block by block.

    Returns:
        64 hexadecimal digits.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cached_sha256(path: Path, cache_dir: Path | None, *, large_bytes: int = _LARGE_BYTES) -> str:
    """Return the sha256 of a file; read the file again only if its size, times or inode changed.

    Args:
        path: the file.
        cache_dir: folder for the cached checksums, one small file each; None to cache nothing.
        large_bytes: size from which a checksum is cached.

    Raises:
        OSError: the file cannot be read.
    """
    if cache_dir is None or not path.is_file() or path.stat().st_size < large_bytes:
        return sha256_of_file(path)
    state = path.stat()
    file_state = (str(path.resolve()), state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
    record = cache_dir / "checksums" / hashlib.sha256(repr(file_state).encode("utf-8", "surrogateescape")).hexdigest()
    if record.is_file() and re.fullmatch("[0-9a-f]{64}", recorded := record.read_text(errors="replace")):
        return recorded
    sha256 = sha256_of_file(path)
    with contextlib.suppress(OSError):  # without a cache, the next call only takes longer
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(sha256)
    return sha256
