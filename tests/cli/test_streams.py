"""cli/streams.py: closed streams, full disks and narrow encodings, in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.features.store import open_store

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="descriptors and devices of POSIX")

SAMPLES = Path(__file__).resolve().parents[2] / "sample_videos"
AVZSL = "import sys; sys.argv[0] = 'avzsl'; from cli.main import main; main()"


def avzsl(*arguments: str, redirection: str = "", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command; `redirection` changes its streams as in a shell."""
    command = ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-c", AVZSL, *arguments]
    return subprocess.run(command, capture_output=True, check=False, env={**os.environ, **environment})


def test_closed_descriptors_do_not_become_data_files(tmp_path: Path) -> None:
    """Some launchers close all three. No video fails, and no library can write into a file."""
    videos = tmp_path / "videos"
    for name in ("red_ball_bouncing", "green_heart_blinking"):
        (videos / name).mkdir(parents=True)
        (videos / name / "a.mp4").write_bytes((SAMPLES / name / "000.mp4").read_bytes())
    extract = ("extract", str(videos), "--weights", "untrained", "--width", "2", "-w")

    closed = avzsl(*extract, str(tmp_path / "closed"), redirection="<&- >&- 2>&-")
    usual = avzsl(*extract, str(tmp_path / "usual"))

    assert (closed.returncode, usual.returncode) == (0, 0)
    stores = [next(tmp_path.glob(f"{name}/features/*/features.h5")) for name in ("closed", "usual")]
    contents = []
    for path in stores:
        with open_store(path) as store:
            contents.append((store.features("visual").tobytes(), store.features("audio").tobytes()))
    assert contents[0] == contents[1]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_full_disk_behind_the_output_is_one_line(tmp_path: Path, options: tuple[str, ...]) -> None:
    """The command failed, and says where."""
    run = avzsl("status", "-w", str(tmp_path), *options, redirection="> /dev/full")
    assert run.returncode == 1
    (line,) = run.stderr.decode().splitlines()
    assert "output cannot be written: No space left on device" in line


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1", "utf-8:strict"])
def test_any_encoding_shows_any_name(tmp_path: Path, encoding: str) -> None:
    """What it lacks is written as an escape, and the exit code is as ever."""
    folder = tmp_path / "yoga \udcff 瑜伽"
    folder.mkdir()
    run = avzsl("probe", str(folder / "a.mp4"), PYTHONIOENCODING=encoding)
    assert run.returncode == 2
    assert b"Traceback" not in run.stderr
    assert b"does not exist" in run.stderr


def test_a_reader_that_stops_is_no_error_of_ours(tmp_path: Path) -> None:
    """`| head` closes the pipe."""
    run = avzsl("status", "-w", str(tmp_path), "--json", redirection="| true")
    assert b"Traceback" not in run.stderr


def test_the_document_is_complete_when_the_command_ends(tmp_path: Path) -> None:
    """It is flushed before the exit code is given."""
    run = avzsl("status", "-w", str(tmp_path), "--json")
    assert run.returncode == 0
    assert json.loads(run.stdout)["stages"]


def test_words_of_a_library_are_not_in_the_document(tmp_path: Path) -> None:
    """Whatever writes to standard output under --json, in Python or below it, writes to standard error instead."""
    noisy = (
        "import os, subprocess, sys; from pipeline import status; ask = status.workspace_status\n"
        "def loud(*arguments):\n"
        "    print('from Python'); os.write(1, b'from C\\n'); subprocess.run(['echo', 'from a process'])\n"
        "    return ask(*arguments)\n"
        "status.workspace_status = loud\n"
    )
    command = [sys.executable, "-c", noisy + AVZSL, "status", "--json", "-w", str(tmp_path / "ws")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "stages" in json.loads(done.stdout)
    assert {"from Python", "from C", "from a process"} <= set(done.stderr.splitlines())
