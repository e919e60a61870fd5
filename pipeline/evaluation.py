"""Stage 3: a model and held-out videos -> S, U, HM and ZSL by sound, picture and both (benchmark.md, Protocol)."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline import plots
from pipeline.dataset import Dataset, load_dataset
from pipeline.errors import PipelineError
from pipeline.feature_set import FeatureSet, load_features
from pipeline.files import fingerprint, make_folder, storage_errors, write_json
from pipeline.metrics import (
    Scores,
    classes_without_samples,
    confusion_matrix,
    gzsl_predictions,
    gzsl_scores,
    recall_per_class,
)
from pipeline.model_folder import Model, check_extractor, load_model
from pipeline.progress import Reporter
from pipeline.scoring import SCORES, Distances, distances_to_classes
from pipeline.splits import parse_splits
from pipeline.training import STAGE as MODEL_STAGE
from pipeline.workspace import StageRecord, Workspace

STAGE = "report"
_STAGE_VERSION = 1
_PARTS = {"test": ("test_seen", "test_unseen"), "validation": ("val_seen", "val_unseen")}

Part = Literal["test", "validation"]


@dataclass(frozen=True)
class EvaluationReport:
    """Scores in percent, and what they are about."""

    run: str
    part: str
    scores: Mapping[str, Scores]  # by audio, visual, sum
    score: str  # the one the model predicts by
    videos: int
    seen: int  # classes
    unseen: int
    chance: float  # ZSL accuracy of guessing, percent
    without_samples: tuple[str, ...]
    extractor: Mapping[str, Any]  # attributes of the features
    metrics_file: Path
    pictures: tuple[Path, ...]

    @property
    def untrained(self) -> bool:
        """Whether the features are those of random networks."""
        return bool(self.extractor.get("weights") == "untrained")

    def to_json(self) -> dict[str, Any]:
        """The document of `evaluate --json`."""
        by_score = {
            name: {key: getattr(scores, key) for key in ("S", "U", "HM", "ZSL", "beta")}
            for name, scores in self.scores.items()
        }
        return {**by_score, "classes": {"seen": self.seen, "unseen": self.unseen}}


def evaluate(
    workspace: Workspace, *, device: torch.device, reporter: Reporter, run: str | None = None, part: Part = "test"
) -> EvaluationReport:
    """Score a model on the videos it never trained on; write metrics.json and pictures.

    Raises:
        PipelineError: a stage is missing, features of another extractor, nothing to evaluate on.
    """
    with workspace.locked("evaluate"):
        folder = workspace.current_model(run)
        model = load_model(folder, device)
        dataset = load_dataset(workspace.dataset_folder)
        features_file = workspace.current_features()
        features = load_features(features_file, dataset.classes)
        check_extractor(model, features.attributes, f"the features in {features_file}")
        _check_classes(model, dataset)
        places = _places(folder, features, part, reporter)
        if len(places) == 0:
            raise PipelineError(f"the splits of {folder.name} hold no {part} videos: there is nothing to evaluate on")
        if part == "validation":
            reporter.warn("stage 2 trains on the validation videos: these figures say how well they are remembered")
        reports = (
            workspace.report_folder(folder.name) if part == "test" else workspace.report_folder(folder.name) / part
        )
        report = _score(reports, folder, model, features, places, part, device)
        if report.untrained:
            reporter.warn("the extractor's weights are untrained: these figures are for trying things out, not results")
        if part == "test":
            _record(workspace, report, str(model.training["fingerprint"]))
        return report


def _places(folder: Path, features: FeatureSet, part: str, reporter: Reporter) -> Tensor:
    """(N,) places of the videos that the run's own splits evaluate on; says how many have no features any more."""
    splits = parse_splits(folder / "splits.yaml")
    named = [key for name in _PARTS[part] for key in splits.parts[name]]
    known = set(features.keys)
    missing = sum(key not in known for key in named)
    if missing:
        reporter.warn(f"{missing} of the run's {len(named)} {part} videos are no longer in the dataset: left out")
    return features.places([key for key in named if key in known])


