"""pipeline/run.py: the demo on a few of its clips."""

import io
import shutil
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
import yaml

from cli.main import run_command
from pipeline.run import sample_folder

SAMPLES = Path(__file__).resolve().parents[2] / "sample_videos"
SEEN = ("red_ball_bouncing", "blue_ball_blinking", "yellow_heart_sliding")
UNSEEN = ("red_star_blinking", "green_ball_shaking")


@pytest.fixture(scope="module")
def few_samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy two clips of each of five classes, two of them unseen, and write splits for them."""
    folder = tmp_path_factory.mktemp("samples")
    for name in (*SEEN, *UNSEEN):
        (folder / name).mkdir()
        for clip in ("000.mp4", "001.mp4"):
            shutil.copy(SAMPLES / name / clip, folder / name / clip)
    splits = {
        "train": [f"{name}/000.mp4" for name in SEEN],
        "test_seen": [f"{name}/001.mp4" for name in SEEN],
        "test_unseen": [f"{name}/{clip}" for name in UNSEEN for clip in ("000.mp4", "001.mp4")],
    }
    (folder / "splits.yaml").write_text(yaml.safe_dump(splits))
    return folder


def run_demo(workspace: Path) -> str:
    """Run the demo and return its standard output."""
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(io.StringIO()):
        assert run_command(["demo", "-w", str(workspace), "--set", "training.epochs=1"]) == 0
    return out.getvalue()


def test_the_demo_ends_with_metrics_chance_a_prediction_and_figures(
    few_samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last lines show a new user whether it worked, how well, and where the figures are."""
    monkeypatch.setattr("pipeline.run.sample_folder", lambda: few_samples)

    first = run_demo(tmp_path / "demo")
    again = run_demo(tmp_path / "demo")

    last = first[first.index("Prediction for a clip of") :]
    assert "'red star blinking'" in last
    assert "not in training" in last
    assert "guessing among 2 unseen classes gives ZSL 50.0" in last
    figures = [Path(line.strip()) for line in last.splitlines() if line.endswith(".png")]
    assert len(figures) == 2
    assert all(figure.read_bytes().startswith(b"\x89PNG") for figure in figures)
    assert "Nothing to do" in again
    assert "Nothing to do: trained already" in again


def test_the_sample_videos_are_found() -> None:
    """Their folder is next to the packages and contains splits."""
    assert (sample_folder() / "splits.yaml").is_file()
