"""pipeline/base/leftovers.py: temporary files of killed processes are removed by the next command, and nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.main import run_command
from pipeline.base.files import replacing
from pipeline.base.locks import held
from pipeline.base.workspace import Workspace

PLACES = (
    *("stages.json", "dataset/manifest.csv", "text/class_embeddings.h5", "features/extractor.json"),
    *("features/abc/features.h5", "features/abc/parts/part-000001-0.h5", "models/daan-1/model.safetensors"),
    *("models/daan-1/stage1/checkpoint.pt", "reports/daan-1/metrics.json", "reports/daan-1/validation/metrics.json"),
)
KILLED = """
import os, signal, sys
from pathlib import Path
from pipeline.base.files import replacing
with replacing(Path(sys.argv[1])) as temporary:
    temporary.write_bytes(bytes(100))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def names_in(root: Path) -> set[str]:
    """Return the names of all files."""
    return {path.name for path in root.rglob("*") if path.is_file()}


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_killed_writer_s_file_is_removed_by_the_next_command(tmp_path: Path) -> None:
    """Also by a command that only reads."""
    workspace = tmp_path / "workspace"
    subprocess.run([sys.executable, "-c", KILLED, str(workspace / "stages.json")], check=False)
    assert len(names_in(workspace)) == 1

    assert run_command(["status", "-w", str(workspace)]) == 0

    assert not [name for name in names_in(workspace) if name.endswith(".tmp")]


@pytest.mark.parametrize("place", PLACES)
def test_leftovers_are_found_wherever_files_are_written(tmp_path: Path, place: str) -> None:
    """The name is the one that `replacing` gives; files of other names are a user's."""
    path = tmp_path / place
    with replacing(path) as temporary:
        left = temporary.with_name(temporary.name)
        temporary.write_bytes(b"")
        kept = left.read_bytes()
    left.write_bytes(kept)
    own = [tmp_path / ".mine.tmp", tmp_path / "videos" / ".a.mp4.abcdefgh.tmp", path.parent / "notes.tmp"]
    for other in own:
        other.parent.mkdir(exist_ok=True)
        other.touch()

    with Workspace(tmp_path).locked("test"):
        assert not left.exists()

    assert path.exists()
    assert all(other.exists() for other in own)


def test_nothing_is_removed_while_another_process_writes(tmp_path: Path) -> None:
    """Neither under the workspace's lock nor under that of a shard."""
    workspace = Workspace(tmp_path)
    live = tmp_path / "features" / "abc" / "parts" / ".part-000001-0.h5.abcd1234.tmp"
    live.parent.mkdir(parents=True)
    live.touch()
    program = (
        "import sys\nfrom pathlib import Path\nfrom pipeline.base.locks import held\n"
        "with held(Path(sys.argv[1]), 'extract'):\n    print('held', flush=True)\n    sys.stdin.read()"
    )
    for lock in (tmp_path / "lock", workspace.shards_folder / "1-of-2.lock"):
        command = [sys.executable, "-c", program, str(lock)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
            assert other.stdout is not None
            assert other.stdin is not None
            assert other.stdout.readline().strip() == b"held"
            workspace.sweep()
            assert live.exists()
            other.stdin.close()

    workspace.sweep()
    assert not live.exists()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root can write everywhere")
def test_a_read_only_workspace_stays_as_it_is(tmp_path: Path) -> None:
    """Reading goes on."""
    left = tmp_path / ".stages.json.abcd1234.tmp"
    left.touch()
    tmp_path.chmod(0o555)
    try:
        Workspace(tmp_path).sweep()
        assert left.exists()
    finally:
        tmp_path.chmod(0o755)


def test_a_sweep_waits_for_nobody(tmp_path: Path) -> None:
    """Without leftovers no lock is taken, so that a command that reads makes no file."""
    Workspace(tmp_path).sweep()
    assert not list(tmp_path.iterdir())
    with held(tmp_path / "lock", "test"):
        Workspace(tmp_path).sweep()
