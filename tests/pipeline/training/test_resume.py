"""pipeline/training/fitting.py: a stopped or killed training ends with the same files as an uninterrupted one."""

import contextlib
import csv
import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from daan.config import DaanConfig
from pipeline.base.errors import StorageError, TrainingStoppedError
from pipeline.base.files import read_json
from pipeline.base.progress import SilentReporter
from pipeline.base.workspace import Workspace
from pipeline.settings.training import TrainingSettings
from pipeline.settings.tree import Settings, show_settings
from pipeline.status import workspace_status
from pipeline.training.checkpoint import load_checkpoint, save_checkpoint
from pipeline.training.train import TrainingReport, train

SETTINGS = Settings(
    daan=DaanConfig(hidden_width=16, output_width=8, heads=2, encoder_dropout=0.3, modality_dropout=0.2),
    training=TrainingSettings(epochs=3, batch_pairs=8, steps_per_epoch=2, learning_rate=0.01, patience_steps=2),
)
# Imports everything once, and forks a process for each command that it reads. With `die_at`, the process kills itself
# when that checkpoint is half written.
FORKING = """
import json, os, signal, sys
from pathlib import Path
import torch
import pipeline.training.seeds
from cli.main import run_command

def die_during_checkpoint(number):
    replace, written = Path.replace, 0
    def replacing(self, target):
        nonlocal written
        written += Path(target).name == "checkpoint.pt"
        if written == number:
            os.truncate(self, os.path.getsize(self) // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(self, target)
    Path.replace = replacing

torch.set_num_threads(1)
for line in sys.stdin:
    order = json.loads(line)
    child = os.fork()
    if child == 0:
        for stream in (1, 2):
            os.dup2(os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
        if order["die_at"]:
            die_during_checkpoint(order["die_at"])
        os._exit(run_command(order["arguments"]))
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Commands:
    """Runs `avzsl train` in one workspace, each time in its own process."""

    def __init__(self, forking: subprocess.Popen[str], workspace: Workspace, settings: Settings) -> None:
        self._forking, self._workspace = forking, workspace
        config = workspace.root / "settings.yaml"
        config.write_text(show_settings(settings))
        self._arguments = ["train", "-w", str(workspace.root), "--config", str(config)]

    def start(self, *, die_at: int = 0) -> int:
        """Start a command; return its process id."""
        order = {"arguments": self._arguments, "die_at": die_at, "output": str(self._workspace.root / "output.txt")}
        assert self._forking.stdin is not None
        self._forking.stdin.write(json.dumps(order) + "\n")
        self._forking.stdin.flush()
        return self._read()

    def end(self) -> int:
        """Wait until the command ends; return its exit code, or minus the signal that ended it."""
        return self._read()

    def run(self, *, die_at: int = 0) -> int:
        """Start a command and wait until it ends."""
        self.start(die_at=die_at)
        return self.end()

    @property
    def output(self) -> str:
        """Everything printed so far, on standard output and error."""
        return (self._workspace.root / "output.txt").read_text()

    def _read(self) -> int:
        assert self._forking.stdout is not None
        return int(self._forking.stdout.readline())

    def send_during_training(self, process: int, number: int, delay_seconds: float) -> None:
        """Send a signal `delay_seconds` after the process has written its first checkpoint."""
        before = self._newest_checkpoint()
        limit = time.monotonic() + 60
        while self._newest_checkpoint() == before:
            assert time.monotonic() < limit, "the training makes no progress"
            time.sleep(0.002)
        time.sleep(delay_seconds)
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)

    def _newest_checkpoint(self) -> int:
        checkpoints = self._workspace.root.glob("models/*/stage?/checkpoint.pt")
        return max((path.stat().st_mtime_ns for path in checkpoints), default=0)


@pytest.fixture(scope="module")
def forking() -> Iterator[subprocess.Popen[str]]:
    """A process that has imported everything and forks commands."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", FORKING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def run(workspace: Workspace, settings: Settings = SETTINGS, **options: object) -> TrainingReport:
    """Train in this process."""
    return train(
        workspace,
        settings,
        device=options.pop("device", torch.device("cpu")),  # type: ignore[arg-type]  # a device
        reporter=SilentReporter(),
        on_epoch=lambda *_: None,
        **options,  # type: ignore[arg-type]  # as train takes them
    )


def results(models: Path) -> dict[str, bytes]:
    """Read the files that a training produces, by their paths in the model folder."""
    names = (
        "model.safetensors",
        "model.json",
        *(f"{stage}/{table}.csv" for stage in ("stage1", "stage2") for table in ("history", "balance")),
    )
    (folder,) = (path.parent for path in models.glob("*/model.json"))
    return {name: (folder / name).read_bytes() for name in names}


