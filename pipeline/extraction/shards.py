"""Several processes, or machines on a shared folder, extract one dataset: each takes its share of the videos.

A share is a matter of a video's name alone, so that processes agree on it without talking to each other, also when
videos came along between their starts. Each writes part files of its own; `merge` joins what all have written.
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

# Long enough for another share that prepares the workspace, or a look at who holds a lock.
_WAIT_SECONDS = 60.0
_MOMENT_SECONDS = 1.0


@dataclass(frozen=True)
class Share:
    """The `number`-th of `count` shares, counted from 1."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def takes(self, key: str) -> bool:
        """Whether a video belongs to this share: every `count`-th does, by the hash of its name."""
        digest = hashlib.sha256(key.encode()).digest()
        return int.from_bytes(digest[:8]) % self.count == self.number - 1


def parse_share(text: str) -> Share:
    """Read `i/n`.

    Raises:
        UsageError: it is something else, or i is not in 1 to n.
    """
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text.strip(), re.ASCII)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"part {text!r}: must be i/n with i from 1 to n, such as 2/4 for the second of four")
    return Share(int(match[1]), int(match[2]))


@contextlib.contextmanager
def preparing_share(workspace: Workspace, reporter: Reporter) -> Iterator[None]:
    """Hold the workspace while a share is prepared: it must not change while another one reads it.

    Raises:
        WorkspaceInUseError: another process writes there, and not only for a moment.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(workspace.locked("extract --part", wait_seconds=_MOMENT_SECONDS))
        except WorkspaceInUseError as error:
            reporter.say(f"waiting up to {_WAIT_SECONDS:.0f} s: {error}")
            stack.enter_context(workspace.locked("extract --part", wait_seconds=_WAIT_SECONDS))
        yield


@contextlib.contextmanager
def working_on(workspace: Workspace, share: Share) -> Iterator[None]:
    """Hold a share. Enter while the workspace is held, so that two processes cannot overlook each other.

    Raises:
        WorkspaceInUseError: another process works on this share, or on one of another division.
    """
    for other, holder in running_shares(workspace).items():
        if other.count != share.count:
            raise WorkspaceInUseError(
                f"part {share}: {holder} works on part {other}: divide by {other.count} too, or wait for it"
            )
    with contextlib.ExitStack() as stack:
        try:
            lock = workspace.shares_folder / f"{share.number}-of-{share.count}.lock"
            stack.enter_context(held(lock, f"extract --part {share}"))
        except LockHeldError as error:
            raise WorkspaceInUseError(
                f"part {share} is being extracted by {error}: choose another part, or wait for it"
            ) from error
        yield


def running_shares(workspace: Workspace) -> dict[Share, str]:
    """Who works on which share. Asked while the workspace is held, as a lock is touched to find out."""
    running = {}
    for path in sorted(workspace.shares_folder.glob("*-of-*.lock")):
        number, count = path.stem.split("-of-")
        if holder := holder_of(path):
            running[Share(int(number), int(count))] = holder
    return running


def refuse_running_shares(workspace: Workspace) -> None:
    """What works on the whole store waits for those who add to it.

    Raises:
        WorkspaceInUseError: a share is being extracted.
    """
    running = running_shares(workspace)
    if running:
        share, holder = next(iter(running.items()))
        more = f" and {len(running) - 1} more" if len(running) > 1 else ""
        raise WorkspaceInUseError(
            f"{workspace.root}: part {share} is being extracted by {holder}{more}: wait for all parts to end, "
            f"or help with another part: avzsl extract --part i/{share.count}"
        )
