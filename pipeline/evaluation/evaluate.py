"""Evaluate a model on held-out videos: S, U, HM and ZSL by every score of its method.

The protocol is described in pipeline/avgzsl_benchmark/README.md.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from extractors.selavi.weights import UNTRAINED_NOTE
from pipeline.base.errors import PipelineError
from pipeline.base.files import fingerprint, make_folder, write_json
from pipeline.base.progress import Reporter
from pipeline.base.workspace import Stage, StageRecord, Workspace
from pipeline.datasets.dataset import Dataset, load_dataset
from pipeline.datasets.splits.splits import Splits, parse_splits
from pipeline.evaluation.drawing import DrawingError, EvaluationFigures, FigureProcess
from pipeline.evaluation.frozen import frozen_metrics
from pipeline.features.feature_set import FeatureSet, load_features
from pipeline.scoring.calibration import calibrated
from pipeline.scoring.held_out import Calibration
from pipeline.scoring.intervals import Interval, bootstrap_intervals, intervals_to_json
from pipeline.scoring.metrics import (
    CalibrationError,
    ClassRecalls,
    Metrics,
    class_recalls,
    classes_without_samples,
    confusion_matrix,
    expected_calibration_error,
    gzsl_metrics,
    recall_per_class,
)
from pipeline.scoring.nearest_classes import Flags, Indices, NearestClasses
from pipeline.scoring.score_videos import ScoredVideos, evenly_chosen, score_videos
from pipeline.training.records import read_history
from pipeline.training.run_files import HISTORY, SPLITS
from pipeline.training.trained_model import Model, check_extractor, load_model, run_file

_STAGE_VERSION = 2
_MOST_FOR_PROBABILITIES = 5000  # videos: all their distances are kept to measure the calibration error
_SPLITS = {"test": ("test_seen", "test_unseen"), "validation": ("val_seen", "val_unseen")}

HeldOutSet = Literal["test", "validation"]


@dataclass(frozen=True)
class EvaluationReport:
    """The metrics of a run, in percent, and the data they belong to."""

    run: str
    held_out: str  # test or validation
    metrics: Mapping[str, Metrics]  # score -> metrics at the beta that validation chose
    recalls: Mapping[str, ClassRecalls]  # score -> recall of each class at this beta
    intervals: Mapping[str, Mapping[str, Interval]]  # score -> metric -> 95 % interval over classes
    calibrated: bool  # whether the validation videos gave a beta and a temperature
    calibration_error: CalibrationError  # of the probabilities that `predict` shows for all classes
    grid_metrics: Mapping[str, Mapping[str, Metrics]]  # published grid -> score -> metrics at the grid's beta
    score: str  # the score that the model predicts by
    videos: int  # number of videos
    seen: int  # number of seen classes
    unseen: int  # number of unseen classes
    chance: float  # ZSL accuracy of guessing, percent; NaN without unseen classes
    without_samples: tuple[str, ...]  # names of the classes without a video
    extractor: Mapping[str, Any]  # attributes of the features
    metrics_file: Path
    figures: tuple[Path, ...]
    # The frozen encoders of the features without training, for comparison; None if the features have no text encoder.
    frozen: Metrics | None = None

    def to_json(self) -> dict[str, Any]:
        """Make the document of `evaluate --json`; without `grids` if the model records none."""
        by_score = {name: _selected(metrics, "S", "U", "HM", "ZSL", "beta") for name, metrics in self.metrics.items()}
        grids = {
            grid: {name: _selected(metrics, "S", "U", "HM", "beta") for name, metrics in of_grid.items()}
            for grid, of_grid in self.grid_metrics.items()
        }
        return {
            **by_score,
            "scores": list(by_score),
            "classes": {"seen": self.seen, "unseen": self.unseen},
            "intervals": intervals_to_json(self.intervals),
            "expected_calibration_error": asdict(self.calibration_error),
            "calibrated": self.calibrated,
            **({"grids": grids} if grids else {}),
            **({"zero_shot": _selected(self.frozen, "S", "U", "HM", "ZSL", "beta")} if self.frozen else {}),
        }


def _selected(metrics: Metrics, *names: str) -> dict[str, float]:
    """Select metrics by their names."""
    return {name: getattr(metrics, name) for name in names}


def evaluate(
    workspace: Workspace,
    *,
    device: torch.device,
    reporter: Reporter,
    run: str | None = None,
    held_out: HeldOutSet = "test",
    figures: bool = True,
) -> EvaluationReport:
    """Evaluate a model on held-out videos; write metrics.json and figures.

    Args:
        workspace: the workspace with dataset, features and model.
        device: device of the network.
        reporter: receives warnings.
        run: name of the run; None for the current one.
        held_out: the held-out set to evaluate on.
        figures: whether to draw figures.

    Raises:
        PipelineError: a missing stage, features of another extractor, or no videos to evaluate on.
    """
    with workspace.locked("evaluate") as may_write, FigureProcess(draws=figures, may_write=may_write) as drawing:
        folder = workspace.current_model(run)
        evaluator = Evaluator(workspace, held_out, device=device, reporter=reporter, drawing=drawing)
        report, made_from = evaluator(folder)
        if held_out == "test":
            record_report(
                workspace, report.metrics_file, made_from, {"run": report.run, **report.to_json()[report.score]}
            )
        return report


class Evaluator:
    """Evaluates runs of a workspace on its features, which are read once.

    The caller must hold the workspace's lock.

    Raises:
        PipelineError: a workspace without features.
    """

    def __init__(
        self,
        workspace: Workspace,
        held_out: HeldOutSet,
        *,
        device: torch.device,
        reporter: Reporter,
        drawing: FigureProcess,
    ) -> None:
        self._workspace, self._held_out, self._device, self._reporter = workspace, held_out, device, reporter
        self._drawing = drawing
        self._dataset = load_dataset(workspace.dataset_folder)
        self._use_features(workspace.current_features())
        if held_out == "validation":
            reporter.warn("the final model was trained on the validation videos, so these metrics are too optimistic")
        if self._features.attributes.get("weights") == "untrained":
            reporter.warn(UNTRAINED_NOTE)

    def _use_features(self, file: Path) -> None:
        self._features_file, self._features = file, load_features(file, self._dataset.classes)

    def _use_features_of(self, model: Model) -> None:
        """Use the features of the model's extractor, if the workspace has them beside those it used last."""
        wanted = model.extractor.get("extractor_fingerprint")
        if isinstance(wanted, str) and self._features.attributes.get("extractor_fingerprint") != wanted:
            file = self._workspace.feature_folder(wanted) / "features.h5"
            if file.is_file():
                self._reporter.say(f"the model was trained on features of another extractor than the last: {file}")
                self._use_features(file)

    def __call__(self, folder: Path) -> tuple[EvaluationReport, str]:
        """Evaluate the run in a model folder; return its report and the fingerprint of its model.

        Raises:
            PipelineError: a missing model, features of another extractor, or no videos to evaluate on.
        """
        model = load_model(folder, self._device)
        self._use_features_of(model)
        check_extractor(model, self._features.attributes, f"the features in {self._features_file}")
        _check_classes(model, self._dataset)
        splits = parse_splits(run_file(folder, SPLITS))
        indices = _indices(splits, self._features, self._held_out, self._reporter)
        if len(indices) == 0:
            raise PipelineError(
                f"the splits of {folder.name} contain no {self._held_out} videos: there is nothing to evaluate on"
            )
        reports = evaluation_folder(self._workspace, folder.name, self._held_out)
        report = self._score(reports, folder, model, indices, splits)
        return report, str(model.training["fingerprint"])

    def _classes_of(self, splits: Splits) -> Indices:
        """Find the indices of the classes that have a video in the splits; the run does not use other classes."""
        named = {key for keys in splits.by_name.values() for key in keys}
        classes = {video.class_name for video in self._dataset.videos if video.key in named}
        return np.array([index for index, name in enumerate(self._dataset.classes) if name in classes], np.int64)

    def _score(
        self,
        reports: Path,
        folder: Path,
        model: Model,
        indices: Tensor,
        splits: Splits,
    ) -> EvaluationReport:
        """Score the videos at `indices` against the classes of the splits; write and return the report."""
        classes = self._classes_of(splits)
        labels = np.searchsorted(classes, self._features.labels[indices].numpy())
        entries = [model.classes[index] for index in classes]
        names, seen = [entry.name for entry in entries], np.array([entry.seen for entry in entries])
        vectors = torch.from_numpy(model.class_vectors[classes])
        sample = evenly_chosen(len(indices), _MOST_FOR_PROBABILITIES)
        calibration = model.calibration(int(seen.sum()), int((~seen).sum()))
        if calibration.missing:
            what, effect = (
                ("", "") if calibration.videos else ("nothing is calibrated: ", ", and probabilities mean little")
            )
            self._reporter.warn(f"{folder.name}: {what}beta is 0, because {calibration.missing}{effect}")
        betas = {**model.betas, model.score: calibration.beta}  # as `predict` derives it for these classes
        scored = score_videos(
            model.network, self._features, indices, vectors, seen, model.standardiser, self._device, sample=sample
        )
        nearest = scored.nearest
        predictions = nearest[model.score].predictions(betas[model.score])
        recalls = {name: class_recalls(each, labels, betas[name]) for name, each in nearest.items()}
        report = EvaluationReport(
            run=folder.name,
            held_out=self._held_out,
            metrics=_metrics_at(nearest, labels, betas),
            recalls=recalls,
            intervals={name: bootstrap_intervals([of_score]) for name, of_score in recalls.items()},
            calibration_error=_calibration_error(model, scored, labels, seen, calibration),
            calibrated=not calibration.missing,
            grid_metrics={grid: _metrics_at(nearest, labels, betas) for grid, betas in model.grid_betas.items()},
            score=model.score,
            videos=len(indices),
            seen=int(seen.sum()),
            unseen=int((~seen).sum()),
            chance=100.0 / unseen if (unseen := int((~seen).sum())) else math.nan,
            without_samples=tuple(names[index] for index in classes_without_samples(labels, len(names))),
            extractor=self._features.attributes,
            metrics_file=make_folder(reports) / "metrics.json",
            figures=(),
            frozen=frozen_metrics(
                model, self._features, splits, indices=indices, labels=labels, classes=classes, device=self._device
            ),
        )
        _write(report, names, labels, predictions, nearest[model.score])
        confusion = confusion_matrix(predictions, labels, len(names))
        used_epoch = float(model.training["best_epoch"])
        return replace(report, figures=self._drawn(reports, folder, names, seen, confusion, used_epoch))

    def _drawn(
        self,
        reports: Path,
        folder: Path,
        names: list[str],
        seen: Flags,
        confusion: Indices,
        used_epoch: float,
    ) -> tuple[Path, ...]:
        """Draw the confusion matrix, and the training curves of stage 1; a failure costs only the figures."""
        if not self._drawing.draws:
            return ()
        history = read_history(run_file(folder, HISTORY)) if (folder / HISTORY).exists() else []
        shown = EvaluationFigures(reports, names, seen.tolist(), confusion, history, used_epoch)
        try:
            return self._drawing.draw(shown)
        except DrawingError as error:
            self._reporter.warn(
                f"the figures in {reports} could not be drawn ({error}): the metrics are complete; "
                "evaluate again to draw, or with --no-figures"
            )
            return ()


