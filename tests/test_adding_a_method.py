"""daan/pages/adding.md: its lines, applied to a copy of the code, add a method that is trained and evaluated."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "daan" / "pages" / "adding.md").read_text(encoding="utf-8")
COMMANDS = """
from cli.main import run_command
short = ("epochs=2", "steps_per_epoch=5", "batch_pairs=32")
training = [word for name in short for word in ("--set", "training." + name)]
assert run_command(["prepare", "synthetic", "--shape", "small"]) == 0
assert run_command(["train", "--method", "linear", "--set", "linear.regression=2", "--device", "cpu", *training]) == 0
assert run_command(["evaluate", "--no-figures", "--device", "cpu"]) == 0
assert run_command(["compare", "--methods", "linear,devise", "--seeds", "0", "--device", "cpu", *training]) == 0
assert run_command(["methods"]) == 0
assert run_command(["train", "--method", "linear", "--set", "linear.regression=-1"]) == 2
"""


def block(language: str) -> list[str]:
    """Return the lines of the only block of a language on the page."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    lines: list[str] = found.splitlines()
    return lines


def apply(edits: list[str], folder: Path) -> None:
    """Apply the edits: `---` names a file, ` ` finds a line, `-` replaces it, and `+` adds a line after it."""
    path, place = folder, 0
    for edit in edits:
        if edit.startswith("--- "):
            path, place = folder / edit[4:], 0
            continue
        lines = path.read_text(encoding="utf-8").splitlines()
        if edit[0] in " -":
            place = lines.index(edit[1:]) + 1
        if edit[0] == "-":
            del lines[place - 1]
            place -= 1
        elif edit[0] == "+":
            lines.insert(place, edit[1:])
            place += 1
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_the_worked_example_is_short() -> None:
    """A new method takes at most 60 lines, with its network, losses and options."""
    code = [line for line in (*block("python"), *block("diff")) if line.strip()]
    assert len(code) <= 60


def test_the_worked_example_adds_a_method(tmp_path: Path) -> None:
    """The commands of a user run in another process, on the copy."""
    for package in ("cli", "pipeline", "extractors", "daan"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "daan/baselines/linear.py").write_text("\n".join(block("python")) + "\n", encoding="utf-8")
    apply(block("diff"), tmp_path)
    work = tmp_path / "work"
    work.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", COMMANDS]
    done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "fused *" in done.stdout
    assert "linear.regression is -1" in done.stderr


@pytest.mark.parametrize("name", ["tests/daan/baselines/test_contract.py", "tests/daan/baselines/test_losses.py"])
def test_the_files_that_the_page_names_exist(name: str) -> None:
    """They are named as the next steps."""
    assert name in PAGE
    assert (ROOT / name).is_file()
