"""cli/interruption.py: Ctrl-C and SIGTERM during training, in every command that trains."""

import shutil
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

import pipeline.training.epoch
from cli.interruption import interruption
from cli.main import run_command

SAMPLES = Path(__file__).resolve().parents[2] / "sample_videos"
SEEN = ("red_ball_bouncing", "blue_ball_blinking", "yellow_heart_sliding")
UNSEEN = ("red_star_blinking",)
FAST = (
    *("--set", "extraction.extractor.weights=untrained", "--set", "extraction.extractor.width=2"),
    *("--set", "daan.hidden_width=16", "--set", "daan.output_width=8", "--set", "daan.heads=2"),
    *("--set", "training.epochs=2", "--set", "training.steps_per_epoch=4"),
)


@pytest.fixture(autouse=True)
def _same_handlers() -> Any:
    """Check that every test leaves the signal handlers as they were."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    assert {number: signal.getsignal(number) for number in before} == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_requests_a_stop_and_the_second_interrupts(
    capfd: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    """After the first signal `stop` returns true, and a line tells the user what a second signal does."""
    answers: list[bool] = []

    def train() -> None:
        with interruption() as stop:
            answers.append(stop())
            signal.raise_signal(number)
            answers.append(stop())
            signal.raise_signal(number)
            answers.append(stop())

    with pytest.raises(KeyboardInterrupt):
        train()

    assert answers == [False, True]
    assert capfd.readouterr().err == (
        "avzsl: finishing the current work and saving; press Ctrl-C again to stop immediately\n"
    )


def test_a_stop_request_after_the_last_check_interrupts_at_the_end() -> None:
    """If training ends before it checks for a signal, the rest of the command does not run."""
    ends: list[str] = []

    def train() -> None:
        with interruption():
            signal.raise_signal(signal.SIGINT)
            ends.append("of training")
        ends.append("of the command")

    with pytest.raises(KeyboardInterrupt):
        train()

    assert ends == ["of training"]


def test_an_error_is_not_replaced_by_the_interrupt() -> None:
    """An error after a signal is reported as it is."""

    def train() -> None:
        with interruption():
            signal.raise_signal(signal.SIGINT)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train()


def test_outside_the_main_thread_signals_stay_as_they_are() -> None:
    """Training works in other threads too, although Python handles signals only in the main thread."""
    answers: list[bool] = []

    def train() -> None:
        with interruption() as stop:
            answers.append(stop())

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()

    assert answers == [False]


@pytest.fixture
def few_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Replace the bundled samples by two clips from each of four classes."""
    folder = tmp_path / "samples"
    for name in (*SEEN, *UNSEEN):
        (folder / name).mkdir(parents=True)
        for clip in ("000.mp4", "001.mp4"):
            shutil.copy(SAMPLES / name / clip, folder / name / clip)
    splits = {
        "train": [f"{name}/000.mp4" for name in SEEN],
        "test_seen": [f"{name}/001.mp4" for name in SEEN],
        "test_unseen": [f"{name}/{clip}" for name in UNSEEN for clip in ("000.mp4", "001.mp4")],
    }
    (folder / "splits.yaml").write_text(yaml.safe_dump(splits))
    monkeypatch.setattr("pipeline.run.sample_folder", lambda: folder)
    return folder


def test_run_and_demo_stop_after_a_step_as_train_does(
    few_samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A signal comes during the second step; the same command then finishes training and evaluates."""
    commands = {
        "run": ["run", str(few_samples), "-w", str(tmp_path / "work"), *FAST],
        "demo": ["demo", "-w", str(tmp_path / "work"), *FAST],
    }
    step, done = pipeline.training.epoch.training_step, 0

    def interrupted(*arguments: Any, **options: Any) -> Any:
        nonlocal done
        done += 1
        if done == 2:
            signal.raise_signal(signal.SIGINT)
        return step(*arguments, **options)

    monkeypatch.setattr(pipeline.training.epoch, "training_step", interrupted)
    for name, command in commands.items():
        done = 0
        code = run_command(command)
        assert code == 130, name
        line = "avzsl: stopped after step 2 of 4 in epoch 1 of stage 1; the same command goes on from there\n"
        assert capsys.readouterr().err.endswith(line), name

        assert run_command(command) == 0, name
        assert "going on with the unfinished run" in capsys.readouterr().out
        assert done == 2 + 6, name
