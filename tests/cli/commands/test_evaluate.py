"""`avzsl evaluate` in-process: tables and documents of one run, of published grids, and of several seeds."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cli.main import run_command
from daan.config import DaanConfig
from pipeline.base.progress import SilentReporter
from pipeline.base.workspace import Workspace
from pipeline.settings.training import TrainingSettings
from pipeline.settings.tree import Settings
from pipeline.training.train import train
from pipeline.training.trained_model import load_model, save_model

CPU = torch.device("cpu")
GRIDS = {grid: {"audio": 0.2, "visual": 0.4, "sum": 0.6} for grid in ("avca", "clipclap")}


def trained(workspace: Workspace, seed: int) -> str:
    """Train shortly, with what the published grids chose; the run's name."""
    settings = Settings(
        daan=DaanConfig(hidden_width=32, output_width=16, heads=2),
        training=TrainingSettings(epochs=1, batch_pairs=16, steps_per_epoch=2, seed=seed),
    )
    folder = train(workspace, settings, device=CPU, reporter=SilentReporter(), on_epoch=lambda *_: None).folder
    save_model(folder, replace(load_model(folder, CPU), grid_betas=GRIDS))
    return folder.name


@pytest.fixture
def workspace(extracted: Callable[..., Workspace], monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace with features, in a terminal wide enough for its tables."""
    monkeypatch.setenv("COLUMNS", "120")
    return extracted()


def avzsl(capsys: pytest.CaptureFixture[str], root: Path, *arguments: str) -> str:
    """Run evaluate on the CPU; what it shows on standard output."""
    assert run_command(["evaluate", "--workspace", str(root), "--device", "cpu", *arguments]) == 0
    return capsys.readouterr().out


def test_the_choices_of_published_grids_stand_below_the_exact_beta(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second table: each score at each grid's beta, and who searches by that grid."""
    trained(workspace, 0)
    lines = avzsl(capsys, workspace.root).splitlines()
    rows = [line for line in lines if "AVCA, TCAF: 0 to 3 in 16" in line or "ClipClap: 0 to 5 in 76" in line]
    assert [row.split()[1] for row in rows] == ["audio", "visual", "sum"] * 2
    assert ["0.20" in row or "0.40" in row or "0.60" in row for row in rows] == [True] * 6


def test_the_document_holds_the_grids(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    """Beside the exact beta's figures, with S, U, HM and beta each."""
    trained(workspace, 0)
    document = json.loads(avzsl(capsys, workspace.root, "--json"))
    assert set(document) == {"audio", "visual", "sum", "classes", "grids"}
    for by_score in document["grids"].values():
        assert {name: metrics["beta"] for name, metrics in by_score.items()} == GRIDS["avca"]
        assert all(set(metrics) == {"S", "U", "HM", "beta"} for metrics in by_score.values())


@pytest.fixture
def runs(workspace: Workspace) -> list[str]:
    """Two seeds trained, recorded as training with --seeds does."""
    names = [trained(workspace, seed) for seed in range(2)]
    record = workspace.stages()["model"]
    workspace.record("model", replace(record, output=f"models/{names[0]}", summary={"run": names[0], "runs": names}))
    return names


def test_several_seeds_are_shown_as_mean_and_deviation(
    workspace: Workspace, runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A table over the seeds, and where each run's own figures lie."""
    shown = avzsl(capsys, workspace.root)
    document = json.loads((workspace.report_folder(runs[0]) / "seeds.json").read_text())
    mean, deviation = document["mean"]["sum"]["ZSL"], document["deviation"]["sum"]["ZSL"]
    assert "over 2 seeds" in shown
    assert f"{mean:.2f} ± {deviation:.2f}" in next(line for line in shown.splitlines() if "sum *" in line)
    assert all(str(workspace.report_folder(run) / "metrics.json") in shown for run in runs)


def test_the_document_of_several_seeds_is_the_file(
    workspace: Workspace, runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """One document: runs, mean, deviation, seeds."""
    document = json.loads(avzsl(capsys, workspace.root, "--json"))
    assert set(document) == {"runs", "mean", "deviation", "seeds"}
    assert list(document["runs"]) == runs
    assert document == json.loads((workspace.report_folder(runs[0]) / "seeds.json").read_text())


def test_a_run_that_is_named_is_evaluated_alone(
    workspace: Workspace, runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """--run as ever, also where several seeds were trained."""
    document = json.loads(avzsl(capsys, workspace.root, "--json", "--run", runs[1]))
    assert "runs" not in document
    assert (workspace.report_folder(runs[1]) / "metrics.json").exists()
    assert not (workspace.report_folder(runs[0])).exists()
