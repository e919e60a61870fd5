"""pipeline/base/locks.py: one process holds a lock, and the others get its name."""

import os
import threading
import time
from pathlib import Path

import pytest

from pipeline.base.errors import StorageError
from pipeline.base.locks import LockHeldError, held, holder_of


def test_a_held_lock_is_refused_and_its_holder_named(tmp_path: Path) -> None:
    """The folder of the lock is created; after the context, no holder is recorded."""
    path = tmp_path / "new" / "a.lock"
    with held(path, "extract"):
        holder = holder_of(path)
        assert holder is not None
        assert holder.startswith(f"avzsl extract (process {os.getpid()} on ")
        with pytest.raises(LockHeldError, match="avzsl extract"), held(path, "train"):
            pass
        assert holder_of(path) == holder

    assert holder_of(path) is None
    assert not path.with_suffix(".json").exists()


def test_asking_for_the_holder_leaves_the_lock_free(tmp_path: Path) -> None:
    """A free lock can be taken after the question."""
    path = tmp_path / "a.lock"

    assert holder_of(path) is None
    with held(path, "extract"):
        pass


def test_a_process_waits_for_a_lock(tmp_path: Path) -> None:
    """The lock is released before the waiting time ends."""
    path, started, events = tmp_path / "a.lock", threading.Event(), list[str]()

    def hold() -> None:
        with held(path, "extract"):
            started.set()
            time.sleep(0.3)
            events.append("released")

    thread = threading.Thread(target=hold)
    thread.start()
    started.wait()
    with held(path, "train", wait_seconds=30):
        events.append("taken")
    thread.join()

    assert events == ["released", "taken"]


def test_a_folder_that_cannot_be_created_is_a_storage_error(tmp_path: Path) -> None:
    """The path of the folder is that of a file."""
    (tmp_path / "file").touch()

    with pytest.raises(StorageError, match="file"), held(tmp_path / "file" / "a.lock", "extract"):
        pass
