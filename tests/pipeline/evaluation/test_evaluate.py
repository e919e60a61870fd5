"""pipeline/evaluation/evaluate.py: metrics, files, and models that are refused."""

import json
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
from pipeline.evaluation.evaluate import EvaluationReport, evaluate
from pipeline.features.feature_set import load_features
from pipeline.scoring.score_videos import score_videos
from pipeline.settings.training import TrainingSettings
from pipeline.settings.tree import Settings
from pipeline.training.train import train
from pipeline.training.trained_model import load_model, save_model

CPU = torch.device("cpu")
SETTINGS = Settings(
    daan=DaanConfig(hidden_width=32, output_width=16, heads=2),
    training=TrainingSettings(epochs=2, batch_pairs=16, steps_per_epoch=4),
)


def trained(workspace: Workspace) -> Path:
    """Train shortly; return the run's folder."""
    report = train(workspace, SETTINGS, device=CPU, reporter=SilentReporter(), on_epoch=lambda *_: None)
    return report.folder


def evaluated(workspace: Workspace, **options: str) -> EvaluationReport:
    """Evaluate silently."""
    return evaluate(workspace, device=CPU, reporter=SilentReporter(), **options)  # type: ignore[arg-type]  # options by name


def test_all_three_scores_are_reported_and_written(extracted: Callable[..., Workspace]) -> None:
    """The report contains all metrics by audio, visual and sum, those of the published grids, and two PNGs."""
    workspace = extracted()
    trained(workspace)

    report = evaluated(workspace)

    document = json.loads(report.metrics_file.read_text())
    for name in ("audio", "visual", "sum"):
        assert set(document[name]) == {"S", "U", "HM", "ZSL", "beta"}
    assert document["classes"] == {"seen": 6, "unseen": 2}
    assert set(document["grids"]) == {"avca", "clipclap"}
    assert report.chance == 50.0
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in report.figures)


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


def test_a_model_without_grids_is_evaluated_without_them(extracted: Callable[..., Workspace]) -> None:
    """A model.json of an older version has no `grid_betas`."""
    workspace = extracted()
    folder = trained(workspace)
    description = json.loads((folder / "model.json").read_text())
    description.pop("grid_betas", None)
    (folder / "model.json").write_text(json.dumps(description))

    report = evaluated(workspace)

    assert report.grid_metrics == {}
    assert "grids" not in json.loads(report.metrics_file.read_text())


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
        file.attrs["recipe"] = "selavi"

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

    with pytest.raises(PipelineError, match=r"damaged.*train it again"):
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
