"""Names with accents. Systems store them in two forms, which look the same and are different names of files."""

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pipeline.base.errors import UsageError

_FORMS: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")


def stored_path(path: str) -> str:
    """Return a path from a list in the form in which its file is stored.

    A list from another system may hold the other form of a name, or backslashes between folders. A path that exists
    stays as it is, and so does one that exists in no form.
    """
    if os.path.lexists(path):
        return path
    if "\\" in path:
        path = with_slashes if os.path.lexists(with_slashes := path.replace("\\", "/")) else path
    if path.isascii():
        return path
    return _stored(Path(path)) or path


def _stored(path: Path) -> str | None:
    """Return the path that exists and has each of its names in some form; None if there is none."""
    if os.path.lexists(path):
        return str(path)
    if path.parent == path:
        return None
    parent = _stored(path.parent)
    forms = [] if parent is None else [f"{parent}/{unicodedata.normalize(form, path.name)}" for form in _FORMS]
    return next((form for form in forms if os.path.lexists(form)), None)


def refuse_one_key_of_two(files: Iterable[tuple[str, str]], folder: Path) -> None:
    """Refuse files that have one key because their names differ only in their form.

    Args:
        files: the keys and the paths of the files, sorted by key.
        folder: the folder of the files.

    Raises:
        UsageError: two such files; the message shows their names with escapes, because they look the same.
    """
    last: tuple[str, str] | None = None
    for key, path in files:
        if last is not None and last[0] == key:
            first, second = _names_apart(last[1], path)
            raise UsageError(
                f"{folder}: {first} and {second} both stand for {key!r}: their names differ only in how their accents "
                "are stored. Put the files into one folder, or rename one"
            )
        last = key, path


def _names_apart(first: str, second: str) -> tuple[str, str]:
    """Return the first names in two paths that differ, with escapes."""
    pairs = zip(Path(first).parts, Path(second).parts, strict=False)
    one, other = next(pair for pair in pairs if pair[0] != pair[1])
    return ascii(one), ascii(other)
