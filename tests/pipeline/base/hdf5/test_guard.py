"""pipeline/base/hdf5/guard.py: another process finds what would stop or fill this one."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.base.errors import DamagedFileError, StorageError
from pipeline.base.hdf5 import guard
from pipeline.base.hdf5.guard import fault_in
from pipeline.base.hdf5.reading import opened_hdf5, own_dataset


def damage(path: Path) -> Callable[[Exception], Exception]:
    """Make the function that `opened_hdf5` takes."""
    return lambda error: DamagedFileError(path, str(error))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Make a file with a table of texts of any length, a chunked dataset, a contiguous one, and a group."""
    path = tmp_path / "table.h5"
    with h5py.File(path, "w") as file:
        file["texts"] = np.array(["a", "bc"] * 50, h5py.string_dtype())
        file.create_dataset("chunked", data=np.arange(1000.0), chunks=(64,), maxshape=(None,))
        file.create_dataset("packed", data=np.zeros(100_000), chunks=(1000,), compression="gzip")
        file["plain/inside"] = np.arange(10)
        file.attrs["note"] = "whole"
    return path


def test_a_whole_file_has_no_fault_and_can_be_read(table: Path) -> None:
    """Compressed, chunked and nested datasets pass, also a second time."""
    assert fault_in(table) is None
    assert fault_in(table) is None
    with opened_hdf5(table, damage(table)) as file:
        assert file["packed"].shape == (100_000,)


def test_a_file_that_changed_is_read_again(table: Path) -> None:
    """What was whole may be damaged later."""
    assert fault_in(table) is None
    table.write_bytes(table.read_bytes()[:1000])
    assert "truncated" in str(fault_in(table))


def test_more_numbers_than_the_file_has_are_a_fault(tmp_path: Path) -> None:
    """A few kilobytes can declare gigabytes, which a reader would take from memory."""
    path = tmp_path / "huge.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("audio", shape=(1_000_000, 8000), dtype="f4")  # nothing is written
    assert "/audio declares 32000000000 bytes" in str(fault_in(path))


def test_missing_chunks_are_a_fault(tmp_path: Path) -> None:
    """HDF5 would fill them with zeros, which look like features."""
    path = tmp_path / "sparse.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset("audio", shape=(1000,), dtype="f4", chunks=(10,))
        data[:500] = 1.0
    assert "/audio declares 4000 bytes, the file holds 2000" in str(fault_in(path))


def test_a_dataset_that_repeats_many_times_what_it_holds_is_a_fault(tmp_path: Path) -> None:
    """No compression reaches such a ratio, except for chunks that are not there."""
    path = tmp_path / "bomb.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset("audio", shape=(10_000_000,), dtype="f4", chunks=(1000,), compression="gzip")
        data[:1000] = 1.0
    assert "/audio declares 40000000 bytes" in str(fault_in(path))


