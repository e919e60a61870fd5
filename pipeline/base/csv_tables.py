"""Read and write CSV tables; no other module does."""

import csv
import io
import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pipeline.base.errors import StorageError, UsageError
from pipeline.base.files import read_text, write_text

RFC_4180_LINE_END = "\r\n"
_SEPARATOR = re.compile(r",|\s*[\r\n]\s*")
# A quoted name ends before a separator, or before its phrases: "b, c"|a phrase. Other quotes are letters of a name.
_DOUBLE_QUOTED = re.compile(r'"(?P<name>(?:[^"]|"")*)"\s*(?=[,\r\n|]|$)')
_SINGLE_QUOTED = re.compile(r"'(?P<name>[^']*)'\s*(?=[,\r\n|]|$)")
_DECLARED_DELIMITER = re.compile(r'"?sep=(.)"?', re.IGNORECASE)


def number_in(cell: str) -> float | None:
    """Read the number in a cell; None if it is none. Python would also read `1_0`, as 10."""
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def write_rows(path: Path, rows: Iterable[Sequence[object]], *, line_end: str = RFC_4180_LINE_END) -> None:
    r"""Write rows of cells; the first row is the header.

    Args:
        path: the file; it is written whole or not at all.
        rows: the rows.
        line_end: end of a line; the default follows RFC 4180. With "\n", Python's writer puts no quotes around a cell
            that contains a lone CR.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator=line_end).writerows(rows)
    write_text(path, buffer.getvalue())


def write_table(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows that all have the same columns; without rows, write an empty file.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    header = [list(rows[0])] if rows else []
    write_rows(path, [*header, *(list(row.values()) for row in rows)], line_end="\n")


def read_table(path: Path) -> list[dict[str, str]]:
    """Read the rows of a table that avzsl wrote; each row maps a column to its cell.

    Raises:
        StorageError: a row has more or fewer cells than the header.
    """
    rows = list(csv.DictReader(io.StringIO(read_text(path), newline="")))
    for number, row in enumerate(rows, start=1):
        if None in row or None in row.values():
            raise StorageError(f"{path}: row {number} does not fit the header: the file is damaged")
    return rows


def read_by_line(path: Path, *, delimiters: str = ",", strict: bool = True) -> Iterator[tuple[int, list[str]]]:
    """Read the rows of a user's table that are not empty, with their line numbers.

    Args:
        path: the file.
        delimiters: possible delimiters; the most frequent one in the first line is used, unless a line `sep=;` before
            it, which Excel writes, names one.
        strict: whether to refuse unbalanced quotes.

    Raises:
        UsageError: the file is not CSV.
        StorageError: the file cannot be read.
    """
    text = read_text(path)
    first, _, rest = text.partition("\n")
    declared = _DECLARED_DELIMITER.fullmatch(first.rstrip("\r"))
    if declared:
        text, first = rest, rest.partition("\n")[0]
    delimiter = declared[1] if declared else max(delimiters, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=strict)
    skipped = 1 if declared else 0
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield skipped + reader.line_num, row
    except csv.Error as error:
        raise UsageError(f"{path} is not a CSV file: {error}") from error


def read_user_table(
    path: Path,
    *,
    required: Sequence[str],
    any_bytes: bool = False,
    strict: bool = True,
    comments: bool = False,
) -> Iterator[tuple[int, dict[str, str]]]:
    """Read the rows of a user's table by column, with their line numbers; a missing cell is empty.

    Case and spaces around the name of a column do not count. If the first line has spaces after commas, they count in
    no line.

    Args:
        path: the file.
        required: the columns that must exist, in small letters.
        any_bytes: whether to read bytes that are not UTF-8 as surrogates; a path may contain any bytes.
        strict: whether to refuse unbalanced quotes and rows with more cells than the header.
        comments: whether lines before the header that begin with `#` are comments.

    Raises:
        UsageError: the file is not CSV, a required column is missing, two columns have one name, or a row has more
            cells than the header.
        NotTextError: the file is not UTF-8.
        StorageError: the file cannot be read.
    """
    try:
        text = read_text(path, errors="surrogateescape" if any_bytes else "strict")
        if "\0" in text:
            raise UsageError(f"{path} is not a text file in UTF-8: save it as CSV in UTF-8")
        lines = text.splitlines(keepends=True) if comments else []
        before = list(itertools.takewhile(lambda line: not line.strip() or line.lstrip().startswith("#"), lines))
        text = text[sum(map(len, before)) :]
        given = csv.DictReader(io.StringIO(text, newline=""), strict=strict).fieldnames or []
        spaced = any(name[:1].isspace() for name in given)
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=strict, skipinitialspace=spaced)
        columns = [name.strip().lower() for name in reader.fieldnames or []]
        reader.fieldnames = columns
        missing = [name for name in required if name not in columns]
        if missing:
            found = escape_undecodable(", ".join(given)) or "none"
            raise UsageError(f"{path}: no column {', '.join(missing)} in its first line; it has {found}")
        if repeated := next((name for name in columns if name and columns.count(name) > 1), None):
            raise UsageError(f"{path}: two columns are named {escape_undecodable(repeated)!r}: keep one")
        for row in reader:
            if strict and None in row:
                raise UsageError(
                    f"{path}, line {len(before) + reader.line_num}: more cells than the first line has names "
                    f'({len(columns)}); put a cell that holds a comma in "quotes"'
                )
            yield len(before) + reader.line_num, {name: row[name] or "" for name in columns}
    except csv.Error as error:
        raise UsageError(f"{path} is not a CSV file: {error}") from error


def split_names(text: str) -> list[str]:
    """Split a list of names at its commas: `a, "b, c"` gives `a` and `b, c`; quotes keep commas inside a name.

    Every list of names that a user types is split here. Quotes may be single ones, and phrases may follow them:
    `"b, c"|a phrase`. Spaces around a name do not count; a name may be empty.

    Raises:
        UsageError: a quote that is not closed, or letters after a closing quote.
    """
    names: list[str] = []
    rest: str | None = text.strip("\r\n")
    if not text.strip():
        return names
    while rest is not None:
        name, rest = _first_name(rest, text)
        names.append(name)
    return names


def _first_name(rest: str, text: str) -> tuple[str, str | None]:
    """Read the first name of a list; return it and what follows its comma, None if the list ends with it."""
    rest = rest.lstrip()
    quoted = _DOUBLE_QUOTED.match(rest) or _SINGLE_QUOTED.match(rest)
    if quoted is None and rest.startswith('"'):
        why = "',' expected after a quote" if '"' in rest[1:] else "a quote is not closed"
        raise UsageError(
            f"the names {text!r} cannot be split at their commas ({why}): "
            'put quotes around a whole name, such as yoga, "red, yellow"'
        )
    start = quoted.end() if quoted else 0
    end = _SEPARATOR.search(rest, start)
    name = rest[start : end.start() if end else len(rest)].strip()
    if quoted:
        inside = quoted["name"].strip()
        name = (inside.replace('""', '"') if rest.startswith('"') else inside) + name
    return name, rest[end.end() :] if end else None


def with_known_names(cells: Sequence[str], known: Iterable[str]) -> list[str]:
    """Put the pieces of known names together again: `bird chirping`, `tweeting` become the class of both.

    Args:
        cells: names that were split at commas.
        known: names that may have commas. Case, and what is between words, do not matter.

    Returns:
        The names; the longest known name counts where several begin with the same pieces. Pieces that are all known
        names themselves stay apart. Phrases after the last piece, `tweeting|a bird sings`, stay with the name.
    """
    known = list(known)
    alone = set(map(_plain_words, known))
    by_pieces = {tuple(map(_plain_words, pieces)): name for name in known if len(pieces := split_pieces(name)) > 1}
    longest = max(map(len, by_pieces), default=1)
    names, start = [], 0
    while start < len(cells):
        lengths = range(min(longest, len(cells) - start), 1, -1)
        keys = (
            (*map(_plain_words, cells[start : start + length - 1]), _plain_words(_name_of(cells[start + length - 1])))
            for length in lengths
        )
        found = next((key for key in keys if key in by_pieces and not alone.issuperset(key)), None)
        if found is None:
            names.append(cells[start])
            start += 1
        else:
            start += len(found)
            names.append(by_pieces[found] + cells[start - 1][len(_name_of(cells[start - 1])) :])
    return names


def _name_of(cell: str) -> str:
    """Return the name before the phrases of a class: `tweeting` of `tweeting|a bird sings`."""
    return cell.partition("|")[0]


def split_pieces(name: str) -> list[str]:
    """Split a name at every comma."""
    return [piece.strip() for piece in name.split(",")]


def _plain_words(text: str) -> str:
    return " ".join(re.findall(r"[^\W_]+", unicodedata.normalize("NFC", text).casefold()))


def joined_names(names: Iterable[str]) -> str:
    """Join names with commas, so that `split_names` gives them back: a name with a comma or a quote gets quotes."""
    doubled = ((name, name.replace('"', '""')) for name in names)
    return ", ".join(
        f'"{quoted}"' if set(name) & set(',"\r\n') or name[:1] == "'" else name for name, quoted in doubled
    )


def escape_undecodable(text: str) -> str:
    """Make a name that any file can contain, and that compares equal to the same name from another system.

    A surrogate, which stands for a byte that is not UTF-8, becomes an escape, and so does a line feed: a name is shown
    in one line. Accents are joined with their letters (Unicode's NFC): some systems store them apart.
    """
    escaped = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    escaped = escaped.replace("\r", "\\r").replace("\n", "\\n")
    return unicodedata.normalize("NFC", escaped)
