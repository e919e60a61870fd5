"""pipeline/evaluation/evaluate.py: metrics, files, and models that are refused."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from daan.config import DaanConfig
from pipeline.base.errors import IncompatibleFeaturesError, MissingStageError, PipelineError, UsageError
from pipeline.base.progress import SilentReporter
from pipeline.base.workspace import Workspace
from pipeline.datasets.splits.splits import parse_splits
from pipeline.evaluation.evaluate import EvaluationReport, evaluate
from pipeline.features.attributes import read_attributes, write_attributes
from pipeline.features.feature_set import load_features
from pipeline.scoring.intervals import bootstrap_intervals
from pipeline.scoring.metrics import probabilities
from pipeline.scoring.score_videos import score_videos
from pipeline.settings.training import TrainingSettings
from pipeline.settings.tree import Settings
from pipeline.training.train import train
from pipeline.training.trained_model import load_model, save_model

CPU = torch.device("cpu")
SETTINGS = Settings(
    daan=DaanConfig(hidden_width=32, output_width=16, heads=2),
    training=TrainingSettings(epochs=2, batch_pairs=16, steps_per_epoch=4, least_validation_videos=2),
)


class Notes(SilentReporter):
    """Keeps the notes."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def warn(self, line: str) -> None:
        """Keep a note."""
        self.lines.append(line)


def trained(workspace: Workspace) -> Path:
    """Train shortly; return the run's folder."""
    report = train(workspace, SETTINGS, device=CPU, reporter=SilentReporter(), on_epoch=lambda *_: None)
    return report.folder


def evaluated(workspace: Workspace, *, run: str | None = None, figures: bool = False) -> EvaluationReport:
    """Evaluate silently."""
    return evaluate(workspace, device=CPU, reporter=SilentReporter(), run=run, figures=figures)


def test_all_three_scores_are_reported_and_written(extracted: Callable[..., Workspace]) -> None:
    """The report contains all metrics by audio, visual and sum, those of the published grids, and two PNGs."""
    workspace = extracted()
    trained(workspace)

    report = evaluated(workspace, figures=True)

    document = json.loads(report.metrics_file.read_text())
    for name in ("audio", "visual", "sum"):
        assert set(document[name]) == {"S", "U", "HM", "ZSL", "beta"}
    assert document["classes"] == {"seen": 6, "unseen": 2}
    assert set(document["grids"]) == {"avca", "clipclap"}
    assert report.chance == 50.0
    assert len(report.figures) == 2
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in report.figures)


def test_without_enough_validation_videos_an_evaluation_says_that_nothing_is_calibrated(
    extracted: Callable[..., Workspace],
) -> None:
    """Every beta is 0, no published grid has one, and the document says so."""
    workspace = extracted()
    training = replace(SETTINGS.training, least_validation_videos=1000)
    settings = replace(SETTINGS, training=training)
    train(workspace, settings, device=CPU, reporter=SilentReporter(), on_epoch=lambda *_: None)
    reporter = Notes()

    report = evaluate(workspace, device=CPU, reporter=reporter, figures=False)

    document = json.loads(report.metrics_file.read_text())
    assert document["calibrated"] is False
    assert "grids" not in document
    assert {document[name]["beta"] for name in ("audio", "visual", "sum")} == {0.0}
    assert any("nothing is calibrated" in line for line in reporter.lines)


def test_without_an_unseen_validation_class_training_and_evaluation_say_that_there_is_no_beta(
    extracted: Callable[..., Workspace],
) -> None:
    """Three classes leave two to train on and none for validation; beta is 0, and no published grid has one."""
    workspace, notes = extracted(classes=3, videos=30), Notes()
    training = replace(SETTINGS.training, least_validation_videos=2)
    train(workspace, replace(SETTINGS, training=training), device=CPU, reporter=notes, on_epoch=lambda *_: None)

    report = evaluate(workspace, device=CPU, reporter=notes, figures=False)

    document = json.loads(report.metrics_file.read_text())
    assert document["calibrated"] is False
    assert "grids" not in document
    reason = "because no class of the validation was unseen"
    assert f"no beta is chosen, {reason}: classes in training are favoured" in notes.lines
    assert f"{report.run}: beta is 0, {reason}" in notes.lines


