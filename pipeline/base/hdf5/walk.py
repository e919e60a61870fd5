"""Walk through HDF5 files in a process of its own, which `guard` starts and may kill.

On damaged bytes the HDF5 library can search without end, crash, or take any memory. This program makes the calls that
a reader would make. It reads one JSON line per file from standard input, and answers with one JSON line: the first
fault, or null. It imports nothing of this project, so that it starts in a fraction of a second.
"""

import contextlib
import json
import math
import os
import sys
import time
from typing import Any

import h5py
import numpy as np

with contextlib.suppress(ImportError):  # Windows has no such limits
    import resource

_BLOCK_ROWS = 65536
_MOST_ITEMS = 100_000  # attributes, groups and datasets of one file
_MOST_SPARE_CHUNKS = 100_000  # a dataset that shrank can have chunks beyond its end
_MOST_RATIO = 1100  # a compressed file is at most this many times as large when it is unpacked (deflate: 1032)
_SPARE_BYTES = 1 << 28
_SPARE_SECONDS = 3
_BYTES_PER_SECOND = 100_000_000  # of a slow processor, which reads little more than the tables of texts

# What h5py and numpy raise on damaged bytes, found by changing bytes of small files.
_ERRORS = (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, MemoryError, ArithmeticError)


class FaultError(Exception):
    """Raised when a file declares what it does not hold."""


def fault_in(path: str) -> str | None:
    """Read all that describes the content of a file, and its tables of texts. Return the first fault, or None."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            _walk(file, os.path.getsize(path), [0])  # noqa: PTH202 - the path may not be UTF-8
    except FaultError as error:
        return str(error)
    except _ERRORS as error:
        text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
        return text.splitlines()[0] if text else type(error).__name__
    return None


def _walk(group: Any, size_bytes: int, items: list[int]) -> None:  # noqa: ANN401 - h5py has no types
    """Check a group and everything in it."""
    _read_attributes(group, items)
    links = group.id.links
    for name in list(group):
        _count(items)
        if links.get_info(name.encode("utf-8", "surrogateescape")).type != h5py.h5l.TYPE_HARD:
            continue  # it leads elsewhere, and no reader follows it
        item = group[name]
        if isinstance(item, h5py.Group):
            _walk(item, size_bytes, items)
        elif isinstance(item, h5py.Dataset):
            _read_attributes(item, items)
            if item.external is None and not item.is_virtual:
                _check_dataset(item, size_bytes)


def _count(items: list[int]) -> None:
    items[0] += 1
    if items[0] > _MOST_ITEMS:
        raise FaultError(f"more than {_MOST_ITEMS} attributes, groups and datasets")


def _read_attributes(item: Any, items: list[int]) -> None:  # noqa: ANN401 - h5py has no types
    for _ in item.attrs.items():
        _count(items)


def _check_dataset(dataset: Any, size_bytes: int) -> None:  # noqa: ANN401 - h5py has no types
    """Compare what a dataset declares with the size of the file; read it if its values are texts."""
    declared_bytes = math.prod(dataset.shape or ()) * dataset.dtype.itemsize
    stored_bytes = dataset.id.get_storage_size()
    if stored_bytes > size_bytes:
        raise FaultError(f"{dataset.name} declares {stored_bytes} bytes, more than the file has")
    if dataset.chunks is None:
        offset = dataset.id.get_offset()  # None if the values are stored in the header
        if declared_bytes > stored_bytes or (offset is not None and offset + stored_bytes > size_bytes):
            raise FaultError(f"{dataset.name} declares {declared_bytes} bytes, the file holds {stored_bytes}")
    else:
        _check_chunks(dataset, size_bytes, declared_bytes, stored_bytes)
    if dataset.dtype.hasobject or len(dataset.dtype.names or ()):
        for start in range(0, len(dataset), _BLOCK_ROWS):
            dataset[start : start + _BLOCK_ROWS]
    elif dataset.chunks is not None and dataset.size:
        np.asarray(dataset[tuple(slice(-1, None) for _ in dataset.shape)])


def _check_chunks(dataset: Any, size_bytes: int, declared_bytes: int, stored_bytes: int) -> None:  # noqa: ANN401 - h5py has no types
    """Find every chunk of a dataset: each must be there once, in the file, and no larger than it can be."""
    needed = math.prod(-(-length // chunk) for length, chunk in zip(dataset.shape, dataset.chunks, strict=True))
    packed = dataset.id.get_create_plist().get_nfilters() > 0
    if declared_bytes > stored_bytes * (_MOST_RATIO if packed else 1):
        raise FaultError(f"{dataset.name} declares {declared_bytes} bytes, the file holds {stored_bytes}")
    places = set()
    beyond = False

    def note(chunk: Any) -> bool | None:  # noqa: ANN401 - h5py has no types
        nonlocal beyond
        places.add(chunk.chunk_offset)
        beyond = chunk.byte_offset is None or chunk.byte_offset + chunk.size > size_bytes
        return True if beyond or len(places) > needed + _MOST_SPARE_CHUNKS else None  # True ends the search

    dataset.id.chunk_iter(note)
    if beyond:
        raise FaultError(f"{dataset.name} has a chunk beyond the end of the file")
    if len(places) < needed:
        raise FaultError(f"{dataset.name} has {len(places)} of {needed} chunks")


def _limit(size_bytes: int) -> None:
    """Limit what this process may use for one file: some seconds of the processor, and a few times the file's size."""
    if "resource" not in globals():
        return
    seconds = int(time.process_time()) + _SPARE_SECONDS + size_bytes // _BYTES_PER_SECOND
    _lower(resource.RLIMIT_CPU, seconds)  # not seconds on the clock, because the machine may be busy
    if sys.platform.startswith("linux"):
        with open("/proc/self/statm") as status:  # noqa: PTH123 - not worth an import
            used_bytes = int(status.read().split()[0]) * resource.getpagesize()
        _lower(resource.RLIMIT_AS, used_bytes + _SPARE_BYTES + 4 * size_bytes)


def _lower(kind: int, limit: int) -> None:
    """Set a limit of this process, but none above the limit that the user set."""
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def main() -> None:
    """Say that this process is ready, and answer every line of standard input."""
    _answer(None)
    for line in sys.stdin.buffer:
        path = os.fsdecode(bytes.fromhex(json.loads(line)["path"]))
        with contextlib.suppress(OSError):
            _limit(os.path.getsize(path))  # noqa: PTH202 - the path may not be UTF-8
        _answer(fault_in(path))


def _answer(fault: str | None) -> None:
    sys.stdout.buffer.write(json.dumps({"fault": fault}).encode() + b"\n")  # in UTF-8, whatever PYTHONIOENCODING says
    sys.stdout.flush()


if __name__ == "__main__":
    main()
