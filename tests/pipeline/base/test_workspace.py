"""pipeline/base/workspace.py: where things lie, what stages were made from, one writer at a time."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.base.errors import MissingStageError, StorageError, UsageError, WorkspaceInUseError
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
    """An empty workspace."""
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def holder(workspace: Workspace) -> Iterator["subprocess.Popen[str]"]:
    """Another process that holds the workspace's lock until its input ends."""
    command = [sys.executable, "-c", HOLD, str(workspace.root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield process
        process.kill()


def test_a_fresh_workspace_has_no_stages_and_creates_nothing(workspace: Workspace) -> None:
    """Looking does not write."""
    assert workspace.stages() == {}
    assert not workspace.root.exists()


def test_recorded_stages_come_back_and_a_newer_record_replaces_the_old(workspace: Workspace) -> None:
    """stages.json keeps one record a stage, with the time it was made."""
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
def test_damaged_stages_fail_with_a_remedy(workspace: Workspace, content: str) -> None:
    """Whatever else stands in stages.json is one line, not a traceback."""
    workspace.root.mkdir()
    workspace.stages_file.write_text(content)

    with pytest.raises(StorageError, match=r"stages\.json is damaged"):
        workspace.stages()


def test_features_and_models_are_missing_until_they_are_made(workspace: Workspace) -> None:
    """The message names the command that makes them."""
    with pytest.raises(MissingStageError, match="holds no features yet: run avzsl extract VIDEOS first"):
        workspace.current_features()
    with pytest.raises(MissingStageError, match="holds no trained model yet: run avzsl train first"):
        workspace.current_model()


def test_what_was_recorded_is_current_while_it_is_there(workspace: Workspace) -> None:
    """Output that somebody deleted counts as not made."""
    features, model = workspace.feature_folder("abc") / "features.h5", workspace.model_folder("def")
    for stage, output in (("features", features), ("model", model)):
        workspace.record(stage, StageRecord("f", str(output.relative_to(workspace.root))))
    with pytest.raises(MissingStageError, match="holds no features yet"):
        workspace.current_features()
    with pytest.raises(MissingStageError, match="holds no trained model yet"):
        workspace.current_model()

    features.parent.mkdir(parents=True)
    features.touch()
    model.mkdir(parents=True)

    assert workspace.current_features() == features
    assert workspace.current_model() == model
    assert workspace.current_model("def") == model


def test_an_unknown_run_fails_and_the_known_ones_are_listed(workspace: Workspace) -> None:
    """A name that no model has is answered with the names there are."""
    with pytest.raises(UsageError, match="has no run 'x'; it has none"):
        workspace.current_model("x")
    for run in ("b", "a"):
        workspace.model_folder(run).mkdir(parents=True)
        (workspace.model_folder(run) / "model.json").touch()

    with pytest.raises(UsageError, match="has no run 'x'; it has a, b"):
        workspace.current_model("x")


def test_a_second_process_is_told_who_works_in_the_workspace(
    workspace: Workspace, holder: "subprocess.Popen[str]"
) -> None:
    """The message names command, process and remedy; the first process is not disturbed."""
    expected = rf"is in use by avzsl extract \(process {holder.pid} on .+\): wait for it, or choose another"

    with pytest.raises(WorkspaceInUseError, match=expected), workspace.locked("train"):
        pass

    assert holder.poll() is None
    assert json.loads((workspace.root / "lock.json").read_text())["command"] == "extract"


def test_a_holder_that_left_no_name_is_another_process(workspace: Workspace, holder: "subprocess.Popen[str]") -> None:
    """Between taking the lock and writing its name a process is anonymous."""
    for content in ("", "[]", "{}", None):
        if content is None:
            (workspace.root / "lock.json").unlink()
        else:
            (workspace.root / "lock.json").write_text(content)
        with pytest.raises(WorkspaceInUseError, match="in use by another avzsl process"), workspace.locked("train"):
            pass


def test_the_lock_is_free_when_its_holder_ends(workspace: Workspace, holder: "subprocess.Popen[str]") -> None:
    """An orderly end leaves nothing that says somebody works here."""
    holder.communicate()

    assert not (workspace.root / "lock.json").exists()
    with workspace.locked("train"):
        pass


@pytest.mark.skipif(os.name != "posix", reason="kills by signal")
def test_a_lock_of_a_killed_process_is_no_obstacle(workspace: Workspace, holder: "subprocess.Popen[str]") -> None:
    """`kill -9` leaves lock.json behind, and the next process takes over."""
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (workspace.root / "lock.json").exists()

    with workspace.locked("train"):
        assert json.loads((workspace.root / "lock.json").read_text())["pid"] == os.getpid()


def test_the_lock_is_freed_by_an_error(workspace: Workspace) -> None:
    """A failed stage does not lock the next one out."""
    with pytest.raises(ZeroDivisionError), workspace.locked("train"):
        _ = 1 // 0

    with workspace.locked("train"):
        pass


def test_a_file_where_the_workspace_should_be_fails(workspace: Workspace) -> None:
    """The path is named in one line."""
    workspace.root.touch()

    with pytest.raises(StorageError, match="workspace"), workspace.locked("train"):
        pass


def test_the_environment_chooses_the_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """AVZSL_CACHE goes before the user's own cache folder."""
    monkeypatch.setenv("AVZSL_CACHE", str(tmp_path))

    assert cache_folder() == tmp_path


def test_a_tilde_means_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where no shell replaced it, as in a service's settings, ~ is still no folder of that name."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AVZSL_CACHE", "~/kept")

    assert cache_folder() == tmp_path / "kept"


@pytest.mark.parametrize("value", [None, ""])
def test_without_a_choice_it_is_the_users_cache_folder(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    """An unset or empty variable chooses nothing."""
    if value is None:
        monkeypatch.delenv("AVZSL_CACHE", raising=False)
    else:
        monkeypatch.setenv("AVZSL_CACHE", value)

    assert cache_folder().name == "avzsl"
    assert cache_folder().is_absolute()
