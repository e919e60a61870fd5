"""cli/commands/probe.py: output, JSON document and exit code."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from cli.commands import probe
from extractors.decoding.self_test import write_tiny_clip


def run(command: Callable[..., int], *arguments: object) -> int:
    """Run one command as its own application, and return the exit code."""
    app = typer.Typer()
    app.command()(command)
    code = app(args=[str(argument) for argument in arguments], standalone_mode=False)
    return code if isinstance(code, int) else 0


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def test_probe_shows_good_clips_and_names_broken_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A broken clip gives one line on standard error and exit code 1; the good clip still gets its contact sheet."""
    write_tiny_clip(tmp_path / "good.mp4")
    (tmp_path / "bad.mp4").write_text("hello")
    workspace = tmp_path / "workspace"
    arguments = (tmp_path / "bad.mp4", tmp_path / "good.mp4", "--workspace", workspace)
    assert run(probe.command, *arguments) == 1
    output = capsys.readouterr()
    assert output.err.strip().splitlines() == [f"avzsl: {tmp_path / 'bad.mp4'}: not a video but a text file"]
    for text in ("h264", "aac", "2 seconds of features", "decoded by pyav"):
        assert text in output.out
    assert [path.name for path in (workspace / "probes").iterdir()] == ["good.mp4.png"]


def test_the_document_of_probe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The document has one entry per clip, and --out sets the path of the contact sheet."""
    write_tiny_clip(tmp_path / "good.mp4")
    out = tmp_path / "mine.png"
    assert run(probe.command, tmp_path / "good.mp4", "--out", out, "--json", "--workspace", tmp_path / "w") == 0
    (clip,) = json.loads(capsys.readouterr().out)["clips"]
    assert (clip["summary"]["seconds"], clip["picture"], clip["choice"]["decoder"]) == (2, str(out), "pyav")
    assert out.exists()
    assert not (tmp_path / "w").exists()
