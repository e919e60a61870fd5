"""Memory that was freed but that the C library keeps for later: giving it back to the system now and then."""

import ctypes
import functools
from collections.abc import Callable


@functools.cache
def _trim() -> Callable[[int], int] | None:
    """Glibc's malloc_trim; None where the C library is another."""
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None
    return trim


def give_back_freed_memory() -> None:
    """Have the system take back what is free: glibc keeps it in pieces, and over hours there are more and more of them.

    It takes some milliseconds, and using the memory again costs as much once more.
    """
    trim = _trim()
    if trim is not None:
        trim(0)