def test_zsl_accuracy_equals_a_count_of_nearest_unseen_classes(extracted: Callable[..., Workspace]) -> None:
    """A slow count over the test videos gives the reported metric."""
    workspace = extracted()
    folder = trained(workspace)
    report = evaluated(workspace)

    model = load_model(folder, CPU)
    features = load_features(workspace.current_features(), [entry.name for entry in model.classes])
    unseen = [index for index, entry in enumerate(model.classes) if not entry.seen]
    recalls = []
    vectors, seen = torch.from_numpy(model.class_vectors), np.array([entry.seen for entry in model.classes])
    for true in unseen:
        indices = torch.tensor([index for index, label in enumerate(features.labels.tolist()) if label == true])
        sample = np.arange(len(indices))
        distances = score_videos(
            model.network, features, indices, vectors, seen, model.standardiser, CPU, sample=sample
        ).sample_distances["sum"]
        hits = [min(unseen, key=lambda index, row=row: row[index]) == true for row in distances]
        recalls.append(100 * sum(hits) / len(hits))
    assert pytest.approx(np.mean(recalls)) == report.metrics["sum"].ZSL


def test_metrics_at_the_betas_of_published_grids_are_reported_too(extracted: Callable[..., Workspace]) -> None:
    """The betas are those that the model records from validation."""
    workspace = extracted()
    folder = trained(workspace)
    betas = {"audio": 0.0, "visual": 1e6, "sum": load_model(folder, CPU).betas["sum"]}
    save_model(folder, replace(load_model(folder, CPU), grid_betas={"avca": betas}))

    report = evaluated(workspace)

    grid = report.grid_metrics["avca"]
    assert {name: metrics.beta for name, metrics in grid.items()} == betas
    assert (grid["visual"].S, grid["visual"].U, grid["visual"].HM) == (0.0, report.metrics["visual"].ZSL, 0.0)
    assert grid["sum"] == report.metrics["sum"]
    document = json.loads(report.metrics_file.read_text())
    assert set(document["grids"]) == {"avca"}
    assert document["grids"]["avca"]["visual"] == {
        "S": 0.0,
        "U": pytest.approx(report.metrics["visual"].ZSL),
        "HM": 0.0,
        "beta": 1e6,
    }


def test_the_intervals_are_those_of_the_recalls_per_class(extracted: Callable[..., Workspace]) -> None:
    """metrics.json contains them for every score, with their level and number of draws."""
    workspace = extracted()
    trained(workspace)

    report = evaluated(workspace)

    document = json.loads(report.metrics_file.read_text())
    recalls = [row["recall"] for row in document["recall_per_class"].values() if row["seen"]]
    assert report.recalls["sum"].seen.tolist() == recalls
    expected = bootstrap_intervals([report.recalls["sum"]])
    for name in ("S", "U", "HM", "ZSL"):
        bounds = [math.nan if bound is None else bound for bound in document["intervals"]["sum"][name]]
        assert bounds == pytest.approx(list(expected[name]), nan_ok=True)
    assert (document["intervals"]["level"], document["intervals"]["draws"]) == (0.95, 2000)


def test_the_calibration_error_is_that_of_the_probabilities_of_predict(extracted: Callable[..., Workspace]) -> None:
    """A slow computation from the model's own calibration for 6 seen and 2 unseen names gives the reported numbers."""
    workspace = extracted(videos=12)
    folder = trained(workspace)
    report = evaluated(workspace)

    model = load_model(folder, CPU)
    calibration = model.calibration(6, 2)
    assert calibration.videos > 0
    splits = parse_splits(folder / "splits.yaml")
    features = load_features(workspace.current_features(), [entry.name for entry in model.classes])
    indices = features.indices([*splits.test_seen, *splits.test_unseen])
    seen = np.array([entry.seen for entry in model.classes])
    distances = score_videos(
        model.network,
        features,
        indices,
        torch.from_numpy(model.class_vectors),
        seen,
        model.standardiser,
        CPU,
        sample=np.arange(len(indices)),
    ).sample_distances["sum"]
    chances = probabilities(distances + np.where(seen, calibration.beta, 0), calibration.temperature)
    labels = features.labels[indices].numpy()
    assert report.calibration_error.mean_confidence == pytest.approx(chances.max(axis=1).mean())
    assert report.calibration_error.accuracy == pytest.approx((chances.argmax(axis=1) == labels).mean())
    document = json.loads(report.metrics_file.read_text())["expected_calibration_error"]
    assert document["bins"] == 15
    assert document["value"] == pytest.approx(report.calibration_error.value)


