"""Write files whole or not at all, and turn disk errors into messages that say what to do."""

import contextlib
import errno
import hashlib
import json
import math
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pydantic

from pipeline.base.errors import NotTextError, StorageError
from pipeline.base.wording import OBEYED, not_a_file

ShapeT = TypeVar("ShapeT")
_FULL_DISK = {errno.ENOSPC, errno.EDQUOT}
_CHECKSUM = "checksum"  # of a JSON document, over all its other entries
_NOT_PERMITTED = {errno.EACCES, errno.EPERM}


def errno_of(error: OSError) -> int | None:
    """Find the error number of an error; HDF5 gives it only in the text of its message."""
    if error.errno is not None:
        return error.errno
    in_message = re.search(r"errno = (\d+)", str(error))
    return int(in_message.group(1)) if in_message else None


def storage_error(error: OSError, path: Path) -> StorageError:
    """Convert an operating system's error about `path` to one line that says what to do."""
    number = errno_of(error)
    if number in _FULL_DISK:
        return StorageError(
            f"no space left on the disk of {path}: free some and run the command again (what is finished is kept)"
        )
    if number == errno.EROFS or (number in _NOT_PERMITTED and is_read_only(path)):
        return StorageError(f"{path} cannot be written: its file system is read-only. Choose another path")
    if number in _NOT_PERMITTED:
        return StorageError(f"{path}: permission denied. Choose another path or change its permissions")
    if number == errno.ENOENT:
        return StorageError(f"{path} does not exist")
    return StorageError(f"{path}: {error.strerror or error}")


def may_not_be_written(error: StorageError) -> bool:
    """Return whether an error says that a path may not be written: a read-only file system, or missing rights."""
    cause = error.__cause__
    return isinstance(cause, OSError) and errno_of(cause) in {errno.EROFS, *_NOT_PERMITTED}


def is_read_only(path: Path) -> bool:
    """Return whether a path, or the nearest folder above it that exists, is on a file system mounted read-only."""
    existing = next((one for one in (path, *path.absolute().parents) if one.exists()), None)
    try:
        return existing is not None and bool(os.statvfs(existing).f_flag & os.ST_RDONLY)
    except (AttributeError, OSError):  # Windows has no statvfs
        return False


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
    """Write a file whole or not at all: write to a temporary file next to `path`, which replaces `path` at the end.

    The temporary file is flushed to disk before it replaces `path`. If the body raises an error, `path` is not changed
    and the temporary file is removed.

    Yields:
        The temporary path.

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
    """Read the umask of the process; this is possible only by setting it for a moment."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def make_folder(path: Path) -> Path:
    """Create a folder and its parents, and return it.

    Raises:
        StorageError: the folder cannot be created.
    """
    with storage_errors(path):
        _make_folders(path)
    return path


def _make_folders(path: Path) -> None:
    """Create a folder and its parents so that they also survive a loss of power."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    if os.name == "posix":
        for folder in missing:
            _fsync(folder.parent)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all. Where nothing may be written, a file that holds the text is enough.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    content = text.encode("utf-8", "surrogateescape")
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    except StorageError as error:
        if not (may_not_be_written(error) and _holds(path, content)):
            raise


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except OSError:
        return False


def read_bytes(path: Path) -> bytes:
    """Read a whole file.

    Raises:
        StorageError: the file cannot be read, or is a pipe or a device, which may never end.
    """
    refuse_endless(path)
    with storage_errors(path):
        return path.read_bytes()


def refuse_endless(path: Path) -> None:
    """Refuse a pipe, a socket or a device: to open one may wait for ever.

    Raises:
        StorageError: the path is one of them, or does not exist.
    """
    with storage_errors(path):
        mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise StorageError(not_a_file(path))


def read_text(path: Path, *, errors: str = "strict") -> str:
    """Read a whole UTF-8 text file; keep its line ends, but drop the byte order mark that some editors write.

    Args:
        path: the file.
        errors: treatment of bytes that are not UTF-8, as for `bytes.decode`; `strict` raises NotTextError.

    Raises:
        NotTextError: the file is not UTF-8.
        StorageError: the file cannot be read.
    """
    content = read_bytes(path)
    try:
        return content.decode("utf-8-sig", errors)
    except UnicodeDecodeError as error:
        raise NotTextError(f"{path} is not a text file in UTF-8: save it as UTF-8, or give another") from error


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON document whole or not at all, indented for people; its last entry is its checksum."""
    plain = json.loads(to_json(document))  # as it will be read
    write_text(path, to_json({**plain, _CHECKSUM: fingerprint(plain)}, indent=2) + "\n")


def to_json(document: Any, indent: int | None = None) -> str:  # noqa: ANN401 - any JSON value
    """Convert a document to strict JSON that a terminal may show: an undefined number (NaN, infinity) becomes null."""
    text = json.dumps(_defined(document), indent=indent, ensure_ascii=False, allow_nan=False)
    return OBEYED.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _defined(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, Mapping):
        return {key: _defined(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_defined(entry) for entry in value]
    if isinstance(value, float):  # numpy's float64 is a float too
        return float(value) if math.isfinite(value) else None
    return value


def read_json(path: Path, damage: Callable[[str], Exception] | None = None) -> Any:  # noqa: ANN401 - any JSON value
    """Read a JSON document, and compare it with its checksum if it has one.

    Args:
        path: the file.
        damage: makes the error to raise about a damaged file from a description of the fault; None for a StorageError
            that says to make the file again.

    Returns:
        The document, without the checksum.

    Raises:
        StorageError: the file cannot be read, or is damaged.
    """

    def damaged(fault: str) -> Exception:
        remedy = "Delete it and run the command that makes it again"
        return damage(fault) if damage else StorageError(f"{path} is damaged ({fault}). {remedy}")

    content = read_bytes(path)
    try:
        # write_text writes paths that are not UTF-8 like this.
        document = json.loads(content.decode("utf-8", "surrogateescape"))
        if not isinstance(document, dict) or _CHECKSUM not in document:
            return document
        written = document.pop(_CHECKSUM)
        differs = fingerprint(document) != written
    except (ValueError, RecursionError) as error:  # fingerprint walks as deep as json.loads does
        raise damaged(f"not JSON: {error}") from error
    if differs:
        raise damaged("its content is not what was written")
    return document


def checked_document(document: object, shape: type[ShapeT], damage: Callable[[str], Exception]) -> ShapeT:
    """Check that a document read from a file has the shape that avzsl writes.

    Args:
        document: a JSON value.
        shape: a type that pydantic can validate, such as a dataclass.
        damage: makes the error to raise from a description of the first fault.

    Returns:
        The document as `shape`.
    """
    try:
        return pydantic.TypeAdapter(shape).validate_python(document)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        location = ".".join(map(str, first["loc"])) or "document"
        raise damage(f"{location}: {first['msg']}") from error


def read_document(path: Path, shape: type[ShapeT], damage: Callable[[str], Exception]) -> ShapeT:
    """Read a JSON document, and check that it is what avzsl wrote: its checksum, and its shape.

    Args:
        path: the file.
        shape: a type that pydantic can validate, such as a dataclass.
        damage: makes the error to raise about a damaged file from a description of the fault.

    Raises:
        StorageError: the file cannot be read.
    """
    return checked_document(read_json(path, damage), shape, damage)


def fingerprint(document: Any) -> str:  # noqa: ANN401 - any JSON value
    """Compute a short hash of a JSON value; the order of keys does not matter."""
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]
