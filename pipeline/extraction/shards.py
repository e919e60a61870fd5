"""Shards: several processes, or machines on a shared folder, extract one dataset together.

The shard of a video depends only on its name. So processes agree without communication, even if videos are added
between their starts. Each process writes its own part files; `merge` joins them.
"""

import contextlib
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.base.errors import UsageError, WorkspaceInUseError
from pipeline.base.locks import LockHeldError, held, holder_of
from pipeline.base.progress import Reporter
from pipeline.base.workspace import Workspace

# Long enough for another shard to plan its extraction, and for a check of a lock.
_WAIT_SECONDS = 60.0
_MOMENT_SECONDS = 1.0


@dataclass(frozen=True)
class Shard:
    """One of `count` shards, with a number from 1."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def takes(self, key: str) -> bool:
        """Return whether a video belongs to this shard, by the hash of its name; one in `count` videos does."""
        digest = hashlib.sha256(key.encode()).digest()
        return int.from_bytes(digest[:8]) % self.count == self.number - 1


def parse_shard(text: str) -> Shard:
    """Parse `i/n`.

    Raises:
        UsageError: the text has another form, or i is not between 1 and n.
    """
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text.strip(), re.ASCII)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"part {text!r}: must be i/n with i from 1 to n, such as 2/4 for the second of four")
    return Shard(int(match[1]), int(match[2]))


@contextlib.contextmanager
def planning_shard(workspace: Workspace, reporter: Reporter) -> Iterator[None]:
    """Lock the workspace while a shard is planned, so that it does not change while another shard reads it.

    Raises:
        WorkspaceInUseError: another process writes to the workspace for longer than a minute.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(workspace.locked("extract --part", wait_seconds=_MOMENT_SECONDS))
        except WorkspaceInUseError as error:
            reporter.say(f"waiting up to {_WAIT_SECONDS:.0f} s: {error}")
            stack.enter_context(workspace.locked("extract --part", wait_seconds=_WAIT_SECONDS))
        yield


@contextlib.contextmanager
def working_on(workspace: Workspace, shard: Shard) -> Iterator[None]:
    """Lock a shard. Enter this while the workspace is locked, so that two processes cannot take the same shard.

    Raises:
        WorkspaceInUseError: another process works on this shard, or on one with another count.
    """
    for other, holder in running_shards(workspace).items():
        if other.count != shard.count:
            raise WorkspaceInUseError(
                f"shard {shard}: {holder} works on shard {other}: divide by {other.count} too, or wait for it"
            )
    with contextlib.ExitStack() as stack:
        try:
            lock = workspace.shards_folder / f"{shard.number}-of-{shard.count}.lock"
            stack.enter_context(held(lock, f"extract --part {shard}"))
        except LockHeldError as error:
            raise WorkspaceInUseError(
                f"shard {shard} is being extracted by {error}: choose another shard, or wait for it"
            ) from error
        yield


def running_shards(workspace: Workspace) -> dict[Shard, str]:
    """Find the process of each running shard. Call this while the workspace is locked: it takes free shard locks."""
    running = {}
    for path in sorted(workspace.shards_folder.glob("*-of-*.lock")):
        number, count = path.stem.split("-of-")
        if holder := holder_of(path):
            running[Shard(int(number), int(count))] = holder
    return running


def refuse_running_shards(workspace: Workspace) -> None:
    """Refuse to work on all part files while another process adds some.

    Raises:
        WorkspaceInUseError: a shard is being extracted.
    """
    running = running_shards(workspace)
    if running:
        shard, holder = next(iter(running.items()))
        more = f" and {len(running) - 1} more" if len(running) > 1 else ""
        raise WorkspaceInUseError(
            f"{workspace.root}: shard {shard} is being extracted by {holder}{more}: wait for all shards to end, "
            f"or help with another part: avzsl extract --part i/{shard.count}"
        )