@pytest.fixture
def trained_uninterrupted(extracted: Callable[..., Workspace]) -> Callable[..., tuple[Workspace, dict[str, bytes]]]:
    """A function that trains without interruption, and returns a workspace without the model, and the results."""

    def make(settings: Settings = SETTINGS) -> tuple[Workspace, dict[str, bytes]]:
        workspace = extracted(classes=8, videos=5, silent=("red_ball/0.mp4", "red_dog/1.mp4"))
        run(workspace, settings)
        expected = results(workspace.root / "models")
        (workspace.root / "models").rename(workspace.root / "uninterrupted")
        return workspace, expected

    return make


def test_a_training_stopped_after_every_step_ends_as_an_uninterrupted_one(
    trained_uninterrupted: Callable[..., tuple[Workspace, dict[str, bytes]]],
) -> None:
    """This includes weights, calibration, metrics, histories, dropout, noise and returns to the best weights."""
    training = dataclasses.replace(
        SETTINGS.training, epochs=8, patience_steps=1, least_validation_videos=5, least_learning_rate=0.0
    )
    settings = dataclasses.replace(SETTINGS, training=training)
    workspace, expected = trained_uninterrupted(settings)
    stops = 0

    while not list(workspace.root.glob("models/*/model.json")):
        with contextlib.suppress(TrainingStoppedError):
            run(workspace, settings, stop=lambda: True)
        stops += 1

    first, second = (
        list(csv.DictReader(expected[f"{stage}/history.csv"].decode().splitlines())) for stage in ("stage1", "stage2")
    )
    assert any(float(row["from_epoch"]) < float(row["epoch"]) - 1 for row in first)
    assert stops == 2 * (len(first) + len(second)) + 1
    assert results(workspace.root / "models") == expected


@pytest.mark.parametrize(
    "change",
    [{"accumulate": 3}, {"precision": "bfloat16"}, {"clip_norm": 0.5}],
    ids=["accumulated", "bfloat16", "clipped"],
)
def test_a_stopped_training_with_other_step_settings_ends_as_an_uninterrupted_one(
    trained_uninterrupted: Callable[..., tuple[Workspace, dict[str, bytes]]], change: dict[str, object]
) -> None:
    """Settings of a step change the result, but a stop does not."""
    settings = dataclasses.replace(SETTINGS, training=dataclasses.replace(SETTINGS.training, epochs=1, **change))
    workspace, expected = trained_uninterrupted(settings)
    answers = iter([False, True])

    with pytest.raises(TrainingStoppedError):
        run(workspace, settings, stop=lambda: next(answers))
    run(workspace, settings)

    assert results(workspace.root / "models") == expected
    (workspace.root / "models").rename(workspace.root / "other")
    run(workspace, dataclasses.replace(SETTINGS, training=dataclasses.replace(SETTINGS.training, epochs=1)))
    assert results(workspace.root / "models")["model.safetensors"] != expected["model.safetensors"]


def test_a_killed_training_continues_and_ends_as_an_uninterrupted_one(
    trained_uninterrupted: Callable[..., tuple[Workspace, dict[str, bytes]]], forking: subprocess.Popen[str]
) -> None:
    """SIGKILL comes at random moments, between steps and while a checkpoint is written."""
    training = dataclasses.replace(SETTINGS.training, epochs=5, steps_per_epoch=10, checkpoint_minutes=0.0)
    settings = dataclasses.replace(SETTINGS, training=training)
    workspace, expected = trained_uninterrupted(settings)
    commands, generator = Commands(forking, workspace, settings), random.Random(3)

    codes = [commands.run(die_at=1)]  # no complete checkpoint exists yet
    for _ in range(6):
        process = commands.start()
        commands.send_during_training(process, signal.SIGKILL, generator.uniform(0, 0.05))
        codes.append(commands.end())
    codes.append(commands.run(die_at=2))

    assert codes.count(-signal.SIGKILL) >= 5, codes
    assert commands.run() == 0
    assert results(workspace.root / "models") == expected


