"""cli/commands/train.py and run.py: several seeds, wrong usage, and continuing an unfinished run."""

import contextlib
import json
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.main import run_command
from pipeline.base.workspace import Workspace
from pipeline.datasets.dataset import load_dataset
from pipeline.status import workspace_status

SAMPLES = Path(__file__).resolve().parents[3] / "sample_videos"
SMALL = [
    *("--set", "daan.hidden_width=16", "--set", "daan.output_width=8", "--set", "daan.heads=2"),
    *("--set", "training.epochs=2", "--set", "training.steps_per_epoch=2", "--set", "training.batch_pairs=8"),
]


def test_several_seeds_are_shown_with_mean_and_deviation(
    capsys: pytest.CaptureFixture[str], extracted: Callable[..., Workspace]
) -> None:
    """There is one line per run and one for all. A second call trains nothing; the document has the same numbers."""
    enough = ["--set", "training.least_validation_videos=5"]
    command = ["train", "-w", str(extracted().root), *SMALL, *enough, "--seeds", "3, 0"]

    assert run_command(command) == 0
    first = capsys.readouterr().out.splitlines()
    assert run_command(command) == 0
    again = capsys.readouterr().out.splitlines()
    assert run_command([*command, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)

    assert sum(line.startswith("trained, ") for line in first) == 2
    assert sum(line.startswith("Nothing to do: trained already, ") for line in again) == 2
    (line,) = (line for line in first if line.startswith("seeds 3, 0: validation "))
    assert f"ZSL {document['mean']['ZSL']:.1f} ± {document['deviation']['ZSL']:.1f}" in line
    assert document["seeds"] == 2
    assert [run["seed"] for run in document["runs"].values()] == [3, 0]
    assert all(run["model"].endswith(name) for name, run in document["runs"].items())


def test_seeds_without_enough_validation_videos_show_no_metrics(
    capsys: pytest.CaptureFixture[str], extracted: Callable[..., Workspace]
) -> None:
    """Metrics of a few videos would be read as results."""
    assert run_command(["train", "-w", str(extracted(classes=5, videos=2).root), *SMALL, "--seeds", "3, 0"]) == 0

    assert (
        "seeds 3, 0: trained, without metrics, because there are too few validation videos\n" in capsys.readouterr().out
    )


def test_run_trains_and_evaluates_every_seed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """`run` leads from clips to the mean over the seeds, with figures or without; all runs use the same splits."""
    for name in ("red_ball_bouncing", "blue_ball_blinking", "yellow_heart_sliding", "red_star_blinking"):
        (tmp_path / "videos" / name).mkdir(parents=True)
        for clip in ("000.mp4", "001.mp4"):
            shutil.copy(SAMPLES / name / clip, tmp_path / "videos" / name / clip)
    untrained = ["--weights", "untrained", "--width", "2", "--unseen", "red star blinking"]
    one_seed = ["run", str(tmp_path / "videos"), "-w", str(tmp_path / "work"), *untrained, *SMALL]
    command = [*one_seed, "--seeds", "0,1"]

    assert run_command([*command, "--json", "--no-figures"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert run_command([*one_seed, "--seed", "0", "--no-figures"]) == 0
    figures = list((tmp_path / "work").rglob("*.png"))
    capsys.readouterr()
    assert run_command(command) == 0
    shown = capsys.readouterr().out

    assert figures == []
    assert len(list((tmp_path / "work").rglob("*.png"))) == 4
    assert document["seeds"] == len(document["runs"]) == 2
    assert set(document["runs"]) == {folder.name for folder in (tmp_path / "work" / "models").iterdir()}
    assert shown.count("Nothing to do: trained already") == 2
    assert "seeds 0, 1: trained" in shown
    assert "over 2 seeds" in shown


def test_the_length_of_training_is_shown_as_it_is(
    capsys: pytest.CaptureFixture[str], extracted: Callable[..., Workspace]
) -> None:
    """0 steps per epoch means one pass, at least 20 steps; a single epoch is not called epochs."""
    length = ["--set", "training.epochs=1", "--set", "training.steps_per_epoch=0"]

    assert run_command(["train", "-w", str(extracted().root), *length]) == 0

    shown = " ".join(capsys.readouterr().out.split())
    assert "training a small network, 1 epoch of 20 steps" in shown
    assert "all 1 epoch;" in shown


@pytest.mark.parametrize("command", [["train"], ["run", "videos"]])
@pytest.mark.parametrize("seeds", ["0,x", "", "0,,1", "1,1", "1,01", "-1,2", "1.5"])
def test_a_wrong_list_of_seeds_is_wrong_usage(
    capsys: pytest.CaptureFixture[str], command: list[str], seeds: str
) -> None:
    """The message contains the list and an example of a valid one."""
    assert run_command([*command, f"--seeds={seeds}"]) == 2

    assert capsys.readouterr().err == (f"avzsl: --seeds {seeds!r}: expected different whole numbers, such as 0,1,2\n")


@pytest.mark.parametrize("command", [["train"], ["run", "videos"]])
def test_seed_together_with_seeds_is_wrong_usage(capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    """It would be unclear which seed chooses the held-out classes."""
    assert run_command([*command, "--seed", "1", "--seeds", "1,2"]) == 2

    assert "--seed and --seeds: give one of them" in capsys.readouterr().err


def test_unseen_without_a_class_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """It must not fall back to a random fraction."""
    assert run_command(["train", "--unseen", " , "]) == 2

    assert "--unseen names no class" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "runs"),
    [
        (["--unseen", "red_dog, Green Car"], 1),
        (["--unseen-fraction", "0.4"], 1),
        (["--seed", "4"], 1),
        (["--seeds", "4,1"], 2),
        (["--unseen", "red dog", "--unseen-fraction", "0.5", "--seeds", "7"], 1),
    ],
    ids=["classes", "fraction", "seed", "seeds", "all"],
)
def test_the_command_that_status_suggests_continues_an_unfinished_run(
    extracted: Callable[..., Workspace], monkeypatch: pytest.MonkeyPatch, arguments: list[str], runs: int
) -> None:
    """The same run is finished for every way to hold out classes, even if the dataset has its own splits."""
    workspace = extracted(classes=8)
    videos = [video.key for video in load_dataset(workspace.dataset_folder).videos]
    splits = {"train": videos[:20], "val_seen": [], "val_unseen": [], "test_seen": [], "test_unseen": videos[20:]}
    (workspace.dataset_folder / "splits.yaml").write_text(json.dumps(splits))
    monkeypatch.setenv("AVZSL_WORKSPACE", str(workspace.root))
    with monkeypatch.context() as stopping:
        stopping.setattr("cli.commands.train.interruption", _stopping_at_once)
        assert run_command(["train", *SMALL, *arguments]) == 130
    (unfinished,) = (workspace.root / "models").iterdir()

    suggested = next(entry.next_command for entry in workspace_status(workspace) if entry.stage == "model")
    assert run_command(shlex.split(suggested)) == 0

    assert (unfinished / "model.json").exists()
    assert len(list((workspace.root / "models").iterdir())) == runs


@contextlib.contextmanager
def _stopping_at_once() -> Iterator[Callable[[], bool]]:
    """Simulate Ctrl-C in the first step."""
    yield lambda: True