def evaluation_folder(workspace: Workspace, run: str, held_out: HeldOutSet) -> Path:
    """Return the folder of a run's report: that of the test set, or a folder in it for the validation set."""
    folder = workspace.report_folder(run)
    return folder if held_out == "test" else folder / held_out


def _metrics_at(
    nearest: Mapping[str, NearestClasses], labels: Indices, betas: Mapping[str, float]
) -> dict[str, Metrics]:
    """Compute the metrics of every score, each at its own beta."""
    return {name: gzsl_metrics(each, labels, betas[name]) for name, each in nearest.items()}


def _indices(splits: Splits, features: FeatureSet, held_out: str, reporter: Reporter) -> Tensor:
    """Find the indices (N,) of the held-out videos in the run's own splits; warn about videos without features."""
    named = [key for name in _SPLITS[held_out] for key in splits.by_name[name]]
    known = set(features.keys)
    missing = sum(key not in known for key in named)
    if missing:
        reporter.warn(
            f"{missing} of the run's {len(named)} {held_out} videos are no longer in the dataset: they are left out"
        )
    return features.indices([key for key in named if key in known])


def _check_classes(model: Model, dataset: Dataset) -> None:
    known = tuple(entry.name for entry in model.classes)
    if known != dataset.classes:
        raise PipelineError("the dataset's classes changed since the model was trained: run avzsl train again")


