"""pipeline/base/workspace.py: paths, records of stages, and one writer at a time."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.base.errors import MissingStageError, StorageError, UsageError, WorkspaceInUseError
from pipeline.base.system import stand_in_home
from pipeline.base.workspace import StageRecord, Workspace, cache_folder

HOLD = (
    "import sys, time\n"
    "from pathlib import Path\n"
    "from pipeline.base.workspace import Workspace\n"
    "with Workspace(Path(sys.argv[1])).locked('extract'):\n"
    "    print('locked', flush=True)\n"
    "    sys.stdin.read()\n"
)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return a workspace that does not exist yet."""
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def holder(workspace: Workspace) -> Iterator["subprocess.Popen[str]"]:
    """Start another process that holds the workspace's lock until its input ends."""
    command = [sys.executable, "-c", HOLD, str(workspace.root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield process
        process.kill()


def test_reading_the_stages_of_a_new_workspace_creates_nothing(workspace: Workspace) -> None:
    """A new workspace has no stages."""
    assert workspace.stages() == {}
    assert not workspace.root.exists()


def test_recorded_stages_are_read_and_a_newer_record_replaces_the_old(workspace: Workspace) -> None:
    """stages.json has one record per stage, with its time."""
    workspace.record("features", StageRecord("abc", "features/abc/features.h5", summary={"videos": 3}))
    workspace.record("model", StageRecord("def", "models/def", inputs={"features": "abc"}))
    workspace.record("features", StageRecord("xyz", "features/xyz/features.h5"))

    stages = Workspace(workspace.root).stages()

    assert set(stages) == {"features", "model"}
    assert stages["features"].fingerprint == "xyz"
    assert stages["model"].inputs == {"features": "abc"}
    assert stages["model"].made_at.endswith("+00:00")


@pytest.mark.parametrize(
    "content", ["", "{", "[1]", '"text"', '{"a": 1}', '{"a": []}', '{"a": {}}', '{"a": {"other": 1}}', "\x00\x01"]
)
def test_a_damaged_stages_file_is_a_storage_error(workspace: Workspace, content: str) -> None:
    """Any other content of stages.json gives one line instead of a traceback."""
    workspace.root.mkdir()
    workspace.stages_file.write_text(content)

    with pytest.raises(StorageError, match=r"stages\.json is damaged"):
        workspace.stages()


def test_missing_features_and_models_are_named_with_their_command(workspace: Workspace) -> None:
    """The message says which command makes them."""
    with pytest.raises(MissingStageError, match="has no features yet: run avzsl extract VIDEOS first"):
        workspace.current_features()
    with pytest.raises(MissingStageError, match="has no trained model yet: run avzsl train first"):
        workspace.current_model()


def test_recorded_output_is_current_only_while_it_exists(workspace: Workspace) -> None:
    """Deleted output counts as not made."""
    features, model = workspace.feature_folder("abc") / "features.h5", workspace.model_folder("def")
    for stage, output in (("features", features), ("model", model)):
        workspace.record(stage, StageRecord("f", str(output.relative_to(workspace.root))))
    with pytest.raises(MissingStageError, match="has no features yet"):
        workspace.current_features()
    with pytest.raises(MissingStageError, match="has no trained model yet"):
        workspace.current_model()

    features.parent.mkdir(parents=True)
    features.touch()
    model.mkdir(parents=True)

    assert workspace.current_features() == features
    assert workspace.current_model() == model
    assert workspace.current_model("def") == model


def test_an_unknown_run_is_refused_with_a_list_of_the_known_ones(workspace: Workspace) -> None:
    """The message lists the runs that have a model, or says that there are none."""
    with pytest.raises(UsageError, match="has no run 'x'; it has none"):
        workspace.current_model("x")
    for run in ("b", "a"):
        workspace.model_folder(run).mkdir(parents=True)
        (workspace.model_folder(run) / "model.json").touch()

    with pytest.raises(UsageError, match="has no run 'x'; it has a, b"):
        workspace.current_model("x")


def test_a_second_process_is_refused_with_the_name_of_the_first(
    workspace: Workspace, holder: "subprocess.Popen[str]"
) -> None:
    """The message gives the command, the process and what to do; the first process goes on."""
    expected = rf"is in use by avzsl extract \(process {holder.pid} on .+\): wait for it, or choose another"

    with pytest.raises(WorkspaceInUseError, match=expected), workspace.locked("train"):
        pass

    assert holder.poll() is None
    assert json.loads((workspace.root / "lock.json").read_text())["command"] == "extract"


def test_a_holder_without_a_valid_record_is_another_process(
    workspace: Workspace, holder: "subprocess.Popen[str]"
) -> None:
    """A process takes the lock before it writes lock.json, so that file may be missing or incomplete."""
    for content in ("", "[]", "{}", None):
        if content is None:
            (workspace.root / "lock.json").unlink()
        else:
            (workspace.root / "lock.json").write_text(content)
        with pytest.raises(WorkspaceInUseError, match="in use by another avzsl process"), workspace.locked("train"):
            pass


def test_the_lock_is_free_after_its_holder_ended(workspace: Workspace, holder: "subprocess.Popen[str]") -> None:
    """A process that ends normally removes lock.json."""
    holder.communicate()

    assert not (workspace.root / "lock.json").exists()
    with workspace.locked("train"):
        pass


@pytest.mark.skipif(os.name != "posix", reason="kills by signal")
def test_the_lock_of_a_killed_process_is_free(workspace: Workspace, holder: "subprocess.Popen[str]") -> None:
    """`kill -9` leaves lock.json, but the next process can take the lock."""
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (workspace.root / "lock.json").exists()

    with workspace.locked("train"):
        assert json.loads((workspace.root / "lock.json").read_text())["pid"] == os.getpid()


def test_an_error_frees_the_lock(workspace: Workspace) -> None:
    """The next stage can take the lock after a failed one."""
    with pytest.raises(ZeroDivisionError), workspace.locked("train"):
        _ = 1 // 0

    with workspace.locked("train"):
        pass


def test_a_workspace_path_that_is_a_file_is_a_storage_error(workspace: Workspace) -> None:
    """The message names the path."""
    workspace.root.touch()

    with pytest.raises(StorageError, match="workspace"), workspace.locked("train"):
        pass


def test_the_environment_chooses_the_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """AVZSL_CACHE replaces the user's cache folder."""
    monkeypatch.setenv("AVZSL_CACHE", str(tmp_path))

    assert cache_folder() == tmp_path


def test_a_tilde_in_the_cache_folder_means_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """If no shell replaced the ~, as in the settings of a service, avzsl does."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AVZSL_CACHE", "~/kept")

    assert cache_folder() == tmp_path / "kept"


@pytest.mark.parametrize("value", [None, ""])
def test_by_default_the_cache_folder_is_the_users(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    """This also holds if AVZSL_CACHE is empty."""
    if value is None:
        monkeypatch.delenv("AVZSL_CACHE", raising=False)
    else:
        monkeypatch.setenv("AVZSL_CACHE", value)

    assert cache_folder().name == "avzsl"
    assert cache_folder().is_absolute()


def test_a_user_without_a_home_has_a_cache_in_the_temporary_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers may run as a number that has neither a name nor a home."""

    def homeless(*_: object, **__: object) -> str:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.delenv("AVZSL_CACHE", raising=False)
    monkeypatch.setattr("platformdirs.user_cache_dir", homeless)
    folder = cache_folder()
    assert folder.is_relative_to(tempfile.gettempdir())
    assert folder.is_relative_to(stand_in_home())


def without_rights(program: str, workspace: Workspace, writable: Path | None = None) -> str:
    """Run a program on a workspace in which nothing but one folder may be written, and return its output.

    The user root loses the capability to write everywhere.
    """
    start = f"""
from pathlib import Path
from pipeline.base.errors import PipelineError
from pipeline.base.workspace import StageRecord, Workspace
workspace = Workspace(Path({str(workspace.root)!r}))
try:
    {program}
except PipelineError as error:
    print(type(error).__name__, error)
"""
    drop = ["setpriv", "--bounding-set=-all"] if os.geteuid() == 0 else []
    paths = [workspace.root, *workspace.root.rglob("*")]
    modes = [path.stat().st_mode for path in paths]
    for path in paths:
        path.chmod(0o755 if path == writable else 0o555 if path.is_dir() else 0o444)
    try:
        done = subprocess.run([*drop, sys.executable, "-c", start], capture_output=True, text=True, check=True)
    finally:
        for path, mode in zip(paths, modes, strict=True):
            path.chmod(mode)
    return done.stdout.strip()


needs_rights = pytest.mark.skipif(
    os.name != "posix" or (os.geteuid() == 0 and shutil.which("setpriv") is None), reason="rights of POSIX"
)


def finished(root: Path) -> Workspace:
    """Make a workspace with one finished stage, and the lock that it was made under."""
    workspace = Workspace(root)
    with workspace.locked("train"):
        workspace.record("model", StageRecord("made from", "models/a", summary={"HM": 1.0}))
    return workspace


@needs_rights
@pytest.mark.parametrize("reads_only", [True, False])
def test_a_finished_workspace_can_be_used_without_the_right_to_write(tmp_path: Path, reads_only: bool) -> None:
    """A command may only read, or find that its work is done; what is recorded is not recorded again."""
    workspace = finished(tmp_path)
    work = "workspace.record('model', StageRecord('made from', 'models/a', summary={'HM': 1.0}))"
    program = f"with workspace.locked('x', reads_only={reads_only}) as may_write: print(may_write); {work}"
    assert without_rights(program, workspace) == "False"


@needs_rights
def test_without_the_right_to_write_new_work_is_refused(tmp_path: Path) -> None:
    """The message says what may not be written."""
    program = "with workspace.locked('train'): workspace.record('model', StageRecord('other', 'models/a'))"
    said = without_rights(program, finished(tmp_path))
    assert said.startswith(f"StorageError {tmp_path / 'stages.json'}: permission denied")


@needs_rights
def test_each_attempt_to_write_without_the_right_is_one_line(tmp_path: Path) -> None:
    """Also one whose error is usually a bug of ours."""
    program = "with workspace.locked('extract'): (workspace.root / 'dataset').mkdir()"
    said = without_rights(program, finished(tmp_path))
    assert said.startswith(f"StorageError {tmp_path / 'dataset'}: permission denied")


@needs_rights
def test_a_reader_without_the_right_to_write_waits_for_no_writer(tmp_path: Path) -> None:
    """The lock keeps its purpose: a workspace that changes is not read."""
    workspace = finished(tmp_path)
    with workspace.locked("extract"):
        said = without_rights("with workspace.locked('export', reads_only=True): print('read')", workspace)
    assert "is in use by avzsl extract" in said


@needs_rights
def test_nothing_is_written_without_the_lock(tmp_path: Path) -> None:
    """If some folder may be written but the lock may not, a command that writes is refused before it begins."""
    workspace = finished(tmp_path)
    (tmp_path / "reports" / "a").mkdir(parents=True)
    program = "with workspace.locked('evaluate'): print('began')"
    said = without_rights(program, workspace, writable=tmp_path / "reports" / "a")
    assert said.startswith(f"StorageError {tmp_path / 'lock'}: permission denied")
