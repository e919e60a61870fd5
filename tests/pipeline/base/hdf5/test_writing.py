"""pipeline/base/hdf5/writing.py: an HDF5 file is written whole or not at all, also on a full disk."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.base.hdf5.writing import deferred_signals, new_hdf5

FILL = """
import resource, sys
from pathlib import Path
import numpy as np
from pipeline.base.errors import StorageError
from pipeline.features.store import FeatureRows, write_part
from pipeline.features.index import SourceFile, StoredVideo
seconds, limit, path = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
rows = np.random.default_rng(0).random((seconds, 512), dtype=np.float32)
videos = [
    (StoredVideo(f"video {n}", SourceFile("", 0, 0), seconds, True, True, 1.0), FeatureRows(rows, rows))
    for n in range(200)
]
try:
    write_part(path, videos, [], widths=(512, 512), dtype="float32", attributes={})
except StorageError as error:
    print(error)
"""

# A program that writes one file again and again while another process sends it SIGINT. It prints how often it was
# interrupted.
INTERRUPTED = """
import os, signal, subprocess, sys
from pathlib import Path
import numpy as np
from pipeline.base.hdf5.writing import new_hdf5
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


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")
@pytest.mark.parametrize(("seconds", "limit"), [(10, 0), (10, 50_000), (10, 2_000_000), (0, 2_000), (0, 12_000)])
def test_a_full_disk_is_an_error_and_not_a_crash(tmp_path: Path, seconds: int, limit: int) -> None:
    """HDF5 would crash the process if a write fails; here the old file stays, and the message is one line."""
    path = tmp_path / "part.h5"
    path.write_text("old")
    command = [sys.executable, "-c", FILL, str(seconds), str(limit), str(path)]

    result = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"{path}: File too large\n"
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_h5py_can_read_a_new_file(tmp_path: Path) -> None:
    """The result is an ordinary HDF5 file; this one is larger than any buffer."""
    values = np.random.default_rng(0).random((3000, 512))
    with new_hdf5(tmp_path / "a.h5") as file:
        file.create_dataset("x", data=values, chunks=(100, 512))
        file["names"] = np.array(["a", "é"], h5py.string_dtype())
        file.attrs["schema"] = 1

    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["x"][...], values)
        assert file["names"].asstr()[...].tolist() == ["a", "é"]
        assert file.attrs["schema"] == 1
    assert list(tmp_path.iterdir()) == [tmp_path / "a.h5"]


def test_an_error_while_filling_leaves_the_old_file(tmp_path: Path) -> None:
    """The error of the writer is raised unchanged."""
    (tmp_path / "a.h5").write_text("old")

    with pytest.raises(ZeroDivisionError), new_hdf5(tmp_path / "a.h5") as file:
        file["x"] = 1 // 0

    assert (tmp_path / "a.h5").read_text() == "old"
    assert list(tmp_path.iterdir()) == [tmp_path / "a.h5"]


@pytest.fixture(autouse=True)
def _same_handlers() -> Iterator[None]:
    """Check that a test leaves the signal handlers unchanged."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    assert {number: signal.getsignal(number) for number in before} == before


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Give SIGINT its usual handler: a shell that runs the tests in the background may have it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_a_signal_is_handled_at_the_end_of_the_context() -> None:
    """The work inside the context goes on; the interrupt comes after it."""
    done: list[str] = []

    def work() -> None:
        with deferred_signals():
            signal.raise_signal(signal.SIGINT)
            done.append("inside")
        done.append("after")

    with pytest.raises(KeyboardInterrupt):
        work()

    assert done == ["inside"]


@pytest.mark.usefixtures("interruptible")
def test_a_signal_is_handled_when_the_work_allows_it() -> None:
    """The yielded function handles only signals that arrived before."""
    done: list[str] = []

    def work() -> None:
        with deferred_signals() as handle:
            handle()
            signal.raise_signal(signal.SIGINT)
            done.append("signal sent")
            handle()
            done.append("handled")

    with pytest.raises(KeyboardInterrupt):
        work()

    assert done == ["signal sent"]


def test_delayed_signals_reach_the_handler_that_was_set_before() -> None:
    """Each of several signals reaches it."""
    handled: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: handled.append(number))
    try:
        with deferred_signals():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
            assert handled == []
        assert handled == [signal.SIGTERM, signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_signals_are_not_delayed_outside_the_main_thread() -> None:
    """Python handles signals only in the main thread."""
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
def test_ctrl_c_during_writing_neither_crashes_nor_leaves_half_a_file(tmp_path: Path) -> None:
    """Without the delay, an interrupt inside the HDF5 library ends the process with SIGSEGV."""
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path / "a.h5")]

    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    assert (result.returncode, result.stderr) == (0, "")
    assert int(result.stdout) > 20
    assert [path.name for path in tmp_path.iterdir()] in ([], ["a.h5"])
    if (tmp_path / "a.h5").exists():
        with h5py.File(tmp_path / "a.h5") as file:
            assert all(file[name][...].all() for name in "abcdefgh")
