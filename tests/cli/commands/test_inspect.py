"""cli/commands/inspect.py: output, JSON document and exit code."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import typer

from cli.commands import inspect
from pipeline.base.errors import MissingStageError
from pipeline.base.workspace import Workspace
from pipeline.features.index import SourceFile, StoredVideo
from pipeline.features.store import FeatureRows, write_part


def run(command: Callable[..., int], *arguments: object) -> int:
    """Run one command as its own application, and return the exit code."""
    app = typer.Typer()
    app.command()(command)
    code = app(args=[str(argument) for argument in arguments], standalone_mode=False)
    return code if isinstance(code, int) else 0


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def test_the_current_store_is_inspected(
    extracted: Callable[..., Workspace], capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a file argument, the feature file of the workspace is inspected."""
    workspace = extracted(silent=["red_ball/0.mp4"])
    assert run(inspect.command, "--workspace", workspace.root) == 0
    shown = capsys.readouterr().out
    for text in ("40 in 8 classes", "sound in 1 video", "visual", "audio", "integrity: ok", "synthetic"):
        assert text in shown


def test_the_document_of_inspect(extracted: Callable[..., Workspace], capsys: pytest.CaptureFixture[str]) -> None:
    """The document is one JSON value with the numbers of the table."""
    assert run(inspect.command, "--workspace", extracted().root, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["videos"], document["whole"], document["problems"]) == (40, True, [])
    assert [entry["modality"] for entry in document["statistics"]] == ["visual", "audio"]


def test_a_damaged_store_gives_exit_code_1(
    extracted: Callable[..., Workspace], capsys: pytest.CaptureFixture[str]
) -> None:
    """Standard error gets one clear line."""
    path = extracted().current_features()
    with h5py.File(path, "r+") as file:
        index = file["index"][...]
        index["offset"][1] = 0
        file["index"][...] = index
    assert run(inspect.command, path) == 1
    output = capsys.readouterr()
    assert "is not what was written" in output.err
    assert "do not begin where" in output.out
    assert len(output.err.strip().splitlines()) <= 3


def test_odd_seconds_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At most ten odd seconds are listed, and they do not count as damage."""
    row = StoredVideo("c/[a].mp4", SourceFile("", 1, 1), 15, True, True, 15.0, class_name="c")
    features = FeatureRows(np.zeros((15, 4)), np.arange(60.0).reshape(15, 4))
    write_part(
        tmp_path / "features.h5",
        [(row, features)],
        [],
        widths=(4, 4),
        dtype="float32",
        attributes={},
    )
    assert run(inspect.command, tmp_path / "features.h5") == 0
    output = capsys.readouterr()
    assert "15 visual all zero" in output.err
    assert output.out.count("visual all zero: c/[a].mp4, second ") == 10


def test_a_workspace_without_features_is_an_expected_error(tmp_path: Path) -> None:
    """The message contains the command that extracts features."""
    with pytest.raises(MissingStageError, match="avzsl extract"):
        run(inspect.command, "--workspace", tmp_path)


def test_importing_the_commands_loads_no_large_library() -> None:
    """Help is fast because torch, h5py, PyAV and matplotlib are loaded only when a command runs."""
    script = (
        "import sys; from cli.commands import doctor, inspect, probe;"
        "print([name for name in ('torch', 'h5py', 'av', 'matplotlib') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert ended.stdout.strip() == "[]"