def make_endless(path: Path) -> None:
    """Give the free space of the heap of texts a size of 0: HDF5 steps over it without end, within one call."""
    content = bytearray(path.read_bytes())
    place = content.index(b"GCOL") + 16
    while number := int.from_bytes(content[place : place + 2], "little"):
        size = int.from_bytes(content[place + 8 : place + 16], "little")
        place += 16 + -(-size // 8) * 8
        assert number
    content[place + 8 : place + 16] = bytes(8)
    path.write_bytes(bytes(content))


def test_a_search_without_end_is_ended(table: Path) -> None:
    """The process is killed after some seconds; another one reads the files after it."""
    good = table.with_name("good.h5")
    good.write_bytes(table.read_bytes())
    make_endless(table)
    assert fault_in(table) == "the HDF5 library finds no end in it"
    assert fault_in(good) is None


def test_memory_is_limited_by_the_size_of_the_file(tmp_path: Path) -> None:
    """A name whose place in the heap is wrong made HDF5 ask for any amount of memory."""
    path = tmp_path / "names.h5"
    with h5py.File(path, "w", libver="earliest") as file:
        for number in range(40):
            file[f"a name that is long enough {number}"] = number
    content = bytearray(path.read_bytes())
    heap = content.index(b"HEAP")
    free, data = (int.from_bytes(content[heap + start : heap + start + 8], "little") for start in (16, 24))
    content[data + free : data + free + 8] = free.to_bytes(8, "little")
    path.write_bytes(bytes(content))
    assert fault_in(path) is not None


def test_damage_becomes_the_error_of_the_reader(table: Path) -> None:
    """The error names what is wrong."""
    table.write_bytes(b"no HDF5 at all")
    with pytest.raises(DamagedFileError, match="signature"), opened_hdf5(table, damage(table)):
        pass


def test_a_file_that_another_program_has_open_can_be_read(table: Path) -> None:
    """Reading takes no lock, so a notebook that has the file open for writing does not make it look damaged."""
    hold = f"import h5py, sys; f = h5py.File({str(table)!r}, 'r+'); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as notebook:
        assert notebook.stdout is not None
        assert notebook.stdin is not None
        assert notebook.stdout.readline() == b"open\n"
        with opened_hdf5(table, damage(table)) as file:
            assert file.attrs["note"] == "whole"
        notebook.stdin.close()
    assert fault_in(table) is None


def test_a_missing_file_is_not_damage(tmp_path: Path) -> None:
    """The message says that it does not exist."""
    path = tmp_path / "absent.h5"
    with pytest.raises(StorageError, match="does not exist") as error, opened_hdf5(path, damage(path)):
        pass
    assert not isinstance(error.value, DamagedFileError)


def test_a_dataset_elsewhere_is_not_found(tmp_path: Path, table: Path) -> None:
    """A link or raw numbers of another file of the machine are not read."""
    path = tmp_path / "links.h5"
    (tmp_path / "secret.bin").write_bytes(bytes(80))
    with h5py.File(path, "w") as file:
        file["outside"] = h5py.ExternalLink(str(table), "chunked")
        file.create_dataset("raw", shape=(10,), dtype="f8", external=[(str(tmp_path / "secret.bin"), 0, 80)])
        file["own"] = np.arange(3)
    with opened_hdf5(path, damage(path)) as file:
        assert own_dataset(file, "outside") is None
        assert own_dataset(file, "raw") is None
        assert own_dataset(file, "absent") is None
        assert own_dataset(file, "own").shape == (3,)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_starts_a_process_of_its_own(table: Path, tmp_path: Path) -> None:
    """The one of the parent would answer to the parent, and stays alive."""
    other = tmp_path / "other.h5"
    other.write_bytes(table.read_bytes())
    third = tmp_path / "third.h5"
    third.write_bytes(table.read_bytes())
    assert fault_in(table) is None
    child = os.fork()
    if child == 0:
        os._exit(0 if fault_in(other) is None else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert fault_in(third) is None


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("moment", ["start", "file"])
def test_a_process_that_is_ended_from_outside_is_started_again(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """A signal for a group of processes may meet it before it is ready, or with a file; the file is not blamed."""
    reached = tmp_path / "reached"
    program = tmp_path / "walk.py"
    ready = "" if moment == "start" else "print(json.dumps({'fault': None}), flush=True); sys.stdin.readline()"
    program.write_text(f"""
import json, os, runpy, signal, sys
if not os.path.exists({str(reached)!r}):
    open({str(reached)!r}, "w").close()
    {ready}
    os.kill(os.getpid(), signal.SIGTERM)
runpy.run_path({str(guard._WALK)!r}, run_name="__main__")
""")
    monkeypatch.setattr(guard, "_WALK", program)
    own = guard._Guard()
    assert own.fault_in(table) is None
    assert reached.exists()
    own.stop()


def test_a_process_that_never_gets_ready_leaves_the_file_to_the_reader(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the precaution a whole file can be read as ever."""
    program = tmp_path / "walk.py"
    program.write_text("raise SystemExit(3)")
    monkeypatch.setattr(guard, "_WALK", program)
    assert guard._Guard().fault_in(table) is None
