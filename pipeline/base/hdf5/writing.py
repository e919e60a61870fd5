"""Write HDF5 files whole or not at all, on a full disk too."""

import contextlib
import io
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py

from pipeline.base.files import replacing
from pipeline.base.hdf5.guard import remember_whole

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _RawFile(io.FileIO):
    """A raw file that stores its first write error instead of raising it.

    The HDF5 library crashes the whole process if the disk is full while it closes a file. So every write seems to
    succeed, and the caller checks `failure` afterwards.

    Attributes:
        failure: the first error; None if every write succeeded.
    """

    failure: OSError | None = None

    def write(self, data: Any, /) -> int:  # noqa: ANN401 - anything that contains bytes
        """Write all of `data`, in several steps if the system does not write everything at once."""
        rest = memoryview(data).cast("B")
        count = len(rest)
        try:
            while rest:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.failure = self.failure or error
        return count

    def truncate(self, size: int | None = None, /) -> int:
        """Set the length of the file in bytes."""
        try:
            return super().truncate(size)
        except OSError as error:
            self.failure = self.failure or error
            return size or 0


class _NewFile(h5py.File):  # type: ignore[misc]  # h5py has no types
    """A new HDF5 file that is being written."""

    def __init__(self, raw: _RawFile, handle_signals: Callable[[], None]) -> None:
        super().__init__(raw, "w")
        self._raw, self._handle_signals = raw, handle_signals

    def pause(self) -> None:
        """Raise the first write error and handle the signals that arrived; call this regularly during long work."""
        if self._raw.failure:
            raise self._raw.failure
        self._handle_signals()


@contextlib.contextmanager
def new_hdf5(path: Path) -> Iterator[Any]:
    """Open a new h5py.File to write to; it replaces `path` only when it is complete.

    Signals are handled only when the file's method `pause` is called, or at the end: the HDF5 library crashes if a
    Python exception interrupts it.

    Raises:
        StorageError: the disk is full or the folder cannot be written; `path` is not changed.
    """
    with deferred_signals() as handle_signals, replacing(path) as temporary, _RawFile(temporary, "w+") as raw:
        try:
            with _NewFile(raw, handle_signals) as file:
                yield file
        finally:
            if raw.failure:  # it is the cause of any error that HDF5 reports about the incomplete file
                raise raw.failure
    remember_whole(path)


@contextlib.contextmanager
def deferred_signals() -> Iterator[Callable[[], None]]:
    """Delay the handling of SIGINT and SIGTERM until the context ends.

    Only signals with a Python handler are delayed; a signal without one still ends the process at once. Outside the
    main thread nothing changes, as Python handles signals only in the main thread.

    Yields:
        A function that handles the signals so far; call it where the work may be interrupted.

    Raises:
        KeyboardInterrupt: at the end or in the yielded function, if the signal's handler raises it.
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
