"""cli/commands/evaluate.py: tables and documents of one run, of the published grids, and of several seeds."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cli.main import run_command
from daan.config import DaanConfig
from pipeline.base.files import read_json
from pipeline.base.progress import SilentReporter
from pipeline.base.workspace import Workspace
from pipeline.settings.training import TrainingSettings
from pipeline.settings.tree import Settings
from pipeline.training.train import train
from pipeline.training.trained_model import load_model, save_model

CPU = torch.device("cpu")
GRIDS = {grid: {"audio": 0.2, "visual": 0.4, "sum": 0.6} for grid in ("avca", "clipclap")}


def trained(workspace: Workspace, seed: int) -> str:
    """Train a short run, store betas of the published grids in its model, and return the name of the run."""
    settings = Settings(
        daan=DaanConfig(hidden_width=32, output_width=16, heads=2),
        training=TrainingSettings(epochs=1, batch_pairs=16, steps_per_epoch=2, seed=seed),
    )
    folder = train(workspace, settings, device=CPU, reporter=SilentReporter(), on_epoch=lambda *_: None).folder
    save_model(folder, replace(load_model(folder, CPU), grid_betas=GRIDS))
    return folder.name


@pytest.fixture
def workspace(extracted: Callable[..., Workspace], monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace with features; the terminal is wide enough for its tables."""
    monkeypatch.setenv("COLUMNS", "120")
    return extracted()


def avzsl(capsys: pytest.CaptureFixture[str], root: Path, *arguments: str) -> str:
    """Run evaluate on the CPU without figures and return its standard output."""
    assert run_command(["evaluate", "--workspace", str(root), "--device", "cpu", "--no-figures", *arguments]) == 0
    return capsys.readouterr().out


def test_the_metrics_at_the_published_grids_are_shown_below_those_at_the_exact_beta(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --grids, a second table shows each score at the beta of each grid, and which methods use the grid."""
    trained(workspace, 0)
    assert "published grid" not in avzsl(capsys, workspace.root)
    lines = avzsl(capsys, workspace.root, "--grids").splitlines()
    rows = [line for line in lines if "AVCA, TCAF: 0 to 3 in 16" in line or "ClipClap: 0 to 5 in 76" in line]
    assert [row.split()[1] for row in rows] == ["audio", "visual", "sum"] * 2
    assert ["0.20" in row or "0.40" in row or "0.60" in row for row in rows] == [True] * 6


def test_the_document_contains_the_grids(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    """Each score at each grid has S, U, HM and beta, next to the metrics at the exact beta."""
    trained(workspace, 0)
    document = json.loads(avzsl(capsys, workspace.root, "--json"))
    assert set(document) == {
        "audio",
        "visual",
        "sum",
        "scores",
        "classes",
        "grids",
        "intervals",
        "calibrated",
        "expected_calibration_error",
    }
    for by_score in document["grids"].values():
        assert {name: metrics["beta"] for name, metrics in by_score.items()} == GRIDS["avca"]
        assert all(set(metrics) == {"S", "U", "HM", "beta"} for metrics in by_score.values())


@pytest.fixture
def runs(workspace: Workspace) -> list[str]:
    """The names of the runs of two seeds, recorded as training with --seeds records them."""
    names = [trained(workspace, seed) for seed in range(2)]
    record = workspace.stages()["model"]
    workspace.record("model", replace(record, output=f"models/{names[0]}", summary={"run": names[0], "runs": names}))
    return names


def test_several_seeds_are_shown_as_mean_and_deviation(
    workspace: Workspace, runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The output has a table over the seeds and the path of the metrics of each run."""
    shown = avzsl(capsys, workspace.root)
    document = read_json(workspace.report_folder(runs[0]) / "seeds.json")
    mean, deviation = document["mean"]["sum"]["ZSL"], document["deviation"]["sum"]["ZSL"]
    assert "over 2 seeds" in shown
    assert f"{mean:.2f} ± {deviation:.2f}" in next(line for line in shown.splitlines() if "sum *" in line)
    assert all(str(workspace.report_folder(run) / "metrics.json") in shown for run in runs)


def test_the_document_of_several_seeds_is_the_file(
    workspace: Workspace, runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The document contains runs, mean, deviation and seeds, and equals seeds.json."""
    document = json.loads(avzsl(capsys, workspace.root, "--json"))
    assert set(document) == {"runs", "mean", "deviation", "intervals", "seeds"}
    assert list(document["runs"]) == runs
    assert document == read_json(workspace.report_folder(runs[0]) / "seeds.json")


def test_a_named_run_is_evaluated_alone(
    workspace: Workspace, runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """--run evaluates one run, even if several seeds were trained."""
    document = json.loads(avzsl(capsys, workspace.root, "--json", "--run", runs[1]))
    assert "runs" not in document
    assert (workspace.report_folder(runs[1]) / "metrics.json").exists()
    assert not (workspace.report_folder(runs[0])).exists()


def test_intervals_are_shown_on_request(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    """--ci adds a table; its numbers are those of metrics.json, which holds them anyway."""
    run = trained(workspace, 0)
    assert "95 % intervals" not in avzsl(capsys, workspace.root)
    shown = avzsl(capsys, workspace.root, "--ci")
    document = json.loads((workspace.report_folder(run) / "metrics.json").read_text())
    assert "95 % intervals" in shown
    assert "With fewer than 10 seen or unseen classes, such intervals are too narrow." in shown
    after = shown[shown.index("95 % intervals") :].splitlines()
    (row,) = [line for line in after if "sum *" in line][:1]
    for low, high in (document["intervals"]["sum"][name] for name in ("S", "U", "HM", "ZSL")):
        assert ("-" if low is None else f"{low:.1f} to {high:.1f}") in row


def test_the_intervals_of_several_seeds_are_those_of_their_mean(
    workspace: Workspace, runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """--ci shows those of seeds.json."""
    shown = avzsl(capsys, workspace.root, "--ci")
    low, high = json.loads((workspace.report_folder(runs[0]) / "seeds.json").read_text())["intervals"]["sum"]["ZSL"]
    assert f"{low:.1f} to {high:.1f}" in shown


def test_no_figures_lists_no_pictures(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    """The probabilities are explained, and no PNG is named or written."""
    run = trained(workspace, 0)
    shown = avzsl(capsys, workspace.root)
    assert "expected calibration error" in shown
    assert ".png" not in shown
    assert not list(workspace.report_folder(run).glob("*.png"))
