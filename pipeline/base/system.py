"""What this process finds on its system: its user, home and cores; and a pause of its garbage collector."""

import contextlib
import gc
import getpass
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the garbage collector while building many long-lived objects.

    With 200,000 videos this is a third faster: the collector would search all of them again and again and find nothing.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def name_the_user() -> None:
    """Give this process a user name if the system has none, as in containers started with `--user 12345`.

    Torch asks for the name when it is imported, and fails without one.
    """
    try:
        getpass.getuser()
    except (KeyError, OSError, ImportError):  # which one depends on Python's version and the system
        os.environ["USER"] = f"user-{os.getuid()}" if hasattr(os, "getuid") else "user"


def find_a_home() -> None:
    """Give this process a home if the system has none, and Matplotlib a folder if it cannot write its own.

    Some libraries fail without a home when they are imported. Matplotlib shows several lines about its folder.
    """
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = str(stand_in_home())
    if not all(map(_may_be_written, _matplotlib_folders())):
        os.environ["MPLCONFIGDIR"] = str(stand_in_home() / ".config" / "matplotlib")


def stand_in_home() -> Path:
    """Return the folder in place of a home, in the folder of temporary files; it need not exist."""
    return Path(tempfile.gettempdir()) / f"avzsl-home-{getpass.getuser()}"


def _matplotlib_folders() -> list[Path]:
    """Return the folders that Matplotlib would write."""
    given = os.environ.get("MPLCONFIGDIR")
    if given:
        return [Path(given)]
    if not sys.platform.startswith(("linux", "freebsd")):
        return [Path.home() / ".matplotlib"]
    bases = {"XDG_CONFIG_HOME": ".config", "XDG_CACHE_HOME": ".cache"}
    return [Path(os.environ.get(name) or Path.home() / usual) / "matplotlib" for name, usual in bases.items()]


def _may_be_written(folder: Path) -> bool:
    """Return whether a folder is writable, or can be created."""
    existing = next((one for one in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(one)), None)
    return existing is not None and existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


def usable_cores() -> int:
    """Count the cores that this process may use; the machine may have more."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