def test_a_half_written_checkpoint_is_deleted_when_training_continues(
    extracted: Callable[..., Workspace], forking: subprocess.Popen[str]
) -> None:
    """The process was killed while it wrote the checkpoint."""
    workspace = extracted(classes=4)
    commands = Commands(forking, workspace, SETTINGS)
    assert commands.run(die_at=2) == -signal.SIGKILL
    assert len(list(workspace.root.glob("models/*/stage1/.checkpoint.pt.*.tmp"))) == 1

    assert commands.run() == 0

    assert not list(workspace.root.glob("models/**/.*.tmp"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_finishes_the_step_saves_and_tells_how_to_continue(
    trained_uninterrupted: Callable[..., tuple[Workspace, dict[str, bytes]]],
    forking: subprocess.Popen[str],
    number: signal.Signals,
) -> None:
    """The same command then finishes the training with the same files."""
    training = dataclasses.replace(SETTINGS.training, epochs=1, steps_per_epoch=25, checkpoint_minutes=0.0)
    settings = dataclasses.replace(SETTINGS, training=training)
    workspace, expected = trained_uninterrupted(settings)
    commands = Commands(forking, workspace, settings)

    process = commands.start()
    commands.send_during_training(process, number, delay_seconds=0.1)
    code = commands.end()
    messages = [line for line in commands.output.splitlines() if line.startswith("avzsl: ")]

    assert code == 130, commands.output
    assert messages[0] == "avzsl: finishing the current work and saving; press Ctrl-C again to stop immediately"
    assert messages[1].startswith("avzsl: stopped after step ")
    assert messages[1].endswith(" of 25 in epoch 1 of stage 1; the same command goes on from there")
    assert commands.run() == 0
    assert results(workspace.root / "models") == expected


def test_another_checkpoint_interval_makes_no_other_run(extracted: Callable[..., Workspace]) -> None:
    """An unfinished run continues with another training.checkpoint_minutes."""
    workspace = extracted(classes=4)
    with pytest.raises(TrainingStoppedError, match="stopped after step 1 of 2 in epoch 1 of stage 1"):
        run(workspace, stop=lambda: True)
    frequent = dataclasses.replace(SETTINGS.training, checkpoint_minutes=0.0)

    report = run(workspace, dataclasses.replace(SETTINGS, training=frequent))

    assert [folder.name for folder in (workspace.root / "models").iterdir()] == [report.run]


@pytest.mark.parametrize("changed", ["fingerprint", "version"])
def test_a_checkpoint_of_another_configuration_is_refused(extracted: Callable[..., Workspace], changed: str) -> None:
    """A run resumes from its own checkpoint only."""
    workspace = extracted(classes=4)
    with pytest.raises(TrainingStoppedError):
        run(workspace, stop=lambda: True)
    (checkpoint,) = workspace.root.glob("models/*/stage1/checkpoint.pt")
    save_checkpoint(checkpoint, {**load_checkpoint(checkpoint), changed: "another"})

    with pytest.raises(
        StorageError, match=r"checkpoint\.pt belongs to another method, configuration or version of avzsl"
    ):
        run(workspace)
    assert run(workspace, resume=False).best_epoch


def test_a_table_lost_by_a_kill_after_the_checkpoint_is_written_again(
    trained_uninterrupted: Callable[..., tuple[Workspace, dict[str, bytes]]],
) -> None:
    """The tables are restored from the checkpoint, even if no epoch is left."""
    workspace, expected = trained_uninterrupted()
    (workspace.root / "uninterrupted").rename(workspace.root / "models")
    for name in ("model.json", "stage1/history.csv", "stage2/history.csv"):
        next(workspace.root.glob(f"models/*/{name}")).unlink()

    run(workspace)

    assert results(workspace.root / "models") == expected


def test_a_model_without_its_description_is_not_complete(
    trained_uninterrupted: Callable[..., tuple[Workspace, dict[str, bytes]]],
) -> None:
    """After a kill between model.safetensors and model.json the status is partial, and training finishes the folder."""
    workspace, expected = trained_uninterrupted()
    (workspace.root / "uninterrupted").rename(workspace.root / "models")
    next(workspace.root.glob("models/*/model.json")).unlink()
    (workspace.root / "stages.json").write_text(
        json.dumps(
            {name: entry for name, entry in read_json(workspace.root / "stages.json").items() if name != "model"}
        )
    )

    states = {entry.stage: entry.state for entry in workspace_status(workspace)}
    report = run(workspace)

    assert states["model"] == "partial"
    assert not report.did_nothing
    assert results(workspace.root / "models") == expected


@pytest.mark.needs_gpu
def test_a_training_on_a_gpu_resumes_from_the_state_of_its_generator(extracted: Callable[..., Workspace]) -> None:
    """Dropout draws the same numbers, but sums on a GPU may differ in the last digits."""
    workspace, device = extracted(classes=8, videos=5), torch.device("cuda:0")
    run(workspace, device=device)
    expected = results(workspace.root / "models")["stage1/history.csv"].decode().splitlines()
    (workspace.root / "models").rename(workspace.root / "uninterrupted")

    while not list(workspace.root.glob("models/*/model.json")):
        with contextlib.suppress(TrainingStoppedError):
            run(workspace, device=device, stop=lambda: True)

    actual = results(workspace.root / "models")["stage1/history.csv"].decode().splitlines()
    for row, wanted in zip(actual[1:], expected[1:], strict=True):
        assert float(row.split(",")[1]) == pytest.approx(float(wanted.split(",")[1]), rel=1e-3)
