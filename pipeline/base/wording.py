"""Numbers and lists in words for people."""

from collections.abc import Sequence

_NAMES_SHOWN = 3


def counted(number: int, thing: str) -> str:
    """`1 video`, `12 000 videos`, `2 classes`."""
    plural = "es" if thing.endswith("s") else "s"
    return f"{grouped(number)} {thing}{'' if number == 1 else plural}"


def grouped(number: int) -> str:
    """An integer with a space between its thousands."""
    return f"{number:,}".replace(",", " ")


def byte_size(size_bytes: int) -> str:
    """A size in the largest unit of which there is at least one."""
    size = float(size_bytes)
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def some_of(names: Sequence[str]) -> str:
    """The first of some names, and how many more there are: `a, b, c and 4 more`."""
    more = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {grouped(more)} more" if more > 0 else "")
