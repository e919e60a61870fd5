"""pipeline/run.py: the demo on a few of its clips."""

import io
import re
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

    assert re.search(r"chance\b.* 50\.00 ", first)
    last = first[first.index("Of the 4 clips") :]
    found = re.search(
        r"Of the 4 clips of the 2 classes .*, (\d) are recognised among these classes; guessing .* 2\.", last
    )
    assert found is not None
    named = re.findall(r"A clip that is (right|wrong), of the class '(.*)':", last)
    right = int(found[1])
    assert [kind for kind, _ in named] == [*["right"] * (right > 0), *["wrong"] * (right < 4)]
    for (kind, name), shown in zip(named, last.split("A clip that is")[1:], strict=True):
        first_class = shown.splitlines()[3].split("  ")[0].strip()
        assert (first_class == name) == (kind == "right")
        assert "not in training" in shown
    figures = [Path(line.strip()) for line in first.splitlines() if line.endswith(".png")]
    assert len(figures) == len(set(figures)) == 2
    assert all(figure.read_bytes().startswith(b"\x89PNG") for figure in figures)
    assert "Nothing to do" in again
    assert "Nothing to do: trained already" in again


def test_the_sample_videos_are_found() -> None:
    """Their folder is next to the packages and contains splits."""
    assert (sample_folder() / "splits.yaml").is_file()
