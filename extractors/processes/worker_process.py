"""A process of our own with a pipe to it. It imports little, because every such process imports it at its start."""

import multiprocessing
import os
from collections.abc import Callable
from importlib import import_module
from multiprocessing.connection import Connection


class WorkerProcess:
    """A spawned process, whose libraries use one thread, and the parent's end of the pipe to it.

    Args:
        target: a function of a module; its first argument is the process's end of the pipe.
        args: further arguments of `target`.
        name: the name of the process.

    Attributes:
        connection: the parent's end of the pipe.

    Raises:
        OSError: the system starts no further process.
    """

    def __init__(self, target: Callable[..., None], *args: object, name: str) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection: Connection
        self.connection, child_end = context.Pipe()
        call = (target.__module__, target.__name__, child_end, *args)
        self._process = context.Process(target=_run, args=call, name=name, daemon=True)
        try:
            self._process.start()
        except BaseException:
            self.connection.close()
            raise
        finally:
            child_end.close()  # without the parent's copy, the pipe closes when the process ends

    @property
    def exit_code(self) -> int | None:
        """The exit code; None while the process runs."""
        return self._process.exitcode

    def kill(self) -> None:
        """Kill the process without waiting for its end."""
        self._process.kill()

    def end(self) -> None:
        """Kill the process and close the pipe; a worker holds nothing that needs cleaning up."""
        self._process.kill()
        self._process.join()
        self.connection.close()


def _run(module: str, function: str, *args: object) -> None:
    """Call a function in the new process, and import its module only now: libraries start their threads at import."""
    os.environ.update({"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})
    getattr(import_module(module), function)(*args)


def silence_native_output() -> None:
    """Discard the direct output of native libraries to standard error, as it disturbs the parent's progress display."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
