"""Standard input, output and error: open, able to write every name, and checked when the command ends."""

import os
import sys

from cli.console import OutputError, drop_documents, fail, output_errors

_DESCRIPTORS = (0, 1, 2)


def open_closed_streams() -> None:
    """Open the null device in place of each closed standard stream.

    Some launchers close them. The next file that is opened would then get their number, and a library that writes a
    warning would write it into a data file.
    """
    for descriptor in _DESCRIPTORS:
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115 - open until the process ends
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115


def write_any_character() -> None:
    """Let both output streams write what their encoding lacks as an escape, instead of an error after all work."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None and stream.errors == "strict":
            reconfigure(errors="backslashreplace")


def flushed(code: int) -> int:
    """Write what is left of standard output, and return the exit code: 1 if that fails, as on a full disk."""
    try:
        with output_errors():
            sys.stdout.flush()
    except BrokenPipeError:
        silence_output()
        return 1
    except OutputError as error:
        silence_output()
        fail(str(error))
        return 1
    return code


def silence_output() -> None:
    """Write nothing more to standard output, not even when Python flushes it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    drop_documents()
