"""Run a benchmark's protocol for several seeds, and the ablation; finished runs are used again.

The protocol is described in pipeline/avgzsl_benchmark/README.md.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from daan.config import DaanConfig
from pipeline.avgzsl_benchmark.reproduction.published import Variant, variants_of
from pipeline.base.errors import StorageError, UsageError
from pipeline.base.files import fingerprint, read_document
from pipeline.base.progress import Reporter, Stop, never_stop
from pipeline.base.workspace import Stage, StageRecord, Workspace
from pipeline.evaluation.drawing import FigureProcess
from pipeline.evaluation.evaluate import Evaluator
from pipeline.evaluation.saved_metrics import SavedMetrics, SavedScore
from pipeline.scoring.metrics import mean_and_deviation
from pipeline.settings.tree import Settings
from pipeline.training.fitting import OnEpoch
from pipeline.training.inputs import TrainingInputs
from pipeline.training.train import Trainer, TrainingReport, make_current

Metrics = Mapping[str, float]
Trained = tuple[TrainingReport, StageRecord]


@dataclass(frozen=True)
class SeedResult:
    """The result of one run: metrics in percent by score."""

    seed: int
    run: str
    best_epoch: float
    metrics: Mapping[str, Metrics]


@dataclass(frozen=True)
class VariantResult:
    """The results of one variant over the seeds."""

    variant: Variant
    seeds: tuple[SeedResult, ...]

    @property
    def scores(self) -> tuple[str, ...]:
        """The names of the scores."""
        return tuple(self.seeds[0].metrics)

    def over_seeds(self, score: str) -> tuple[dict[str, float], dict[str, float]]:
        """Compute mean and sample standard deviation of S, U, HM and ZSL; the deviation of a single seed is NaN."""
        return mean_and_deviation([seed.metrics[score] for seed in self.seeds])


@dataclass(frozen=True)
class Reproduction:
    """The results of a reproduction, and what they were made from."""

    benchmark: str
    results: tuple[VariantResult, ...]  # the full method last
    score: str  # the score that predicts
    settings: Settings  # with the widths of the data
    data: Mapping[str, Any]  # facts about the training data, with hashes

    @property
    def method(self) -> VariantResult:
        """The result of the full method."""
        return self.results[-1]


def reproduce(
    benchmark: str,
    workspace: Workspace,
    settings: Settings,
    *,
    ablation: bool,
    device: torch.device,
    reporter: Reporter,
    on_epoch: OnEpoch,
    stop: Stop = never_stop,
) -> Reproduction:
    """Train and evaluate every variant with every seed. Finished runs are used again, unfinished ones are continued.

    Args:
        benchmark: a name of `BENCHMARKS`.
        workspace: the workspace with dataset, splits, features and class vectors.
        settings: settings of the method, with at least one seed in `training.seeds`.
        ablation: whether to train the rows of the paper's ablation too.
        device: the device of the networks.
        reporter: receives the progress, and which runs were finished before.
        on_epoch: called after every epoch.
        stop: called after every step; if it returns True, the step is saved and the training ends.

    Raises:
        TrainingStoppedError: `stop` returned True.
        UsageError: the ablation with settings that are only one of its rows.
        PipelineError: a stage that is missing, splits or widths that do not fit, or a full disk.
    """
    if settings.training.method != "daan":
        raise UsageError(
            f"training.method is {settings.training.method}, but reproduce trains DAAN: leave the setting out, or use "
            "avzsl train"
        )
    variants = variants_of(settings.daan, ablation=ablation)
    if variants[-1].applied_to(settings.daan) != settings.daan:
        raise UsageError(
            f"daan.qdma is {settings.daan.qdma} and daan.csgm {settings.daan.csgm}, but the ablation varies "
            "both: leave both settings out, or train only this variant with --no-ablation"
        )
    with workspace.locked("reproduce"):
        trainer = Trainer(workspace=workspace, device=device, reporter=reporter, on_epoch=on_epoch, stop=stop)
        inputs = trainer.gather(settings)
        exact, data = settings.with_method_config(inputs.config), _data_of(inputs)
        trained = [(variant, _train(variant, trainer, inputs, settings, reporter)) for variant in variants]
        _make_first_current(workspace, trained[-1][1][0], reporter)
        del inputs  # the evaluation reads the features again; free them first so that memory contains them only once
        runs = [report.run for _, of_variant in trained for report, _ in of_variant]
        metrics = _evaluate(runs, workspace, device, reporter)
    results = tuple(
        VariantResult(
            variant, tuple(SeedResult(one.seed, one.run, one.best_epoch, metrics[one.run]) for one, _ in of_variant)
        )
        for variant, of_variant in trained
    )
    return Reproduction(benchmark, results, settings.daan.score, exact, data)


def _train(
    variant: Variant, trainer: Trainer, inputs: TrainingInputs, settings: Settings, reporter: Reporter
) -> list[Trained]:
    """Train a variant once for each seed."""
    runs: list[Trained] = []
    assert isinstance(inputs.config, DaanConfig)  # noqa: S101 - `reproduce` trains no other method; for mypy
    varied = dataclasses.replace(inputs, config=variant.applied_to(inputs.config))
    for seed in settings.training.seeds:
        of_seed = dataclasses.replace(settings, training=dataclasses.replace(settings.training, seed=seed))
        reporter.say(f"{variant.title}, seed {seed}")
        report, record = trainer.train(varied, of_seed)
        if report.did_nothing:
            reporter.say(f" trained already: {report.run}")
        runs.append((report, record))
    return runs


def _make_first_current(workspace: Workspace, first: Trained, reporter: Reporter) -> None:
    """Make the first run of the method the workspace's model, unless the workspace has a model already."""
    report, record = first
    model = workspace.stages().get(Stage.MODEL)
    if model is None or not (workspace.root / model.output).exists():
        make_current(workspace, record)
    elif model.fingerprint != record.fingerprint:
        reporter.say(
            f"the workspace keeps its model {Path(model.output).name}; "
            f"to predict with the new one: avzsl predict --model {report.folder}"
        )


