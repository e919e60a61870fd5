"""pipeline/deferred_signals.py: a signal waits for the end of what cannot be left, and is not lost."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import h5py
import pytest

from pipeline.deferred_signals import deferred_signals

# Writes one file again and again while another process sends it Ctrl-C; prints how often it was interrupted.
INTERRUPTED = """
import os, signal, subprocess, sys
from pathlib import Path
import numpy as np
from pipeline.base.hdf5 import new_hdf5
path, rows = Path(sys.argv[1]), np.ones((500, 64), np.float32)
sender = (
    "import os, random, signal, time\\n"
    "chance = random.Random(0)\\n"
    "for _ in range(60):\\n"
    "    time.sleep(chance.uniform(0.001, 0.02))\\n"
    f"    os.kill({os.getpid()}, signal.SIGINT)\\n"
    f"os.kill({os.getpid()}, signal.SIGUSR1)"
)
interrupted, over, armed = 0, [], []

def interrupt(*_):
    if armed:
        armed.clear()
        raise KeyboardInterrupt

signal.signal(signal.SIGUSR1, lambda *_: over.append(True))
signal.signal(signal.SIGINT, interrupt)
with subprocess.Popen([sys.executable, "-c", sender]):
    while not over:
        try:
            armed.append(True)
            with new_hdf5(path) as file:
                for name in "abcdefgh":
                    data = file.create_dataset(name, shape=rows.shape, dtype="f4", chunks=(10, 64))
                    data[...] = rows
                    file.pause()
            armed.clear()
        except KeyboardInterrupt:
            interrupted += 1
print(interrupted)
"""


@pytest.fixture(autouse=True)
def _same_handlers() -> Iterator[None]:
    """Whatever a test does, Ctrl-C means afterwards what it meant before."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    assert {number: signal.getsignal(number) for number in before} == before


def test_a_signal_waits_for_the_end() -> None:
    """What is inside goes on; behind it the interrupt comes."""
    done: list[str] = []

    def work() -> None:
        with deferred_signals():
            signal.raise_signal(signal.SIGINT)
            done.append("inside")
        done.append("behind")

    with pytest.raises(KeyboardInterrupt):
        work()

    assert done == ["inside"]


def test_a_signal_is_handled_where_the_work_can_be_left() -> None:
    """Once, and only if it came before."""
    done: list[str] = []

    def work() -> None:
        with deferred_signals() as handle:
            handle()
            signal.raise_signal(signal.SIGINT)
            done.append("came")
            handle()
            done.append("handled")

    with pytest.raises(KeyboardInterrupt):
        work()

    assert done == ["came"]


def test_what_somebody_else_made_of_a_signal_counts() -> None:
    """Each of several signals reaches the handler that was there."""
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        with deferred_signals():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
            assert heard == []
        assert heard == [signal.SIGTERM, signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_outside_the_main_thread_nothing_changes() -> None:
    """Python lets only the main thread handle signals."""
    done: list[bool] = []

    def work() -> None:
        with deferred_signals() as handle:
            handle()
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert done == [True]


@pytest.mark.skipif(os.name != "posix", reason="signals between processes")
def test_ctrl_c_amid_a_file_neither_crashes_nor_leaves_half_of_it(tmp_path: Path) -> None:
    """The HDF5 library ends the process with SIGSEGV where Python's interrupt reaches it."""
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path / "a.h5")]

    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    assert (result.returncode, result.stderr) == (0, "")
    assert int(result.stdout) > 20
    assert [path.name for path in tmp_path.iterdir()] in ([], ["a.h5"])
    if (tmp_path / "a.h5").exists():
        with h5py.File(tmp_path / "a.h5") as file:
            assert all(file[name][...].all() for name in "abcdefgh")
