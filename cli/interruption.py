"""Ctrl-C during long work: the command finishes the current step and saves before it ends."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_ANSWER = b"avzsl: finishing the current work and saving; press Ctrl-C again to stop immediately\n"
_STANDARD_ERROR = 2


@contextlib.contextmanager
def interruption() -> Iterator[Callable[[], bool]]:
    """Turn the first SIGINT or SIGTERM inside the context into a request to stop; a second one interrupts immediately.

    Outside the main thread nothing changes, because Python allows signal handlers only in the main thread.

    Yields:
        A function that returns whether a stop was requested.

    Raises:
        KeyboardInterrupt: at the second signal, or at the end of the context if a stop was requested.
    """
    asked = False

    def handle(_signal: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        # Not with print: the handler may run during another print, whose buffer must not be entered twice.
        os.write(_STANDARD_ERROR, _ANSWER)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)  # None if set outside Python
    if asked:
        raise KeyboardInterrupt


@contextlib.contextmanager
def interruptions_remembered() -> Iterator[list[int]]:
    """Record each Ctrl-C in a list; it raises KeyboardInterrupt as usual.

    Yields:
        The signals received so far.
    """
    seen: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # Python handles signals only there
        yield seen
        return

    def interrupt(number: int, _frame: FrameType | None) -> None:
        seen.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before if before is not None else signal.SIG_DFL)  # None if set outside Python