def test_without_figures_nothing_is_drawn(extracted: Callable[..., Workspace]) -> None:
    """Only metrics.json is written."""
    workspace = extracted()
    trained(workspace)
    report = evaluated(workspace, figures=False)
    assert report.figures == ()
    assert [path.name for path in report.metrics_file.parent.iterdir()] == ["metrics.json"]


def test_figures_that_cannot_be_drawn_cost_a_note_only(extracted: Callable[..., Workspace]) -> None:
    """The metrics are written and reported."""
    workspace = extracted()
    folder = trained(workspace)
    (workspace.report_folder(folder.name) / "training_curves.png").mkdir(parents=True)
    notes: list[str] = []

    class Reporter(SilentReporter):
        def warn(self, line: str) -> None:
            notes.append(line)

    report = evaluate(workspace, device=CPU, reporter=Reporter())

    assert report.figures == ()
    assert report.metrics_file.exists()
    assert any("could not be drawn (IsADirectoryError" in note for note in notes)


def test_a_class_without_test_videos_is_named_and_left_out(extracted: Callable[..., Workspace]) -> None:
    """A class with a single video has no test video."""
    workspace = extracted(classes=6, videos=1)
    trained(workspace)

    report = evaluated(workspace)

    assert len(report.without_samples) == 4
    assert np.isnan(report.metrics["sum"].S)
    assert json.loads(report.metrics_file.read_text())["sum"]["S"] is None


def test_features_of_another_extractor_are_refused(extracted: Callable[..., Workspace]) -> None:
    """The message names the attributes that differ."""
    workspace = extracted()
    trained(workspace)
    with h5py.File(workspace.current_features(), "r+") as file:
        write_attributes(file, {**read_attributes(file), "recipe": "selavi"})

    with pytest.raises(IncompatibleFeaturesError, match="recipe selavi instead of None"):
        evaluated(workspace)


def test_evaluating_before_training_is_refused(extracted: Callable[..., Workspace]) -> None:
    """The message names the command of the missing stage."""
    with pytest.raises(MissingStageError, match="run avzsl train first"):
        evaluated(extracted())


def test_an_unknown_run_is_refused(extracted: Callable[..., Workspace]) -> None:
    """The message lists the runs of the workspace."""
    workspace = extracted()
    folder = trained(workspace)

    with pytest.raises(UsageError, match=f"has no run 'nosuch'; it has {folder.name}"):
        evaluated(workspace, run="nosuch")


def test_a_damaged_model_is_refused(extracted: Callable[..., Workspace]) -> None:
    """For a truncated safetensors file, the message tells the user to train again."""
    workspace = extracted()
    folder = trained(workspace)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])

    with pytest.raises(PipelineError, match=r"model\.safetensors is damaged.*Train the model again"):
        evaluated(workspace)


def test_classes_without_videos_in_the_splits_are_ignored(extracted: Callable[..., Workspace]) -> None:
    """They are neither seen nor unseen, are never predicted, and are not in the report."""
    workspace = extracted(classes=6, videos=3)
    videos = [f"{name}/{number}.mp4" for name in ("red_ball", "red_dog", "red_drum") for number in range(3)]
    splits = {
        "train": [video for video in videos if not video.endswith("2.mp4")][:4],
        "val_seen": ["red_ball/2.mp4"],
        "test_seen": ["red_dog/2.mp4"],
        "test_unseen": ["red_drum/0.mp4", "red_drum/1.mp4"],
    }
    (workspace.dataset_folder / "splits.yaml").write_text(json.dumps(splits))
    trained(workspace)

    report = evaluated(workspace)

    assert (report.seen, report.unseen, report.chance) == (2, 1, 100.0)
    assert report.metrics["sum"].ZSL == 100.0
    document = json.loads(report.metrics_file.read_text())
    assert set(document["recall_per_class"]) == {"red_ball", "red_dog", "red_drum"}
    assert report.without_samples == ("red_ball",)
