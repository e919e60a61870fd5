"""Let another process read an HDF5 file first, because a damaged file can stop or fill the process that reads it."""

import atexit
import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import NamedTuple

_WALK = Path(__file__).with_name("walk.py")
# The process limits its own processor time. These limits are for a busy machine, or a disk that does not answer.
_LEAST_SECONDS = 120.0
_BYTES_PER_SECOND = 1_000_000
_NO_END = "the HDF5 library finds no end in it"
_PROCESSOR_LIMIT = getattr(signal, "SIGXCPU", 0)
_CRASHED = "the HDF5 library crashed on it"
# A file does not send these: the process was ended from outside, perhaps before it had a session of its own.
_ENDED_FROM_OUTSIDE = {
    -number for name in ("SIGHUP", "SIGINT", "SIGTERM", "SIGKILL") if (number := getattr(signal, name, 0))
}
_ATTEMPTS = 3


class _EndedError(Exception):
    """The process was ended from outside before it answered."""


class _Walker:
    """A process that walks through one file after the other; it ends when this process ends.

    Raises:
        OSError: the system starts no further process, or it ends before it is ready.
        _EndedError: the process was ended from outside.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-P", str(_WALK)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is not for it
        )
        self._answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        try:
            threading.Thread(target=self._listen, daemon=True).start()
        except RuntimeError as error:  # "can't start new thread"
            self.stop()
            raise OSError(str(error)) from error
        if (fault := self._answer(_LEAST_SECONDS)) is not None:
            raise OSError(f"the process that reads HDF5 files did not start: {fault}")

    def _listen(self) -> None:
        for line in self._process.stdout or ():
            self._answers.put(line)
        self._answers.put(b"")  # the process has ended

    def fault_in(self, path: Path, size_bytes: int) -> str | None:
        """Return the first fault of a file, or None. If the process ended, `is_running` is False.

        Raises:
            _EndedError: the process was ended from outside.
        """
        request = json.dumps({"path": os.fsencode(path).hex()}) + "\n"
        with contextlib.suppress(BrokenPipeError):  # the process has ended, as its answer tells
            if self._process.stdin is not None:
                self._process.stdin.write(request.encode())
                self._process.stdin.flush()
        return self._answer(_LEAST_SECONDS + size_bytes / _BYTES_PER_SECOND)

    def _answer(self, patience_seconds: float) -> str | None:
        """Wait for the next answer: a fault, or None."""
        try:
            answer = self._answers.get(timeout=patience_seconds)
        except queue.Empty:
            self.stop()
            return f"it could not be read within {patience_seconds:.0f} s"
        if not answer:
            code = self._process.wait()
            if code in _ENDED_FROM_OUTSIDE:
                raise _EndedError
            return _NO_END if code == -_PROCESSOR_LIMIT else _CRASHED
        fault = json.loads(answer)["fault"]
        return None if fault is None else str(fault)

    @property
    def is_running(self) -> bool:
        """Whether the process can walk through another file."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


class _State(NamedTuple):
    """What changes when a file changes."""

    path: str
    inode: int
    size_bytes: int
    changed_ns: int


def _state(path: Path) -> _State:
    stat = path.stat()
    return _State(str(path.absolute()), stat.st_ino, stat.st_size, stat.st_mtime_ns)


class _Guard:
    """Remembers which files are whole, and starts the process when it is needed."""

    def __init__(self) -> None:
        self._walker: _Walker | None = None
        self._whole: set[_State] = set()
        self._lock = threading.Lock()
        atexit.register(self.stop)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        """Leave the process to the parent of this fork, which has no thread that could hear the answers."""
        self._walker, self._lock = None, threading.Lock()

    def fault_in(self, path: Path) -> str | None:
        """Return why a file cannot be read, or None."""
        state = _state(path)
        with self._lock:
            if state in self._whole:
                return None
            for _ in range(_ATTEMPTS):
                try:
                    if self._walker is None or not self._walker.is_running:
                        self._walker = _Walker()
                    fault = self._walker.fault_in(path.absolute(), state.size_bytes)
                except _EndedError:
                    continue  # a signal for a whole group of processes may have met it
                except OSError:  # no further process may be started: read without this precaution
                    return None
                if fault is None:
                    self._whole.add(state)
                return fault
            return "the process that read it was ended from outside"

    def remember_whole(self, path: Path) -> None:
        """Remember that a file is whole, as it is now."""
        self._whole.add(_state(path))

    def stop(self) -> None:
        """End the process, if there is one."""
        if self._walker is not None:
            self._walker.stop()


_GUARD = _Guard()


def fault_in(path: Path) -> str | None:
    """Let another process walk through an HDF5 file.

    A file that was whole and has not changed since is not read again.

    Args:
        path: an existing file.

    Returns:
        The first fault; None if reading the file ends, and the file holds what it declares.

    Raises:
        OSError: the file does not exist.
    """
    return _GUARD.fault_in(path)


def remember_whole(path: Path) -> None:
    """Remember that this process wrote a whole HDF5 file, so that no other process reads it before this one does."""
    _GUARD.remember_whole(path)
