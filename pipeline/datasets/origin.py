"""Name what a dataset was made from, in the words that source.json records and that people read."""

from pathlib import Path

_PREPARED = "avzsl prepare "


def plain_path(path: Path) -> Path:
    """Return the absolute path without `..`, so that one place always has one name."""
    # `..` after a link leads to the parent of what the link leads to, which only `resolve` knows.
    return path.resolve() if ".." in path.parts else path.absolute()


def prepared_origin(kind: str, source: Path) -> str:
    """Name the origin of a dataset that `avzsl prepare` made.

    Args:
        kind: name of the subcommand.
        source: what the user pointed it at.
    """
    return f"{_PREPARED}{kind} {plain_path(source)}"


def kind_of_preparation(origin: str) -> str | None:
    """Return the subcommand of `avzsl prepare` that an origin names; None if it names none."""
    return origin.removeprefix(_PREPARED).split(" ", 1)[0] if origin.startswith(_PREPARED) else None


def is_same_origin(former: object, origin: str) -> bool:
    """Say whether a recorded origin is this one. Earlier versions recorded paths with `..` in them.

    Args:
        former: what source.json records; anything may stand there.
        origin: the origin to compare it with.
    """
    return isinstance(former, str) and _plain(former) == _plain(origin)


def _plain(origin: str) -> str:
    """Write the path in an origin without `..`."""
    kind = kind_of_preparation(origin)
    if kind is None:
        return origin
    path = Path(origin.removeprefix(f"{_PREPARED}{kind}").removeprefix(" "))
    return prepared_origin(kind, path) if path.is_absolute() else origin
