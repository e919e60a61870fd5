"""CSV tables of plain values: a header, a row a record, written whole."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.base.errors import StorageError
from pipeline.base.files import read_text, write_text


def write_table(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows of the same columns; without rows an empty file."""
    buffer = io.StringIO(newline="")
    if rows:
        writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    write_text(path, buffer.getvalue())


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows by column.

    Raises:
        StorageError: a row with more or fewer values than the header has names.
    """
    rows = list(csv.DictReader(io.StringIO(read_text(path), newline="")))
    for number, row in enumerate(rows, start=1):
        if None in row or None in row.values():
            raise StorageError(f"{path}: row {number} does not fit the header: the file is damaged")
    return rows
