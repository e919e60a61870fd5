"""What is installed, and what a command costs before it does anything."""

import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = ("cli", "pipeline", "extractors", "daan")


@pytest.mark.parametrize("name", OURS)
def test_no_other_distribution_owns_our_package_names(name: str) -> None:
    """The folders are top-level packages, so a clash with another distribution would run its code instead of ours."""
    assert set(packages_distributions()[name]) == {"avzsl"}


@pytest.mark.parametrize("arguments", [["--help"], ["extract", "--help"], ["status"]])
def test_help_and_status_load_no_torch(arguments: list[str], tmp_path: Path) -> None:
    """Help and status answer at once: torch alone would take seconds."""
    program = (
        "import sys; from cli.main import run_command; "
        f"code = run_command({arguments!r}); "
        "print('torch' in sys.modules, 'av' in sys.modules, 'transformers' in sys.modules); sys.exit(code)"
    )

    result = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert result.stdout.splitlines()[-1] == "False False False"


def test_every_command_shows_an_example_in_its_help() -> None:
    """A newcomer sees in each command's help how it is called."""
    for command in ("extract", "train", "evaluate", "predict", "run", "status", "demo"):
        avzsl = Path(sys.executable).parent / "avzsl"
        result = subprocess.run([avzsl, command, "--help"], capture_output=True, text=True, check=True)
        assert f"Example: avzsl {command}" in result.stdout


def test_committed_samples_and_weights_stay_small() -> None:
    """Sample clips and sample weights together stay below 10 MiB, the clips below 8 MiB."""
    clips = sum(path.stat().st_size for path in (ROOT / "sample_videos").rglob("*.mp4"))

    assert 0 < clips <= 8 * 2**20
