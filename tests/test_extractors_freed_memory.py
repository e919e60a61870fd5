"""extractors/freed_memory.py: what is free goes back to the system."""

import ctypes
from pathlib import Path

import pytest

from extractors.freed_memory import give_back_freed_memory


def resident_mib() -> float:
    """The memory that this process has now (Linux)."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS"))


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library is not glibc")
def test_freed_memory_goes_back_though_something_lies_behind_it() -> None:
    """Pieces too small to be mapped on their own, and one at the end that stays."""
    library = ctypes.CDLL(None)
    library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    library.free.argtypes = [ctypes.c_void_p]
    pieces = [library.malloc(100_000) for _ in range(1000)]
    for piece in pieces:
        ctypes.memset(piece, 1, 100_000)
    for piece in pieces[:-1]:
        library.free(piece)
    before = resident_mib()

    give_back_freed_memory()

    assert resident_mib() < before - 50
    library.free(pieces[-1])
