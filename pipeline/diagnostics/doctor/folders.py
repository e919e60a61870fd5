"""Check the folders that avzsl writes into, their free space, and the environment variables."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pipeline.base.wording import byte_size
from pipeline.base.workspace import Workspace, cache_folder
from pipeline.diagnostics.doctor.check import Check

_MIB = 1 << 20
_ROOM_FOR_WORK_BYTES = 1024 * _MIB  # features and checkpoints of a small dataset
_LEAST_ROOM_BYTES = 50 * _MIB


def folder_checks(workspace: Workspace) -> Iterator[Check]:
    """Check that the workspace can be written, which is essential, and that the cache can be written."""
    yield _folder("workspace", workspace.root, "--workspace", essential=True)
    cache = cache_folder()
    yield _folder("cache", cache, "AVZSL_CACHE", essential=False, holds=_size_of(cache))


def _folder(name: str, folder: Path, setting: str, *, essential: bool, holds: int | None = None) -> Check:
    folder = folder.absolute()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    not_made = "" if existing == folder else ", not created yet"
    elsewhere = f"choose another folder with {setting}"
    if not existing.is_dir():
        return Check(name, "missing", f"{folder}: {existing} is not a folder", elsewhere, essential=essential)
    try:
        with tempfile.TemporaryFile(dir=existing, prefix=".avzsl-doctor-") as file:
            file.write(b"avzsl")
        free = shutil.disk_usage(existing).free
    except OSError as error:
        detail = f"{folder}: cannot be written ({error.strerror or error})"
        return Check(name, "missing", detail, f"change its permissions or {elsewhere}", essential=essential)
    filled = "" if holds is None else f", holds {byte_size(holds)}"
    detail = f"{folder}{not_made}, writable{filled}, {byte_size(free)} free"
    if free < _LEAST_ROOM_BYTES:
        return Check(name, "missing", detail, f"free some space or {elsewhere}", essential=essential)
    if free < _ROOM_FOR_WORK_BYTES:
        return Check(name, "note", detail, f"little space: free some space or {elsewhere}", essential=essential)
    return Check(name, "ok", detail, essential=essential)


def _size_of(folder: Path) -> int:
    """Add up the sizes of the files below a folder, in bytes; files that cannot be read are skipped."""
    size = 0
    for path, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):  # deleted or made unreadable since the folder was listed
                size += (Path(path) / name).lstat().st_size
    return size


def setting_checks() -> Iterator[Check]:
    """Show the environment variables of avzsl."""
    offline = os.environ.get("AVZSL_OFFLINE", "")
    if offline in {"", "0"}:
        yield Check("AVZSL_OFFLINE", "ok", "not set: weights are fetched when they are asked for")
    else:
        yield Check("AVZSL_OFFLINE", "note", f"{offline}: nothing is fetched", "unset it to let weights be fetched")
    for name, without in (("AVZSL_WORKSPACE", "avzsl-workspace/ here"), ("AVZSL_CACHE", "the user's cache folder")):
        yield Check(name, "ok", os.environ.get(name) or f"not set: {without}")
