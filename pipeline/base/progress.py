"""Interfaces through which stages report their progress; stages do not depend on a terminal."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

Stop = Callable[[], bool]


class Tracker(Protocol):
    """The progress display of one long piece of work."""

    def advance(self, steps: int = 1) -> None:
        """Advance by `steps` of the total."""

    def note(self, text: str) -> None:
        """Show a short text next to the progress bar, such as a speed."""


class Reporter(Protocol):
    """The receiver of a stage's messages and progress."""

    def say(self, line: str) -> None:
        """Show a line about the work."""

    def warn(self, line: str) -> None:
        """Show a line that the user should not overlook."""

    def track(self, title: str, total: int) -> AbstractContextManager[Tracker]:
        """Show the progress of `total` steps during the context."""


class SilentReporter:
    """A reporter that shows nothing, for tests and for use from other programs."""

    def say(self, line: str) -> None:
        """Show nothing."""

    def warn(self, line: str) -> None:
        """Show nothing."""

    @contextlib.contextmanager
    def track(self, title: str, total: int) -> Iterator[Tracker]:  # noqa: ARG002 - the interface
        """Show nothing."""
        yield _SilentTracker()


class _SilentTracker:
    def advance(self, steps: int = 1) -> None:
        """Show nothing."""

    def note(self, text: str) -> None:
        """Show nothing."""


def never_stop() -> bool:
    """Never stop."""
    return False
