"""Numbers in words for people."""


def counted(number: int, thing: str) -> str:
    """`1 video`, `12 000 videos`."""
    return f"{grouped(number)} {thing}{'' if number == 1 else 's'}"


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
