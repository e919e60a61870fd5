"""How stages tell what they are doing, without knowing a terminal."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

Stop = Callable[[], bool]


class Tracker(Protocol):
    """One long piece of work."""

    def advance(self, steps: int = 1) -> None:
        """So many more of the total are done."""

    def note(self, text: str) -> None:
        """A short text beside the bar, such as a rate."""


class Reporter(Protocol):
    """Where a stage sends its lines and its progress."""

    def say(self, line: str) -> None:
        """A line about what is done."""

    def warn(self, line: str) -> None:
        """A line that the user should not overlook."""

    def track(self, title: str, total: int) -> AbstractContextManager[Tracker]:
        """Show the progress of `total` steps while the context lasts."""


class SilentReporter:
    """Shows nothing; for tests and for use from other programs."""

    def say(self, line: str) -> None:
        """Nothing is shown."""

    def warn(self, line: str) -> None:
        """Nothing is shown."""

    @contextlib.contextmanager
    def track(self, title: str, total: int) -> Iterator[Tracker]:  # noqa: ARG002 - the interface
        """Nothing is shown."""
        yield _SilentTracker()


class _SilentTracker:
    def advance(self, steps: int = 1) -> None:
        """Nothing is shown."""

    def note(self, text: str) -> None:
        """Nothing is shown."""


def never_stop() -> bool:
    """Nobody wants it to."""
    return False
