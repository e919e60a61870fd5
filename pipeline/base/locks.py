"""Locks between processes: a file that one process holds, and beside it a file that says who that is.

The operating system frees a lock when its process ends, however it ends, so a lock left by a killed process is no
obstacle; the file beside it only serves the message.
"""

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import filelock

from pipeline.base.errors import StorageError
from pipeline.base.files import make_folder, storage_errors


class LockHeldError(Exception):
    """Another process holds a lock; the message says which, as far as is known."""


@contextlib.contextmanager
def held(path: Path, command: str, *, wait_seconds: float = 0.0) -> Iterator[None]:
    """Hold a lock while the context lasts.

    Args:
        path: the lock's file; who holds it stands in `path` with the ending .json.
        command: what this process does, for the message that another one gets.
        wait_seconds: how long to wait for a process that holds it.

    Raises:
        LockHeldError: another process holds it, for longer than that.
        StorageError: the folder cannot be written, or its file system has no locks.
    """
    make_folder(path.parent)
    holder_file = path.with_suffix(".json")
    lock = filelock.FileLock(path, timeout=wait_seconds)
    with storage_errors(path):
        try:
            lock.acquire()
        except filelock.Timeout as error:  # an OSError, so it is caught first
            raise LockHeldError(_holder(holder_file)) from error
        except NotImplementedError as error:
            raise StorageError(
                f"{path.parent} is on a file system without locks: choose another folder with --workspace"
            ) from error
    try:
        with storage_errors(holder_file):
            holder_file.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "command": command}))
        yield
    finally:
        holder_file.unlink(missing_ok=True)
        lock.release()


def holder_of(path: Path) -> str | None:
    """Who holds a lock; None: nobody does. Holds it itself for a moment to find out."""
    try:
        with filelock.FileLock(path, timeout=0):
            return None
    except filelock.Timeout:
        return _holder(path.with_suffix(".json"))


def _holder(holder_file: Path) -> str:
    """Who holds a lock, as far as its file tells."""
    try:
        holder = json.loads(holder_file.read_text())
        return f"avzsl {holder['command']} (process {holder['pid']} on {holder['host']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another avzsl process"
