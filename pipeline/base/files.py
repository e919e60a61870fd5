"""Files that appear whole or not at all, and disk errors as lines a user can act on."""

import contextlib
import errno
import hashlib
import json
import math
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pydantic

from pipeline.base.errors import NoTextError, StorageError

ShapeT = TypeVar("ShapeT")
_FULL_DISK = {errno.ENOSPC, errno.EDQUOT}
_NOT_PERMITTED = {errno.EACCES, errno.EPERM, errno.EROFS}


def _errno_of(error: OSError) -> int | None:
    """The error number; HDF5 hides it in the text of its message."""
    if error.errno is not None:
        return error.errno
    hidden = re.search(r"errno = (\d+)", str(error))
    return int(hidden.group(1)) if hidden else None


def storage_error(error: OSError, path: Path) -> StorageError:
    """An operating system's error about `path` as one line with what to do."""
    number = _errno_of(error)
    if number in _FULL_DISK:
        return StorageError(
            f"no space left on the disk of {path}: free some and run the command again (what is finished is kept)"
        )
    if number in _NOT_PERMITTED:
        return StorageError(f"{path}: permission denied. Choose another place or change its permissions")
    if number == errno.ENOENT:
        return StorageError(f"{path} does not exist")
    return StorageError(f"{path}: {error.strerror or error}")


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn any OSError inside into a StorageError that names `path`."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, path) from error


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to; at the end it takes `path`'s place, fsynced, in one step.

    When the body raises, `path` is left as it was and the temporary file is removed.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    with storage_errors(path):
        _make_folders(path.parent)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o666 & ~_umask())
            _fsync(temporary)
            temporary.replace(path)
            if os.name == "posix":
                _fsync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def _umask() -> int:
    """The process's umask; reading it means setting it for a moment."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def make_folder(path: Path) -> Path:
    """Create a folder and its parents; StorageError where that cannot be done."""
    with storage_errors(path):
        _make_folders(path)
    return path


def _make_folders(path: Path) -> None:
    """Create a folder and its parents so that they are there after a loss of power too."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    if os.name == "posix":
        for folder in missing:
            _fsync(folder.parent)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")


def read_text(path: Path, *, errors: str = "strict") -> str:
    """The whole of a UTF-8 text file, its line ends as they are, without the mark (BOM) some editors put first.

    Args:
        path: the file.
        errors: what becomes of bytes that are not UTF-8, as for `bytes.decode`; strict: a NoTextError.

    Raises:
        NoTextError: it is not UTF-8.
        StorageError: it cannot be read.
    """
    with storage_errors(path):
        content = path.read_bytes()
    try:
        return content.decode("utf-8-sig", errors)
    except UnicodeDecodeError as error:
        raise NoTextError(f"{path} is not a text file in UTF-8: save it as UTF-8, or give another") from error


def write_json(path: Path, document: Any) -> None:  # noqa: ANN401 - any JSON value
    """Write a JSON document atomically, indented so that a person can read it."""
    write_text(path, to_json(document, indent=2) + "\n")


def to_json(document: Any, indent: int | None = None) -> str:  # noqa: ANN401 - any JSON value
    """Strict JSON: an undefined number (NaN, infinity) is written as null."""
    return json.dumps(_defined(document), indent=indent, ensure_ascii=False, allow_nan=False)


def _defined(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, Mapping):
        return {key: _defined(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_defined(entry) for entry in value]
    if isinstance(value, float):  # numpy's float64 is one
        return float(value) if math.isfinite(value) else None
    return value


def read_json(path: Path) -> Any:  # noqa: ANN401 - any JSON value
    """A JSON document.

    Raises:
        StorageError: unreadable, or not JSON.
    """
    with storage_errors(path):
        content = path.read_bytes()
    try:
        return json.loads(content.decode("utf-8", "surrogateescape"))  # as write_text wrote paths that are not UTF-8
    except (ValueError, RecursionError) as error:
        raise StorageError(
            f"{path} is damaged: not JSON ({error}). Delete it and run the command that makes it again"
        ) from error


def checked_document(document: object, shape: type[ShapeT], damage: Callable[[str], Exception]) -> ShapeT:
    """Check what was read from a file against the shape avzsl writes, before anything uses it.

    Args:
        document: a JSON value.
        shape: a class that pydantic understands, such as a dataclass.
        damage: makes the error to raise, from the first fault in words.

    Returns:
        The document as `shape`.
    """
    try:
        return pydantic.TypeAdapter(shape).validate_python(document)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "document"
        raise damage(f"{place}: {first['msg']}") from error


def fingerprint(document: Any) -> str:  # noqa: ANN401 - any JSON value
    """A short hash of a JSON value: equal values, whatever the order of their keys, have equal fingerprints."""
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def sweep(*folders: Path) -> None:
    """Remove the temporary files that killed processes left. Call it only while no other process writes there.

    Args:
        folders: folders to clean, without their subfolders; a folder need not exist.

    Raises:
        StorageError: a file cannot be removed.
    """
    for folder in folders:
        with storage_errors(folder):
            for stray in folder.glob(".*.tmp"):
                stray.unlink(missing_ok=True)