def _calibration_error(
    model: Model, scored: ScoredVideos, labels: Indices, seen: Flags, calibration: Calibration
) -> CalibrationError:
    """Measure the probabilities that `predict` shows if it may choose among all classes."""
    distances = calibrated(scored.sample_distances[model.score], seen, calibration.beta)
    return expected_calibration_error(distances, labels[scored.sample], calibration.temperature)


def _write(
    report: EvaluationReport, names: list[str], labels: Indices, predictions: Indices, nearest: NearestClasses
) -> None:
    """Write metrics.json."""
    recall = recall_per_class(predictions, labels, len(names))
    zero_shot = recall_per_class(nearest.nearest_unseen, labels, len(names))
    document = report.to_json() | {
        "run": report.run,
        "part": report.held_out,
        "videos": report.videos,
        "score": report.score,
        "extractor": dict(report.extractor),
        "chance_ZSL": report.chance,
        "classes_without_samples": list(report.without_samples),
        "recall_per_class": {
            name: {
                "seen": bool(nearest.seen[index]),
                "recall": recall[index],
                "recall_among_unseen": None if nearest.seen[index] else zero_shot[index],
            }
            for index, name in enumerate(names)
        },
    }
    write_json(report.metrics_file, document)


def record_report(workspace: Workspace, file: Path, model: str, summary: Mapping[str, Any]) -> None:
    """Record a report in the workspace, with the fingerprint of the models that it is about."""
    record = StageRecord(
        fingerprint=fingerprint({"stage": _STAGE_VERSION, "model": model}),
        output=str(file.relative_to(workspace.root)),
        inputs={Stage.MODEL: model},
        summary=summary,
    )
    workspace.record(Stage.REPORT, record)
