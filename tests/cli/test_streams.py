"""cli/streams.py: closed streams, full disks and narrow encodings, in a process of its own."""

import json
import os
import shlex
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
@pytest.mark.parametrize(
    "command", ["status", "status --json", "", "--help", "--version", "extract --help", "train --show-config"]
)
@pytest.mark.parametrize("buffer", ["", "1"], ids=["buffered", "unbuffered"])
def test_a_full_disk_behind_the_output_is_one_line(command: str, buffer: str) -> None:
    """The command failed, and says where, also if a library wrote the output."""
    run = avzsl(*command.split(), redirection="> /dev/full", PYTHONUNBUFFERED=buffer)
    assert run.returncode == 1
    (line,) = run.stderr.decode().splitlines()
    assert "output cannot be written: No space left on device" in line


def videos_in(folder: Path, *classes: str) -> Path:
    """Make a folder of videos with one clip per class."""
    for name in classes:
        (folder / "videos" / name).mkdir(parents=True)
        (folder / "videos" / name / "a.mp4").write_bytes((SAMPLES / "red_ball_bouncing" / "000.mp4").read_bytes())
    return folder / "videos"


def extract(videos: Path, redirection: str = "") -> subprocess.CompletedProcess[bytes]:
    """Extract the features of a folder of videos to the folder `ws` next to it."""
    options = ("-w", str(videos.with_name("ws")), "--weights", "untrained", "--width", "2")
    return avzsl("extract", str(videos), *options, redirection=redirection)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_standard_error_does_not_stop_the_work(tmp_path: Path) -> None:
    """A note that cannot be written is lost; the features and the document are as ever."""
    videos = videos_in(tmp_path, "red", "blue")
    assert extract(videos, redirection="2> /dev/full").returncode == 0
    status = avzsl("status", "--json", "-w", str(tmp_path / "ws"), redirection="2> /dev/full")
    assert status.returncode == 0
    assert json.loads(status.stdout)["stages"][1]["state"] == "done"


@pytest.mark.parametrize("redirection", ["2< file", "1< file 2< file", "0> file"])
def test_a_descriptor_for_the_wrong_purpose_is_not_used(tmp_path: Path, redirection: str) -> None:
    """Bash opens its script with the number of a closed standard error; the file stays as it is."""
    (tmp_path / "file").write_text("as it was" if "<" in redirection else "")
    before = (tmp_path / "file").read_bytes()
    videos = videos_in(tmp_path, "red", "blue")
    done = extract(videos, redirection=redirection.replace("file", str(tmp_path / "file")))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "file").read_bytes() == before


def test_a_launcher_without_standard_error_may_be_a_script_of_bash(tmp_path: Path) -> None:
    """The script's own file then has the number of standard error."""
    videos, script = videos_in(tmp_path, "red", "blue"), tmp_path / "job.sh"
    options = f"extract {videos} -w {tmp_path / 'ws'} --weights untrained --width 2"
    script.write_text(f"#!/bin/bash\n{shlex.quote(sys.executable)} -c {shlex.quote(AVZSL)} {options}\n")
    script.chmod(0o755)
    assert subprocess.run(["sh", "-c", f"{script} 2>&-"], check=False).returncode == 0


def test_names_are_read_and_shown_in_the_c_locale(tmp_path: Path) -> None:
    """Python could then name only files with ASCII names, and says so with an error. The output stays ASCII."""
    extract(videos_in(tmp_path, "é 瑜伽", "blue"))
    options = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for command in ("status", "inspect"):
        done = avzsl(command, "-w", str(tmp_path / "ws"), **options)
        assert done.returncode == 0, done.stderr
        assert done.stdout.isascii()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-7", "cp037"])
def test_the_output_may_have_any_encoding(tmp_path: Path, encoding: str) -> None:
    """It is not the encoding of what our own processes tell each other."""
    extract(videos_in(tmp_path, "red", "blue"))
    done = avzsl("status", "--json", "-w", str(tmp_path / "ws"), PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr.decode(encoding)
    assert json.loads(done.stdout.decode(encoding))["stages"][1]["state"] == "done"


@pytest.mark.parametrize(
    "encoding",
    ["cp1252", "ascii", "latin-1", "utf-8:strict", "ascii:surrogateescape", "latin-1:surrogateescape", "ascii:unknown"],
)
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
