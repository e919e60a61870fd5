"""Standard input, output and error: open, able to write every name, and with one answer to a write that fails.

This holds for everything that this process writes, also for what typer, rich and other libraries write.
"""

import codecs
import io
import os
import select
import sys
from typing import Any, TextIO

_DESCRIPTORS = (0, 1, 2)
_UTF8_MODE = ["-X", "utf8"]
_ESCAPES = "+escapes"  # follows the name of an error handler
_documents: list[TextIO] = []  # the stream for documents, once standard output is guarded


class OutputError(Exception):
    """Raised when standard output cannot be written, as on a full disk."""


def prepare_streams() -> None:
    """Make the standard streams of this process safe to use; call this once, before anything is written.

    What cannot be written to standard error is lost, because a note must not stop the work. Standard output contains
    the result, so a failed write there raises OutputError, or BrokenPipeError if the reader has closed it.
    """
    _replace_unusable_descriptors()
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115 - open until the process ends
    sys.stdout = _checked(sys.stdout or open(os.devnull, "w", encoding="utf-8"), _Output)  # noqa: PTH123, SIM115
    sys.stderr = _checked(sys.stderr or open(os.devnull, "w", encoding="utf-8"), _Notes)  # noqa: PTH123, SIM115


def restart_in_utf8() -> None:
    """Run this command again, in Python's UTF-8 mode, if Python can name only files with ASCII names.

    It is so in the C locale with PYTHONUTF8=0. The names of classes and videos are kept in UTF-8, and Python would fail
    at every other name. The output keeps its encoding.
    """
    if sys.getfilesystemencoding() != "ascii" or sys.orig_argv[1:3] == _UTF8_MODE or not sys.executable:
        return
    output = f"{sys.stdout.encoding}:{sys.stdout.errors}" if sys.stdout else "ascii"
    environment = {"PYTHONIOENCODING": output, **os.environ}
    os.execve(sys.executable, [sys.executable, *_UTF8_MODE, *sys.orig_argv[1:]], environment)  # noqa: S606 - ourselves


def guard_standard_output() -> None:
    """Keep standard output for documents: what libraries write there, in any language, goes to standard error."""
    sys.stdout.flush()
    kept = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    encoding, errors = sys.stdout.encoding, sys.stdout.errors
    documents = open(kept, "w", encoding=encoding, errors=errors)  # noqa: PTH123, SIM115 - open until the process ends
    _documents.append(_checked(documents, _Output))
    sys.stdout = _checked(sys.stdout, _Notes)


def document_stream() -> TextIO:
    """Return the stream for documents: standard output, or what was kept of it when it was guarded."""
    return _documents[-1] if _documents else sys.stdout


def flush_output() -> None:
    """Write what is left of standard output.

    Raises:
        OutputError: it cannot be written.
        BrokenPipeError: the reader has closed it.
    """
    sys.stdout.flush()


def silence_output() -> None:
    """Write nothing more to standard output, not even when Python flushes it at its end."""
    for stream in (sys.stdout, *_documents):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _replace_unusable_descriptors() -> None:
    """Open the null device in place of each standard descriptor that is closed, or open for the wrong purpose.

    Some launchers close them. The next file that is opened then gets their number, in this process or in the launcher:
    bash opens its script so. A library that writes a warning would write it into a data file. Nothing is written to
    the file that is replaced.
    """
    for descriptor in _DESCRIPTORS:
        if not _is_usable(descriptor):
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
            os.set_inheritable(descriptor, True)  # else it is closed again in each worker process


def _is_usable(descriptor: int) -> bool:
    """Return whether a descriptor is open, for reading if it is standard input, and else for writing."""
    try:
        os.fstat(descriptor)
        import fcntl

        mode = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
    except ImportError:  # not on Windows
        return True
    except OSError:
        return False
    return mode != (os.O_WRONLY if descriptor == 0 else os.O_RDONLY)


class _Output(io.RawIOBase):
    """Standard output without a buffer.

    Args:
        stream: a stream; it is kept, because it would close its file at its end.
        file: the file behind its buffer.
    """

    def __init__(self, stream: TextIO, file: Any) -> None:  # noqa: ANN401 - RawIOBase, FileIO or one of ours
        self._stream, self._file = stream, file

    def writable(self) -> bool:
        """Return that it can be written, as every file for text must."""
        return True

    def fileno(self) -> int:
        """Return the descriptor."""
        return int(self._file.fileno())

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return bool(self._file.isatty())

    def write(self, content: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]
        """Write bytes, and return how many were written.

        Raises:
            OutputError: they cannot be written.
            BrokenPipeError: the reader has closed the pipe.
        """
        try:
            return self._write(content)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(f"standard output cannot be written: {error.strerror or error}") from error

    def _write(self, content: "bytes | bytearray | memoryview") -> int:
        while (written := self._file.write(content)) is None:  # a full pipe that another process made non-blocking
            select.select([], [self._file], [])
        return int(written)


class _Notes(_Output):
    """Standard error without a buffer: what cannot be written is lost."""

    def write(self, content: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]
        """Write bytes if possible, and return their number."""
        try:
            return self._write(content)
        except (OSError, OutputError):
            return len(content)


def _checked(stream: TextIO, kind: type[_Output]) -> TextIO:
    """Return a stream to the same file that answers failed writes as `kind` does, and can write any character."""
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    raw: Any = getattr(stream.buffer, "raw", None)  # None with python -u
    checked: Any = kind(stream, raw or stream.buffer)
    return io.TextIOWrapper(
        io.BufferedWriter(checked) if raw else checked,
        stream.encoding,
        _with_escapes(stream.errors or "strict"),
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _with_escapes(name: str) -> str:
    """Register an error handler that writes as an escape what the handler `name` cannot write; return its name.

    Else a character that the encoding lacks would be an error after all work.
    """
    if name.endswith(_ESCAPES):
        return name

    def write(error: UnicodeError) -> tuple[str | bytes, int]:
        if not isinstance(error, UnicodeEncodeError):
            raise error
        one = UnicodeEncodeError(error.encoding, error.object, error.start, error.start + 1, error.reason)
        try:
            return codecs.lookup_error(name)(one)
        except (UnicodeError, LookupError):
            return codecs.backslashreplace_errors(one)

    codecs.register_error(name + _ESCAPES, write)
    return name + _ESCAPES
