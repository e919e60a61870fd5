"""What a user may have meant."""

import difflib
from collections.abc import Iterable
from pathlib import Path


def did_you_mean(given: str, choices: Iterable[str]) -> str:
    """' Did you mean X?' for the nearest choice, or nothing."""
    nearest = difflib.get_close_matches(given, list(choices), n=1, cutoff=0.6)
    return f" Did you mean {nearest[0]}?" if nearest else ""


def does_not_exist(path: Path) -> str:
    """The message for a path that is not there, with the nearest name beside it."""
    try:
        neighbours = {entry.name.lower(): entry.name for entry in path.parent.iterdir()}
    except OSError:
        return f"{path} does not exist."
    nearest = difflib.get_close_matches(path.name.lower(), neighbours, n=1, cutoff=0.6)
    hint = f" Did you mean {path.parent / neighbours[nearest[0]]}?" if nearest else ""
    return f"{path} does not exist.{hint}"
