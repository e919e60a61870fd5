"""Which files of features were read to their last byte and found whole, so that they need not be read each time.

What catches what:
- Every start opens every part: a part cut short, or damaged in its tables or the structure of the file, is found.
- A part whose size or time is not the one noted here is read in full and compared with its checksums: one that was
  written to, restored from a backup or copied, and any part of a process that was killed, as only an orderly end notes.
- So is a features.h5 that is not the one that was merged; one that is damaged is merged anew.
- Merging compares the features of every video it copies: damage that left size and time as they were, such as bits
  that a disk lost, is found where it would do harm.
Losing the notes costs one reading of all parts, so anything wrong with them is answered by having none.
"""

import contextlib
from pathlib import Path

from pipeline.base.errors import StorageError
from pipeline.base.files import read_json, write_json

_FILE = "checked.json"


class PartChecks:
    """Sizes and times of the files in a folder that are known to be whole."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / _FILE
        self._before = self._read()
        self._stamps = dict(self._before)

    def is_checked(self, part: Path) -> bool:
        """Whether a part is the one that was noted."""
        return self._stamps.get(part.name) == _stamp(part)

    def note(self, part: Path) -> None:
        """A part is whole, as it is now."""
        self._stamps[part.name] = _stamp(part)

    def save(self) -> None:
        """Write what has changed. Of processes that do so at once the last one wins, and the others' parts are read."""
        if self._stamps != self._before:
            stamps = {**self._read(), **self._stamps}
            self._before = {name: stamp for name, stamp in stamps.items() if (self._file.parent / name).exists()}
            write_json(self._file, self._before)

    def _read(self) -> dict[str, list[int]]:
        if self._file.exists():
            with contextlib.suppress(StorageError, TypeError, ValueError):
                return dict(read_json(self._file))
        return {}


def _stamp(part: Path) -> list[int]:
    stat = part.stat()
    return [stat.st_size, stat.st_mtime_ns]
