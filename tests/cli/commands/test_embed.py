"""cli/commands/embed.py, and the option --text of several commands."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from cli.main import run_command
from pipeline.base.workspace import Workspace
from pipeline.class_embeddings.embed import read_spec, record_spec

GLOVE = "dog 1 0 0\nwoof 0.8 0.6 0\ncat 0.9 0.1 0.3\nkitten 0.9 0.12 0.3\nyoga 0 0 1\n"


@pytest.fixture
def file(tmp_path: Path) -> str:
    """GloVe vectors of some words."""
    (tmp_path / "glove.txt").write_text(GLOVE)
    return str(tmp_path / "glove.txt")


def test_named_classes_are_shown_with_their_nearest_classes(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, file: str
) -> None:
    """Each class has one line; missing vectors and nearly equal vectors give warnings on standard error."""
    names = "dog|woof, cat, kitten, zither"
    assert run_command(["embed", "-w", str(tmp_path), "--text", f"glove:{file}", "--classes", names, "-k", "1"]) == 0
    shown = capsys.readouterr()
    (line,) = (line for line in shown.out.splitlines() if line.strip().startswith("cat"))
    assert line.split() == ["cat", "cat", "kitten", "1.00"]
    assert "cat and kitten have nearly the same vector (1.00)" in shown.err
    assert "zither has no vector: 'zither' (unknown: zither)" in shown.err


def test_the_workspaces_classes_and_encoder_are_the_default(
    capsys: pytest.CaptureFixture[str], extracted: Callable[..., Workspace], tmp_path: Path
) -> None:
    """`embed` uses the same classes and text encoder as `avzsl train`."""
    workspace = extracted(classes=3)
    (tmp_path / "colours.txt").write_text("red 1 0\ngreen 0 1\nball 1 1\ndog 2 1\ndrum 1 3\ncar 0 -1\n")
    record_spec(workspace, read_spec(str(tmp_path / "colours.txt")))
    assert run_command(["embed", "-w", str(workspace.root), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["text"] == str(tmp_path / "colours.txt")
    assert [entry["class"] for entry in document["classes"]] == ["red_ball", "red_dog", "red_drum"]
    assert document["classes"][0]["phrases"] == ["red ball"]
    assert set(document) == {"text", "encoder", "width", "classes", "without_vector", "alike"}


def test_an_empty_workspace_without_classes_is_an_error(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The line says that there is no dataset, and that --classes is another way."""
    assert run_command(["embed", "-w", str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "has no dataset yet" in line
    assert "--classes" in line


@pytest.mark.parametrize("command", [["embed", "--classes", "a, b"], ["train"]])
@pytest.mark.parametrize(
    ("text", "code"),
    [("nonsense", 2), ("glove:missing.txt", 2), ("clip:", 2), ("clip:openai/clip-vit-large-patch14", 1)],
)
def test_a_wrong_text_encoder_and_one_that_cannot_be_loaded_have_different_exit_codes(
    capsys: pytest.CaptureFixture[str],
    extracted: Callable[..., Workspace],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    command: list[str],
    text: str,
    code: int,
) -> None:
    """Text that is neither a name nor a file gives code 2, a model that needs a download code 1; both give one line."""
    monkeypatch.setenv("AVZSL_CACHE", str(tmp_path / "cache"))
    assert run_command([*command, "-w", str(extracted().root), "--text", text]) == code
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_show_config_says_what_auto_is_in_this_workspace(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, file: str
) -> None:
    """The meaning of auto is in a comment, so that the YAML fits every workspace."""
    record_spec(Workspace(tmp_path / "workspace"), read_spec(file))
    for folder, expected in (("workspace", file), ("other", "minilm")):
        assert run_command(["train", "-w", str(tmp_path / folder), "--show-config"]) == 0
        shown = capsys.readouterr().out
        assert shown.startswith(f"# text.encoder auto is {expected} in this workspace\n")
        assert yaml.safe_load(shown)["text"]["encoder"] == "auto"
    assert run_command(["train", "-w", str(tmp_path / "workspace"), "--text", "minilm", "--show-config"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["text"]["encoder"] == "minilm"
