"""The folder of an export: written beside its place, and moved there when it is whole."""

import contextlib
import glob
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pipeline.avgzsl_benchmark.layouts.notes import NOTES_FILE, read_notes
from pipeline.base.errors import PipelineError
from pipeline.base.files import make_folder, storage_errors

_PARTIAL = ".partial"
_OWNER = re.compile(r"(?P<host>.*)-(?P<process>\d+)-[a-z0-9_]{8}\.partial")


def exported_from(folder: Path) -> str:
    """Return what a folder was exported from; empty if it is no export of avzsl, or an export that was not finished."""
    try:
        notes = read_notes(folder)
    except PipelineError:
        return ""
    return notes.made_from if notes else ""


@contextlib.contextmanager
def writing_beside(path: Path) -> Iterator[Path]:
    """Make a folder beside a path to write to; remove it, and what killed exports left beside this path."""
    parent = make_folder(path.parent)
    with storage_errors(path):
        for left in parent.glob(f".{glob.escape(path.name)}.*{_PARTIAL}"):
            if (owner := _OWNER.fullmatch(left.name.removeprefix(f".{path.name}."))) and _is_dead(owner):
                shutil.rmtree(left, ignore_errors=True)
        prefix = f".{path.name}.{socket.gethostname()}-{os.getpid()}-"
        with tempfile.TemporaryDirectory(prefix=prefix, suffix=_PARTIAL, dir=parent) as temporary:
            yield make_folder(Path(temporary) / "whole")


def _is_dead(owner: "re.Match[str]") -> bool:
    """Whether the process that wrote a folder ran on this machine and has ended."""
    if owner["host"] != socket.gethostname():
        return False
    try:
        os.kill(int(owner["process"]), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def move_into_place(folder: Path, target: Path) -> None:
    """Move a folder to its final path, the notes last: they say that the export is whole.

    If an empty folder exists there, only the content moves, because a user's shell may be in that folder.
    """
    if not target.exists():
        folder.rename(target)
        return
    for entry in sorted(folder.iterdir(), key=lambda entry: (entry.name == NOTES_FILE, entry.name)):
        entry.rename(target / entry.name)
