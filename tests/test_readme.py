"""The commands of README.md: those for one's own videos run as they stand there, all others name options that exist."""

import re
import shlex
import shutil
import textwrap
from pathlib import Path

import pytest
import typer

from cli.main import app, run_command

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CLASSES = ("blue_square_sliding", "green_ball_shaking", "purple_heart_bouncing", "red_star_blinking")


def commands() -> list[str]:
    """Return the lines of README's code blocks that call avzsl, without their comments."""
    lines = (line.strip().split("  #")[0].strip() for line in README.splitlines() if line.startswith("    avzsl "))
    return [command.strip() for line in lines for command in line.split("&&")]


@pytest.mark.parametrize("command", dict.fromkeys(commands()))
def test_a_command_of_the_readme_has_only_options_that_exist(command: str) -> None:
    """It is parsed as the command line is, and not run."""
    name, *arguments = shlex.split(command)
    assert name == "avzsl"
    group = typer.main.get_command(app)
    with group.make_context("avzsl", arguments) as context:
        found, rest = group, [*context._protected_args, *context.args]
        while rest and hasattr(found, "commands") and rest[0] in found.commands:
            found, rest = found.commands[rest[0]], rest[1:]
        assert found is not group, command
        found.make_context(found.name, rest).close()


def run_lines(lines: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Run commands, each of which must succeed."""
    for line in lines:
        command = line.split("  #")[0]
        code = run_command(shlex.split(command)[1:])
        assert code == 0, f"{command}: {capsys.readouterr().err}"


def run_python_block(folder: Path) -> None:
    """Run README's lines that read the features, with the name of the features' folder filled in."""
    first = README.index("    import h5py")
    block = textwrap.dedent(README[first : README.index("\n\n", first)])
    (features,) = folder.glob("avzsl-workspace/features/*/features.h5")
    exec(block.replace("<fingerprint>", features.parent.name), {})  # noqa: S102 - our own page


def test_the_first_steps_work_as_they_stand_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Extraction, training, evaluation, prediction, diagnosis, datasets and the Python block, without a network."""
    for name in CLASSES:
        (tmp_path / "videos" / name).mkdir(parents=True)
        for number in range(2):
            shutil.copy(ROOT / "sample_videos" / name / f"00{number}.mp4", tmp_path / "videos" / name)
    shutil.copy(ROOT / "sample_videos" / CLASSES[0] / "002.mp4", tmp_path / "clip.mp4")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AVZSL_OFFLINE", "1")
    first = README.index("    avzsl extract videos/")
    block = README[first : README.index("\n\n", first)].splitlines()
    diagnosis = re.findall(r"^    (avzsl (?:doctor|probe|inspect).*)$", README, re.MULTILINE)
    (tmp_path / "videos.csv").write_text(
        "path,class\n" + "".join(f"videos/{name}/000.mp4,{name}\n" for name in CLASSES)
    )
    datasets = re.findall(r"^    (avzsl prepare (?:folder|csv) .*)$", README, re.MULTILINE)
    run_lines([*block, *diagnosis, "avzsl status", "avzsl report"], capsys)
    run_python_block(tmp_path)
    run_lines(datasets, capsys)
    assert (tmp_path / "avzsl-workspace" / "stages.json").is_file()
