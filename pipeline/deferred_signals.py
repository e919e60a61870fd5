"""Signals that wait while foreign code is at work that cannot be left in the middle."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


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
