"""What killed processes left in a workspace: temporary files that never got their name."""

import contextlib
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from pipeline.base.locks import holder_of

# Where `replacing` writes its temporary files. No other folder is searched, because it may be a user's.
_FOLDERS = (
    *("", "dataset", "text", "features", "features/*", "features/*/parts"),
    *("models/*", "models/*/stage1", "models/*/stage2", "reports/*", "reports/*/validation"),
)
_NAME = re.compile(r"\..+\.[a-z0-9_]{8}\.tmp")


def leftovers_in(root: Path) -> Iterator[Path]:
    """Find the temporary files in a workspace; the folder need not exist."""
    folders = chain.from_iterable(root.glob(pattern) if pattern else [root] for pattern in _FOLDERS)
    for folder in folders:
        with contextlib.suppress(OSError):
            yield from (path for path in folder.glob(".*.tmp") if _NAME.fullmatch(path.name))


def remove_leftovers(root: Path, shards_folder: Path) -> None:
    """Remove the temporary files in a workspace. Call this only while the workspace is locked.

    Nothing is removed while a shard is extracted, because it writes part files without the workspace's lock.

    Args:
        root: the workspace.
        shards_folder: the folder of the shards' locks.
    """
    found = list(leftovers_in(root))
    if found and not any(map(holder_of, shards_folder.glob("*.lock"))):
        for path in found:
            with contextlib.suppress(OSError):  # it takes space, but it hinders nothing
                path.unlink()