def _check_classes(model: Model, dataset: Dataset) -> None:
    known = tuple(entry.name for entry in model.classes)
    if known != dataset.classes:
        raise PipelineError("the dataset's classes changed since the model was trained: run avzsl train again")


def _score(
    reports: Path,
    folder: Path,
    model: Model,
    features: FeatureSet,
    places: Tensor,
    part: str,
    device: torch.device,
) -> EvaluationReport:
    labels = features.labels[places].numpy()
    seen = np.array([entry.seen for entry in model.classes])
    distances = distances_to_classes(
        model.network, features, places, torch.from_numpy(model.class_vectors), model.standardiser, device
    )
    scores = {name: gzsl_scores(distances[name], labels, seen, model.betas[name]) for name in SCORES}
    names = [entry.name for entry in model.classes]
    predictions = gzsl_predictions(distances[model.score], seen, model.betas[model.score])
    without = tuple(names[place] for place in classes_without_samples(labels, len(names)))
    report = EvaluationReport(
        run=folder.name,
        part=part,
        scores=scores,
        score=model.score,
        videos=len(places),
        seen=int(seen.sum()),
        unseen=int((~seen).sum()),
        chance=100.0 / max(1, int((~seen).sum())),
        without_samples=without,
        extractor=features.attributes,
        metrics_file=reports / "metrics.json",
        pictures=_draw(reports, folder, names, seen, confusion_matrix(predictions, labels, len(names))),
    )
    _write(report, names, labels, predictions, seen, distances)
    return report


def _draw(
    folder: Path, model_folder: Path, names: list[str], seen: NDArray[np.bool_], matrix: NDArray[np.int64]
) -> tuple[Path, ...]:
    """Confusion matrix, and the curves of stage 1's history."""
    make_folder(folder)
    confusion, curves = folder / "confusion_matrix.png", folder / "training_curves.png"
    with storage_errors(folder):
        plots.confusion_matrix_picture(matrix, names, seen.tolist(), confusion)
        with (model_folder / "stage1" / "history.csv").open(newline="") as file:
            history = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
        plots.training_curves(history, curves)
    return confusion, curves


def _write(
    report: EvaluationReport,
    names: list[str],
    labels: NDArray[np.int64],
    predictions: NDArray[np.int64],
    seen: NDArray[np.bool_],
    distances: Distances,
) -> None:
    recall = recall_per_class(predictions, labels, len(names))
    unseen = np.flatnonzero(~seen)
    among_unseen = np.full(len(labels), -1)
    if len(unseen):
        among_unseen = unseen[np.argmin(distances[report.score][:, unseen], axis=1)]
    zero_shot = recall_per_class(among_unseen, labels, len(names))
    document = report.to_json() | {
        "run": report.run,
        "part": report.part,
        "videos": report.videos,
        "score": report.score,
        "extractor": dict(report.extractor),
        "chance_ZSL": report.chance,
        "classes_without_samples": list(report.without_samples),
        "recall_per_class": {
            name: {
                "seen": bool(seen[place]),
                "recall": recall[place],
                "recall_among_unseen": None if seen[place] else zero_shot[place],
            }
            for place, name in enumerate(names)
        },
    }
    write_json(report.metrics_file, document)


def _record(workspace: Workspace, report: EvaluationReport, model: str) -> None:
    """Remember the report and which model, by its fingerprint, it is about."""
    record = StageRecord(
        fingerprint=fingerprint({"stage": _STAGE_VERSION, "model": model}),
        output=str(report.metrics_file.relative_to(workspace.root)),
        inputs={MODEL_STAGE: model},
        summary={"run": report.run, **report.to_json()[report.score]},
    )
    workspace.record(STAGE, record)
