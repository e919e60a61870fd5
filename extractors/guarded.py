"""One call in a process of its own, for what native libraries may crash or hang on."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeVar, cast

from extractors.errors import VideoError

ResultT = TypeVar("ResultT")


def call_guarded(function: Callable[[Path], ResultT], path: Path, *, limit_seconds: float) -> ResultT:
    """What `function(path)` returns.

    Args:
        function: of a module, so that another process can import it.
        path: of a video.
        limit_seconds: after so long the process is killed.

    Raises:
        VideoError: that of the function; or the process crashed, or took too long.
    """
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(sending, function, path), name="avzsl-guarded", daemon=True)
    process.start()
    # With the parent's copy closed, the end of the process is the end of the pipe.
    sending.close()
    try:
        if not receiving.poll(limit_seconds):
            raise VideoError(f"it was not read within {limit_seconds:g} s: given up")
        answer = receiving.recv()
    except EOFError as error:
        process.join()
        raise VideoError(f"the process that read it ended by itself (exit code {process.exitcode})") from error
    finally:
        process.kill()
        process.join()
        receiving.close()
    if isinstance(answer, VideoError):
        raise answer
    return cast("ResultT", answer)


def _answer(connection: Connection, function: Callable[[Path], object], path: Path) -> None:
    """Send what the function returns, or its error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # only the parent decides what Ctrl-C means
    # Native libraries write to descriptor 2 past Python.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        connection.send(function(path))
    except VideoError as error:
        connection.send(error)
