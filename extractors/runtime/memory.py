"""Memory of the C library while networks run on a CPU."""

import contextlib
import ctypes
import functools
from collections.abc import Callable, Iterator

# Parameters of glibc's mallopt.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_NEVER = (1 << 31) - 1
# Older versions of glibc refuse a larger threshold.
_LARGEST_MMAP_THRESHOLDS = (1 << 30, 32 << 20)
# What glibc's own adaptation reaches in a process that frees large blocks.
_ADAPTED_TRIM, _ADAPTED_MMAP, _ADAPTED_ARENAS = 64 << 20, 32 << 20, 0


@contextlib.contextmanager
def kept_memory() -> Iterator[None]:
    """Let the C library keep what is freed, so that the next layer's activations find it.

    Without this, glibc maps and frees the large blocks of every layer anew, and the system clears each page again: 40 %
    of a network's processor time. Nothing changes where the C library is not glibc. Afterwards all freed memory is
    given back.
    """
    mallopt = _mallopt()
    if mallopt is None:
        yield
        return
    mallopt(_ARENA_MAX, 1)  # threads that start from now on share one stock
    any(mallopt(_MMAP_THRESHOLD, size) for size in _LARGEST_MMAP_THRESHOLDS)
    mallopt(_TRIM_THRESHOLD, _NEVER)
    try:
        yield
    finally:
        mallopt(_ARENA_MAX, _ADAPTED_ARENAS)
        mallopt(_MMAP_THRESHOLD, _ADAPTED_MMAP)
        mallopt(_TRIM_THRESHOLD, _ADAPTED_TRIM)
        give_back_freed_memory()


def give_back_freed_memory() -> None:
    """Return freed memory to the system. glibc keeps it in pieces, and over hours their number grows.

    This takes some milliseconds, and using the memory again costs the same time once more.
    """
    trim = _from_c_library("malloc_trim")
    if trim is not None:
        trim(0)


def _mallopt() -> Callable[[int, int], int] | None:
    # Other C libraries have a mallopt with other parameters, but no malloc_trim.
    return _from_c_library("mallopt") if _from_c_library("malloc_trim") else None


@functools.cache
def _from_c_library(name: str) -> Callable[..., int] | None:
    """Return a function of the C library, or None if it has none of that name."""
    try:
        function: Callable[..., int] = getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):
        return None
    return function
