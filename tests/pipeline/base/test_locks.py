"""pipeline/base/locks.py: one process holds a lock, others learn who."""

import os
import threading
import time
from pathlib import Path

import pytest

from pipeline.base.errors import StorageError
from pipeline.base.locks import LockHeldError, held, holder_of


def test_a_held_lock_is_refused_with_its_holder(tmp_path: Path) -> None:
    """In a folder that is made for it; afterwards nothing says that somebody holds it."""
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


def test_asking_does_not_hold(tmp_path: Path) -> None:
    """Who looks at a free lock leaves it free."""
    path = tmp_path / "a.lock"

    assert holder_of(path) is None
    with held(path, "extract"):
        pass


def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    """It comes free within the time given."""
    path, began = tmp_path / "a.lock", threading.Event()

    def hold() -> None:
        with held(path, "extract"):
            began.set()
            time.sleep(0.3)

    thread = threading.Thread(target=hold)
    thread.start()
    began.wait()
    with held(path, "train", wait_seconds=30):
        pass
    thread.join()


def test_an_unwritable_place_is_one_line(tmp_path: Path) -> None:
    """A file where the folder should be."""
    (tmp_path / "file").touch()

    with pytest.raises(StorageError, match="file"), held(tmp_path / "file" / "a.lock", "extract"):
        pass
