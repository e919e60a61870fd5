"""One function for many files in several processes; a file that crashes or hangs a native library costs only itself."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Generic, TypeVar, cast

from extractors.errors import VideoError

ResultT = TypeVar("ResultT")
# A new process imports its libraries first, on a loaded machine for long.
_START_LIMIT_SECONDS = 120.0


def call_guarded_each(
    function: Callable[[Path], ResultT], paths: Sequence[Path], *, workers: int, limit_seconds: float
) -> Iterator[tuple[Path, ResultT | VideoError]]:
    """What `function(path)` returns for every path, or its error, in the order in which they end.

    Args:
        function: of a module, so that another process can import it.
        paths: of videos.
        workers: how many processes.
        limit_seconds: after so long a process is killed, and its file has failed.

    Raises:
        ValueError: `workers` is less than 1.
    """
    if workers < 1:
        raise ValueError(f"workers is {workers}; at least one process must work")
    waiting = iter(paths)
    crew = [_Worker(function, limit_seconds) for _ in range(min(workers, len(paths)))]
    try:
        busy = [worker for worker in crew if worker.take(waiting)]
        while busy:
            ready = wait([worker.connection for worker in busy], timeout=min(worker.left_seconds for worker in busy))
            for worker in list(busy):
                if worker.connection not in ready and worker.left_seconds > 0:
                    continue
                path, answer = cast("Path", worker.path), worker.answer()
                if not worker.take(waiting):
                    busy.remove(worker)
                yield path, answer
    finally:
        for worker in crew:
            worker.end()


@dataclass
class _Worker(Generic[ResultT]):
    """A process that is replaced where it ends by itself or must be killed."""

    function: Callable[[Path], ResultT]
    limit_seconds: float
    path: Path | None = None

    def __post_init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection: Connection
        self.connection, its_end = context.Pipe()
        self._process = context.Process(target=_work, args=(its_end, self.function), name="avzsl-guarded", daemon=True)
        self._process.start()
        # With the parent's copy closed, the end of the process is the end of the pipe.
        its_end.close()
        self._limit_seconds = max(self.limit_seconds, _START_LIMIT_SECONDS)
        self._ends_at = 0.0

    @property
    def left_seconds(self) -> float:
        """Until the limit."""
        return max(0.0, self._ends_at - time.monotonic())

    def take(self, waiting: Iterator[Path]) -> bool:
        """Begin the next path; False where there is none."""
        self.path = next(waiting, None)
        if self.path is None:
            return False
        try:
            self.connection.send(self.path)
        except ConnectionError:  # it died while it had nothing to do, by no fault of this file
            self._replace()
            self.connection.send(self.path)
        self._ends_at = time.monotonic() + self._limit_seconds
        return True

    def answer(self) -> ResultT | VideoError:
        """What became of the path; the process is a new one where it crashed or hung."""
        try:
            if not self.connection.poll():
                self._replace()
                return VideoError(f"it was not read within {self.limit_seconds:g} s: given up")
            self._limit_seconds = self.limit_seconds
            return cast("ResultT | VideoError", self.connection.recv())
        except (EOFError, OSError):
            self._process.join()
            code = self._process.exitcode
            self._replace()
            return VideoError(f"the process that read it ended by itself (exit code {code})")

    def _replace(self) -> None:
        self.end()
        self.__post_init__()

    def end(self) -> None:
        """Kill the process: it holds nothing that would have to be put in order."""
        self._process.kill()
        self._process.join()
        self.connection.close()


def _work(connection: Connection, function: Callable[[Path], object]) -> None:
    """Answer paths until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # only the parent decides what Ctrl-C means
    # Native libraries write to descriptor 2 past Python.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    while True:
        try:
            path = connection.recv()
        except EOFError:
            return
        try:
            connection.send(function(path))
        except VideoError as error:
            connection.send(error)


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
