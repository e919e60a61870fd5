"""Long work asks now and then whether the user wants it to stop."""

from collections.abc import Callable

Stop = Callable[[], bool]


def never_stop() -> bool:
    """Nobody wants it to."""
    return False
