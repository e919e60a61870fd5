"""cli/next_step.py: the command after `Next:` works when it is pasted."""

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.main import run_command
from cli.next_step import pasted
from pipeline.base.workspace import Workspace

SAMPLES = Path(__file__).resolve().parents[2] / "sample_videos"
SHORT = ["--set", "training.epochs=1", "--set", "training.steps_per_epoch=1", "--device", "cpu"]


def test_the_workspace_is_part_of_the_command_unless_it_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """AVZSL_WORKSPACE makes another one the default."""
    monkeypatch.delenv("AVZSL_WORKSPACE", raising=False)
    assert pasted("train", Path("avzsl-workspace")) == "avzsl train"
    assert pasted("train", Path("my work [1]")) == "avzsl train -w 'my work [1]'"
    monkeypatch.setenv("AVZSL_WORKSPACE", "elsewhere")
    assert pasted("train", Path("elsewhere")) == "avzsl train"
    assert pasted("train", Path("avzsl-workspace")) == "avzsl train -w avzsl-workspace"


def next_of(shown: str) -> list[str]:
    """Return the arguments of the only `Next:` line, which is the last one."""
    *_, last = shown.splitlines()
    assert shown.count("Next: ") == 1
    assert last.startswith("Next: avzsl ")
    return shlex.split(last.removeprefix("Next: avzsl "))


def test_every_next_command_works_up_to_a_prediction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the videos on, each command is the one that the command before showed."""
    monkeypatch.delenv("AVZSL_WORKSPACE", raising=False)
    monkeypatch.chdir(tmp_path)
    for name in ("red_ball_bouncing", "green_heart_blinking", "blue_star_bouncing"):
        folder = tmp_path / "my videos" / name
        folder.mkdir(parents=True)
        for number in ("000", "001"):
            (folder / f"{number}.mp4").write_bytes((SAMPLES / name / f"{number}.mp4").read_bytes())
    command = ["prepare", "folder", "my videos", "-w", "my work"]
    passed = []
    options = {"extract": ["--weights", "untrained", "--width", "2"], "train": SHORT}
    for _ in range(5):
        assert run_command([*command, *options.get(command[0], [])]) == 0
        passed.append(command[0])
        if command[0] == "predict":
            break
        command = next_of(capsys.readouterr().out)
        assert command[-2:] == ["-w", "my work"]
    assert passed == ["prepare", "extract", "train", "evaluate", "predict"]

    assert run_command(["status", "-w", "my work"]) == 0
    assert next_of(capsys.readouterr().out)[0] == "predict"


def test_generated_features_lead_to_the_report(
    extracted: Callable[..., Workspace], capsys: pytest.CaptureFixture[str]
) -> None:
    """No clip has them, so a prediction would be refused."""
    root = str(extracted().root)
    assert run_command(["train", "-w", root, *SHORT, "--set", "daan.hidden_width=32"]) == 0
    assert run_command(next_of(capsys.readouterr().out)) == 0
    command = next_of(capsys.readouterr().out)
    assert command[0] == "report"
    assert run_command(command) == 0


def test_an_empty_workspace_names_a_command_that_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The help says what to give."""
    assert run_command(["status", "-w", str(tmp_path / "new")]) == 0
    assert run_command(next_of(capsys.readouterr().out)) == 0
