"""Change names of videos and classes, and wordings of classes, so that the published layouts can store them."""

import hashlib
import re
from collections.abc import Callable, Iterable

from pipeline.datasets.phrases import Phrases, phrases_text

_NAME_BYTES = 80  # of a name in the files of the AVCA code, which have the type S80
_CLASS_BYTES = 200  # a file of that name also needs an ending, and file systems allow 255 bytes
_DIGEST_DIGITS = 8
# Texts that pandas, which reads the lists of classes, takes for a missing or a truth value.
_NO_TEXT = {"", "null", "none", "na", "n/a", "nan", "-nan", "<na>", "#na", "#n/a", "#n/a n/a", "true", "false"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_NO_FILE = re.compile(r'[/\\:*?"<>|]')


def video_names(keys: Iterable[str]) -> dict[str, str]:
    """Map each key of a video to a unique name of at most 80 bytes of UTF-8 without control characters."""
    return _unique(keys, lambda key: _shortened(_CONTROL.sub("_", key), _NAME_BYTES), str)


def class_names(names: Iterable[str]) -> dict[str, str]:
    """Map each class to a name that can be a file name and a line of a list; names differ by more than case."""
    return _unique(names, lambda name: _line(_NO_FILE.sub("_", name), _CLASS_BYTES), str.casefold)


def class_wording(classes: Iterable[Phrases]) -> dict[Phrases, str]:
    """Map the phrases of each class to a unique wording that fits into one cell of a list."""
    phrases_of = {phrases_text(phrases): phrases for phrases in classes}
    wordings = _unique(phrases_of, lambda text: _line(" / ".join(phrases_of.get(text, (text,))), _CLASS_BYTES), str)
    return {phrases_of[text]: wording for text, wording in wordings.items()}


def _line(text: str, most_bytes: int) -> str:
    """Change a text into a line that pandas reads as text and that no file system hides or trims."""
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
    """Shorten a long text to a hash of the whole and its end, which differs more often than its beginning."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= most_bytes:
        return encoded.decode()
    room = most_bytes - _DIGEST_DIGITS - 1
    return f"{_digest(text)}~{encoded[-room:].decode('utf-8', 'ignore')}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_DIGITS]


def _unique(names: Iterable[str], change: Callable[[str], str], compared: Callable[[str], str]) -> dict[str, str]:
    """Change each name and keep the results different; names that need no change always keep theirs."""
    changed = {name: change(name) for name in dict.fromkeys(names)}
    order = sorted(changed, key=lambda name: (changed[name] != name, name))
    taken: set[str] = set()
    for name in order:
        if compared(changed[name]) in taken:
            changed[name] = change(f"{_digest(name)} {changed[name]}")
        taken.add(compared(changed[name]))
    return changed