def _evaluate(
    runs: Sequence[str], workspace: Workspace, device: torch.device, reporter: Reporter
) -> dict[str, Mapping[str, Metrics]]:
    """Evaluate runs that were not evaluated before: run -> score -> metrics.

    The name of a run depends on everything that it was made from, so an existing metrics.json is always valid.
    """
    found = {run: metrics for run in runs if (metrics := _evaluated_before(workspace, run)) is not None}
    missing = [run for run in dict.fromkeys(runs) if run not in found]
    if not missing:
        return found
    with (
        FigureProcess(draws=True) as drawing,
        reporter.track("evaluating runs", len(missing)) as tracker,
    ):
        evaluator = Evaluator(workspace, "test", device=device, reporter=reporter, drawing=drawing)
        for run in missing:
            report, _ = evaluator(workspace.model_folder(run))
            found[run] = {
                score: {name: getattr(metrics, name) for name in SavedScore.model_fields}
                for score, metrics in report.metrics.items()
            }
            tracker.advance()
    return found


def _evaluated_before(workspace: Workspace, run: str) -> Mapping[str, Metrics] | None:
    path = workspace.report_folder(run) / "metrics.json"
    if not path.is_file():
        return None
    try:
        document = read_document(path, SavedMetrics, StorageError)
    except StorageError:  # a damaged file is written again
        return None
    if document.run != run or document.part != "test":
        return None
    names = SavedScore.model_fields
    return {score: {name: _number(getattr(one, name)) for name in names} for score, one in document.scores.items()}


def _number(value: float | None) -> float:
    """Convert a metric from JSON, where an undefined one is null, to a number or NaN."""
    return math.nan if value is None else float(value)


def _data_of(inputs: TrainingInputs) -> dict[str, Any]:
    """Describe the data of the runs in numbers and hashes."""
    features, embeddings = inputs.features, inputs.embeddings
    described = ("extractor", "recipe", "weights", "weights_sha256", "layout", "method", "averaged")
    return {
        "features": {name: features.attributes[name] for name in described if name in features.attributes},
        "features_content": features.attributes["content"],
        "visual_width": features.visual.shape[1],
        "audio_width": features.audio.shape[1],
        "seconds": int(features.seconds.sum()),
        "videos": {split: len(keys) for split, keys in inputs.splits.by_name.items()},
        "classes": {
            "seen": len(inputs.names_of("train", "val_seen", "val_unseen")),
            "unseen": len(inputs.names_of("test_unseen")),
        },
        "splits": fingerprint({split: sorted(keys) for split, keys in inputs.splits.by_name.items()}),
        "text": dict(embeddings.encoder),
        "legacy_class_order": inputs.settings.text.legacy_class_order,
    }
