"""New HDF5 files that appear whole or not at all, on a full disk too."""

import contextlib
import io
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py

from pipeline.base.files import replacing

# What h5py raises on damaged bytes, found by flipping bits of small files. Catch these only around calls of h5py: an
# error in our own code must keep its traceback.
HDF5_ERRORS = (OSError, RuntimeError, LookupError, ValueError, TypeError)

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _PatientFile(io.FileIO):
    """A file that keeps its first failed write to itself.

    The HDF5 library crashes the whole process when the disk is full while it closes a file. So it is told that all
    went well, and whoever opened the file asks for `failure` afterwards.
    """

    failure: OSError | None = None

    def write(self, data: Any, /) -> int:  # noqa: ANN401 - anything with bytes in it
        """Write all of `data`, in several steps where the system takes only a part."""
        rest = memoryview(data).cast("B")
        count = len(rest)
        try:
            while rest:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.failure = self.failure or error
        return count

    def truncate(self, size: int | None = None, /) -> int:
        """Set the file's length."""
        try:
            return super().truncate(size)
        except OSError as error:
            self.failure = self.failure or error
            return size or 0


class _NewFile(h5py.File):  # type: ignore[misc]  # h5py has no types
    """An HDF5 file to fill."""

    def __init__(self, raw: _PatientFile, handle_signals: Callable[[], None]) -> None:
        super().__init__(raw, "w")
        self._raw, self._handle_signals = raw, handle_signals

    def pause(self) -> None:
        """Long work calls this now and then: raises what went wrong so far, and what Ctrl-C means."""
        if self._raw.failure:
            raise self._raw.failure
        self._handle_signals()


@contextlib.contextmanager
def new_hdf5(path: Path) -> Iterator[Any]:
    """An h5py.File to fill; it takes the place of `path` only when everything is in it.

    Signals wait meanwhile, as the HDF5 library crashes where Python leaves it in the middle; a call of the file's
    method `pause` handles them.

    Raises:
        StorageError: the disk is full or the folder cannot be written; what was at `path` is left as it was.
    """
    with deferred_signals() as handle_signals, replacing(path) as temporary, _PatientFile(temporary, "w+") as raw:
        try:
            with _NewFile(raw, handle_signals) as file:
                yield file
        finally:
            if raw.failure:  # whatever HDF5 says about a file that lacks a part comes from this
                raise raw.failure


@contextlib.contextmanager
def deferred_signals() -> Iterator[Callable[[], None]]:
    """Let SIGINT and SIGTERM wait until the context ends, where Python handles them; what ends at once still does.

    Outside the main thread, where Python handles no signals, nothing changes.

    Yields:
        Handles what has come so far: to be called where the work can be left.

    Raises:
        KeyboardInterrupt: at the end, or in what is yielded, if that is how a signal is handled.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    arrived: list[int] = []
    handlers = {number: handler for number in _SIGNALS if callable(handler := signal.getsignal(number))}

    def handle() -> None:
        while arrived:
            number = arrived.pop(0)
            handlers[signal.Signals(number)](number, None)

    for number in handlers:
        signal.signal(number, lambda number, _: arrived.append(number))
    try:
        yield handle
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        handle()
