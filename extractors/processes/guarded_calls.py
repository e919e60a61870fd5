"""Call functions in other processes, because native libraries may crash or hang."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import TypeVar

from pebble import ProcessExpired, ProcessPool

from extractors.errors import VideoError
from extractors.processes.worker_process import silence_native_output

ResultT = TypeVar("ResultT")
_QUEUED_PER_WORKER = 4  # enough that no worker waits for the parent; more would only use memory


def call_guarded(function: Callable[[Path], ResultT], path: Path, *, limit_seconds: float) -> ResultT:
    """Call a function with a path, in another process.

    Args:
        function: a function of a module, so that another process can import it.
        path: the path of a video.
        limit_seconds: time after which the process is killed.

    Raises:
        VideoError: an error of the function, a crash of the process, or a call that took too long.
    """
    ((_, answer),) = call_guarded_each(function, [path], workers=1, limit_seconds=limit_seconds)
    if isinstance(answer, VideoError):
        raise answer
    return answer


def call_guarded_each(
    function: Callable[[Path], ResultT], paths: Sequence[Path], *, workers: int, limit_seconds: float
) -> Iterator[tuple[Path, ResultT | VideoError]]:
    """Call a function with every path, in several processes; a call that crashes or hangs fails alone.

    Args:
        function: a function of a module, so that another process can import it.
        paths: the paths of videos.
        workers: number of processes.
        limit_seconds: time after which a call fails and its process is killed.

    Yields:
        Each path with the function's result or an error, in the order in which the calls end.

    Raises:
        ValueError: `workers` less than 1.
    """
    if workers < 1:
        raise ValueError(f"workers is {workers}; at least one process must work")
    if not paths:
        return
    waiting = iter(paths)
    calls: dict[Future[ResultT], Path] = {}
    workers = min(workers, len(paths))
    pool = ProcessPool(
        max_workers=workers, context=multiprocessing.get_context("spawn"), initializer=silence_native_output
    )
    try:
        while True:
            while len(calls) < workers * _QUEUED_PER_WORKER and (path := next(waiting, None)) is not None:
                calls[pool.schedule(function, args=(path,), timeout=limit_seconds)] = path
            if not calls:
                return
            for call in wait(calls, return_when=FIRST_COMPLETED).done:
                path, answer = calls.pop(call), _answer(call, limit_seconds)
                yield path, answer
    finally:
        pool.stop()  # type: ignore[no-untyped-call]  # pebble has no annotation
        pool.join()


def _answer(call: "Future[ResultT]", limit_seconds: float) -> ResultT | VideoError:
    """Return the result of a finished call, or the error that ended it."""
    try:
        return call.result()
    except VideoError as error:
        return error
    except TimeoutError:
        return VideoError(f"it was not read within {limit_seconds:g} s: given up")
    except ProcessExpired as error:
        return VideoError(f"the process that read it exited unexpectedly (exit code {error.exitcode})")
    except Exception as error:  # noqa: BLE001 - a bug fails only the file that triggers it; the message names the bug
        return VideoError(f"unexpected {type(error).__name__} while reading it: {error}")
