"""The installed packages, help texts that are fast to show, and the size of the samples."""

import subprocess
import sys
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = ("cli", "pipeline", "extractors", "daan")


@pytest.mark.parametrize("name", OURS)
def test_no_other_distribution_owns_our_package_names(name: str) -> None:
    """The folders are top-level packages, so a distribution with the same name could replace our code."""
    assert set(packages_distributions()[name]) == {"avzsl"}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["extract", "--help"], ["status"]])
def test_help_and_status_load_no_torch(arguments: list[str], tmp_path: Path) -> None:
    """Help and status are fast because they load no large library; torch alone takes seconds."""
    program = (
        "import sys; from cli.main import run_command; "
        f"code = run_command({arguments!r}); "
        "print('torch' in sys.modules, 'av' in sys.modules, 'transformers' in sys.modules); sys.exit(code)"
    )

    result = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert result.stdout.splitlines()[-1] == "False False False"


def test_the_version_is_that_of_the_installed_distribution() -> None:
    """Users name it in reports of faults."""
    avzsl = Path(sys.executable).parent / "avzsl"
    result = subprocess.run([avzsl, "--version"], capture_output=True, text=True, check=True)
    assert result.stdout == f"avzsl {version('avzsl')}\n"


def test_every_command_shows_an_example_in_its_help() -> None:
    """The help of each command shows a newcomer how to call it."""
    for command in ("extract", "train", "evaluate", "predict", "run", "status", "demo"):
        avzsl = Path(sys.executable).parent / "avzsl"
        result = subprocess.run([avzsl, command, "--help"], capture_output=True, text=True, check=True)
        assert f"Example: avzsl {command}" in result.stdout


def test_committed_samples_stay_small() -> None:
    """The sample clips together stay below 8 MiB."""
    clips = sum(path.stat().st_size for path in (ROOT / "sample_videos").rglob("*.mp4"))

    assert 0 < clips <= 8 * 2**20
