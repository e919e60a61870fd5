"""Format numbers, lists and suggestions for people."""

import difflib
import errno
import os
import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

# An address whose second slash a path has lost.
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/(?=[^/])")
_NAMES_SHOWN = 3
# Control characters of ASCII and of Latin-1, separators of lines, and marks of the direction of writing.
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def counted(number: int, thing: str) -> str:
    """Write a number with its noun: `1 video`, `12 000 videos`, `2 classes`."""
    plural = "es" if thing.endswith("s") else "s"
    return f"{grouped(number)} {thing}{'' if number == 1 else plural}"


def grouped(number: int) -> str:
    """Write an integer with spaces between groups of three digits."""
    return f"{number:,}".replace(",", " ")


def shown_epoch(epoch: float) -> str:
    """Write a number of epochs, with at most two decimals: `3`, `3.57`."""
    return f"{round(epoch, 2):g}"


def visible(text: str) -> str:
    r"""Replace what a terminal would obey by escapes such as `\x1b`: control characters, and marks of direction.

    A line feed stays, because tables have several lines in a cell.
    """
    return OBEYED.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def in_one_line(text: str) -> str:
    r"""Replace what a terminal would obey by escapes, line feeds too: a name may hold one, and would forge a line."""
    return visible(text).replace("\n", "\\n")


def shell_quoted(text: str) -> str:
    r"""Quote an argument for a shell; control characters and undecodable bytes become escapes in `$'...'`.

    Bash, zsh and ksh read this form. In plain quotes a terminal would obey the character, or show something else.
    """
    if text.isprintable():
        return shlex.quote(text)
    letters = (chr(byte) if 32 <= byte < 127 and byte not in b"'\\" else f"\\x{byte:02x}" for byte in os.fsencode(text))
    return f"$'{''.join(letters)}'"


def byte_size(size_bytes: int) -> str:
    """Write a size in the largest unit in which it is at least 1."""
    size = float(size_bytes)
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def some_of(names: Sequence[str]) -> str:
    """List the first names and count the others: `a, b, c and 4 more`."""
    more = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {grouped(more)} more" if more > 0 else "")


def did_you_mean(given: str, choices: Iterable[str]) -> str:
    """Suggest the most similar choice: ' Did you mean X?', or an empty text if none is similar."""
    nearest = difflib.get_close_matches(given, list(choices), n=1, cutoff=0.6)
    return f" Did you mean {nearest[0]}?" if nearest else ""


def not_a_file(path: Path) -> str:
    """Say why a path cannot be read as a file: it does not exist, leads nowhere, or is not a regular file."""
    if path.is_symlink() and not path.exists():
        return f"{path} is {dead_link(path)}."
    if path.is_dir():
        return f"{path} is a folder."
    if path.exists():
        return f"{path} is not a regular file, but a pipe or a device: save its content as a file first."
    return _does_not_exist(path)


def dead_link(path: Path) -> str:
    """Say where a link leads that leads to no file."""
    try:
        path.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            return f"a link to {path.readlink()}, which leads back to it"
    return f"a link to {path.readlink()}, which does not exist"


def _does_not_exist(path: Path) -> str:
    """Say that a path does not exist; name an address or a wildcard as such, else suggest a similar name."""
    address = _ADDRESS.match(str(path))
    if address:
        shown = f"{address[1]}://{str(path)[address.end() :]}"
        return f"{shown} is an address, not a file: save what it leads to as a file first."
    with_slashes = Path(str(path).replace("\\", "/"))
    if with_slashes != path and with_slashes.exists():
        return f"{path} does not exist. Did you mean {with_slashes}? Folders are separated by slashes here."
    if set("*?[") & set(str(path)):
        return f"{path} does not exist. Wildcards work without quotes, and only if a file matches them."
    try:
        neighbours = {entry.name.lower(): entry.name for entry in path.parent.iterdir()}
    except OSError:
        return f"{path} does not exist."
    nearest = difflib.get_close_matches(path.name.lower(), neighbours, n=1, cutoff=0.6)
    hint = f" Did you mean {path.parent / neighbours[nearest[0]]}?" if nearest else ""
    return f"{path} does not exist.{hint}"
