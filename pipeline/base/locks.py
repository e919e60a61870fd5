"""Locks between processes: a lock file that one process holds, and a JSON file next to it that names this process.

The operating system frees a lock when its process ends in any way, so a killed process blocks no other. The JSON file
is used only for messages.
"""

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import filelock

from pipeline.base.errors import StorageError
from pipeline.base.files import make_folder, read_document, refuse_endless, storage_errors


class LockHeldError(Exception):
    """Raised when another process holds a lock; the message names this process if it is known."""


@dataclass(frozen=True)
class _Holder:
    """The process that holds a lock, as its JSON file names it."""

    pid: int
    host: str
    command: str


@contextlib.contextmanager
def held(path: Path, command: str, *, wait_seconds: float = 0.0) -> Iterator[None]:
    """Hold a lock during the context.

    Args:
        path: the lock file; the holder is recorded in a file with the same name and the ending .json.
        command: the command of this process, for the message that another process shows.
        wait_seconds: longest time to wait for a process that holds the lock.

    Raises:
        LockHeldError: another process still holds the lock after `wait_seconds`.
        StorageError: the folder cannot be written, or its file system does not support locks.
    """
    make_folder(path.parent)
    holder_file = path.with_suffix(".json")
    lock = filelock.FileLock(path, timeout=wait_seconds)
    with storage_errors(path):
        try:
            lock.acquire()
        except filelock.Timeout as error:  # a subclass of OSError, so it is caught first
            raise LockHeldError(_holder(holder_file)) from error
        except NotImplementedError as error:
            raise StorageError(
                f"{path.parent} is on a file system without locks: choose another folder with --workspace"
            ) from error
    try:
        with storage_errors(holder_file):
            holder_file.write_text(json.dumps(asdict(_Holder(os.getpid(), socket.gethostname(), command))))
        yield
    finally:
        holder_file.unlink(missing_ok=True)
        lock.release()


@contextlib.contextmanager
def held_for_reading(path: Path) -> Iterator[None]:
    """Hold a lock that this process may not write, so that nobody takes it during the context.

    Without a lock file nobody has ever taken the lock here, or the file system is read-only: then nothing is held.

    Args:
        path: the lock file.

    Raises:
        LockHeldError: another process holds the lock.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(ImportError, FileNotFoundError, PermissionError):  # Windows has no fcntl
            import fcntl  # noqa: PLC0415 - as above

            if path.exists():
                refuse_endless(path)
            file = stack.enter_context(path.open("rb"))  # the lock is freed when it is closed
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise LockHeldError(_holder(path.with_suffix(".json"))) from error
            except OSError:  # a file system without locks, such as some network drives
                pass
        yield


def holder_of(path: Path) -> str | None:
    """Describe the process that holds a lock; None if it is free. This takes a free lock for a moment."""
    try:
        with filelock.FileLock(path, timeout=0):
            return None
    except filelock.Timeout:
        return _holder(path.with_suffix(".json"))
    except OSError:  # it may not be written
        try:
            with held_for_reading(path):
                return None
        except LockHeldError as error:
            return str(error)


def _holder(holder_file: Path) -> str:
    """Describe the holder of a lock by its JSON file; "another avzsl process" if that file is missing or damaged."""
    try:
        holder = read_document(holder_file, _Holder, StorageError)
    except StorageError:
        return "another avzsl process"
    return f"avzsl {holder.command} (process {holder.pid} on {holder.host})"
