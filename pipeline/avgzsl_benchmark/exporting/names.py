"""Names that the public code's formats can hold: of videos, classes, and the words of classes."""

import hashlib
import re
from collections.abc import Callable, Iterable

from pipeline.datasets.phrases import Phrases, phrases_text

_NAME_BYTES = 80  # of a name in AVCA's files: the type S80
_CLASS_BYTES = 200  # a file of that name needs an ending, too, and file systems end at 255
_DIGEST_DIGITS = 8
# What pandas reads as missing or as a truth value: the lists of classes go through it.
_NO_TEXT = {"", "null", "none", "na", "n/a", "nan", "-nan", "<na>", "#na", "#n/a", "#n/a n/a", "true", "false"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_NO_FILE = re.compile(r'[/\\:*?"<>|]')


def video_names(keys: Iterable[str]) -> dict[str, str]:
    """Key of a video -> the same in at most 80 bytes of UTF-8, without control characters; no two alike."""
    return _unique(keys, lambda key: _shortened(_CONTROL.sub("_", key), _NAME_BYTES), str)


def class_names(names: Iterable[str]) -> dict[str, str]:
    """Class -> a name that can be a file's and a line of a list; no two alike but for upper and lower case."""
    return _unique(names, lambda name: _word(_NO_FILE.sub("_", name), _CLASS_BYTES), str.casefold)


def class_words(classes: Iterable[Phrases]) -> dict[Phrases, str]:
    """Name each class's phrases by words that fit into one cell of a list; no two are equal."""
    phrases_of = {phrases_text(phrases): phrases for phrases in classes}
    words = _unique(phrases_of, lambda text: _word(" / ".join(phrases_of.get(text, (text,))), _CLASS_BYTES), str)
    return {phrases_of[text]: word for text, word in words.items()}


def _word(text: str, most_bytes: int) -> str:
    """A line that pandas reads as text, and that no file system hides or trims."""
    line = _CONTROL.sub(" ", text).strip()
    if line.lower() in _NO_TEXT or line.startswith((".", "#")) or line.endswith(".") or _is_number(line):
        line = f"class {line}".rstrip(". ")
    return _shortened(line, most_bytes)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _shortened(text: str, most_bytes: int) -> str:
    """The end of a long text, which differs more often than its beginning, and a hash of the whole."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= most_bytes:
        return encoded.decode()
    room = most_bytes - _DIGEST_DIGITS - 1
    return f"{_digest(text)}~{encoded[-room:].decode('utf-8', 'ignore')}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_DIGITS]


def _unique(names: Iterable[str], change: Callable[[str], str], compared: Callable[[str], str]) -> dict[str, str]:
    """Each name changed; those that need no change keep theirs, whoever comes first."""
    changed = {name: change(name) for name in dict.fromkeys(names)}
    order = sorted(changed, key=lambda name: (changed[name] != name, name))
    taken: set[str] = set()
    for name in order:
        if compared(changed[name]) in taken:
            changed[name] = change(f"{_digest(name)} {changed[name]}")
        taken.add(compared(changed[name]))
    return changed
