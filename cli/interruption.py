"""Ctrl-C amid long work: what is under way is finished and saved before the command ends."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_ANSWER = b"avzsl: finishing what is under way, then saving; once more interrupts at once\n"
_STANDARD_ERROR = 2


@contextlib.contextmanager
def interruption() -> Iterator[Callable[[], bool]]:
    """While the context lasts, the first SIGINT or SIGTERM asks to stop, and a second one interrupts at once.

    Outside the main thread, where Python lets nobody handle signals, nothing changes.

    Yields:
        Whether it was asked to stop.

    Raises:
        KeyboardInterrupt: at the second signal; at the end of the context if the first one came too late to be heard.
    """
    asked = False

    def handle(_signal: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        # Not by print: a handler that runs amid another print would enter its buffer twice.
        os.write(_STANDARD_ERROR, _ANSWER)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)  # None: set outside Python
    if asked:
        raise KeyboardInterrupt


@contextlib.contextmanager
def interruptions_remembered() -> Iterator[list[int]]:
    """Ctrl-C interrupts as ever, and is put down in the list."""
    seen: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # Python lets no other handle signals
        yield seen
        return

    def interrupt(number: int, _frame: FrameType | None) -> None:
        seen.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before if before is not None else signal.SIG_DFL)  # None: set outside Python
