"""A benchmark's protocol over seeds, and the ablation: trained and evaluated, or found done (benchmark.md)."""

import contextlib
import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pipeline.avgzsl_benchmark.reproduction.published import Variant, variants_of
from pipeline.base.errors import StorageError, UsageError
from pipeline.base.files import fingerprint, read_json
from pipeline.base.progress import Reporter, Stop, never_stop
from pipeline.base.workspace import Stage, StageRecord, Workspace
from pipeline.evaluation.evaluate import Evaluator
from pipeline.scoring.metrics import METRICS, mean_and_deviation
from pipeline.scoring.score_videos import SCORES
from pipeline.settings.tree import Settings
from pipeline.training.fitting import OnEpoch
from pipeline.training.inputs import TrainingInputs
from pipeline.training.train import Trainer, TrainingReport, make_current

Figures = Mapping[str, float]
Trained = tuple[TrainingReport, StageRecord]


@dataclass(frozen=True)
class SeedResult:
    """One run: its figures in percent by score (audio, visual, sum)."""

    seed: int
    run: str
    best_epoch: int
    metrics: Mapping[str, Figures]


@dataclass(frozen=True)
class VariantResult:
    """One row over the seeds."""

    variant: Variant
    seeds: tuple[SeedResult, ...]

    def over_seeds(self, score: str) -> tuple[dict[str, float], dict[str, float]]:
        """Mean and sample standard deviation of S, U, HM and ZSL; a single seed has no deviation (NaN)."""
        return mean_and_deviation([seed.metrics[score] for seed in self.seeds])


@dataclass(frozen=True)
class Reproduction:
    """What was reached, and from what."""

    benchmark: str
    results: tuple[VariantResult, ...]  # the method itself last
    score: str  # the one that predicts
    settings: Settings  # with the widths of the data
    data: Mapping[str, Any]  # what it was trained on, with hashes

    @property
    def method(self) -> VariantResult:
        """The row that stands for the method."""
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
    """Train and evaluate every variant with every seed. What is finished is found, what is unfinished goes on.

    Args:
        benchmark: a name of `BENCHMARKS`.
        workspace: holds dataset, splits, features and class vectors.
        settings: of the method, with one seed at least in `training.seeds`.
        ablation: also the rows of the paper's ablation.
        device: where the networks run.
        reporter: hears what is done, and what was done already.
        on_epoch: hears of every epoch.
        stop: asked after every step; at True the step is saved and the training ends.

    Raises:
        TrainingStoppedError: `stop` said so.
        UsageError: the ablation is asked for, of settings that are but a row of it.
        PipelineError: a stage is missing, splits or widths do not fit, the disk is full.
    """
    variants = variants_of(settings.daan, ablation=ablation)
    if variants[-1].applied_to(settings.daan) != settings.daan:
        raise UsageError(
            f"daan.qdma is {settings.daan.qdma} and daan.csgm {settings.daan.csgm}, but the ablation trains every row "
            "of both: leave them out, or train this one alone with --no-ablation"
        )
    with workspace.locked("reproduce"):
        trainer = Trainer(workspace=workspace, device=device, reporter=reporter, on_epoch=on_epoch, stop=stop)
        inputs = trainer.gather(settings)
        exact, data = dataclasses.replace(settings, daan=inputs.config), _data_of(inputs)
        trained = [(variant, _train(variant, trainer, inputs, settings, reporter)) for variant in variants]
        _make_first_current(workspace, trained[-1][1][0], reporter)
        del inputs  # the features are read once more to evaluate, and need not be in memory twice
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
    """A run for each seed."""
    runs: list[Trained] = []
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
    """Make the method's first run the workspace's model, unless the user has one: that stays, with its report."""
    report, record = first
    model = workspace.stages().get(Stage.MODEL)
    if model is None or not (workspace.root / model.output).exists():
        make_current(workspace, record)
    elif model.fingerprint != record.fingerprint:
        reporter.say(
            f"the workspace's model stays {Path(model.output).name}; "
            f"this one predicts with avzsl predict --model {report.folder}"
        )


def _evaluate(
    runs: Sequence[str], workspace: Workspace, device: torch.device, reporter: Reporter
) -> dict[str, Mapping[str, Figures]]:
    """Run -> score -> figures; a run is named for all that it was made from, so its metrics.json stays true."""
    found = {run: figures for run in runs if (figures := _evaluated_before(workspace, run)) is not None}
    missing = [run for run in dict.fromkeys(runs) if run not in found]
    if not missing:
        return found
    evaluator = Evaluator(workspace, "test", device=device, reporter=reporter)
    with reporter.track("evaluating runs", len(missing)) as tracker:
        for run in missing:
            report, _ = evaluator(workspace.model_folder(run))
            found[run] = {name: dataclasses.asdict(metrics) for name, metrics in report.metrics.items()}
            tracker.advance()
    return found


def _evaluated_before(workspace: Workspace, run: str) -> Mapping[str, Figures] | None:
    path = workspace.report_folder(run) / "metrics.json"
    if not path.is_file():
        return None
    with contextlib.suppress(StorageError, AttributeError, KeyError, TypeError):  # damaged: it is made again
        document = read_json(path)
        if document["run"] == run and document["part"] == "test":
            return {score: {name: _number(document[score][name]) for name in METRICS} for score in SCORES}
    return None


def _number(value: float | None) -> float:
    """JSON writes an undefined figure as null."""
    return math.nan if value is None else float(value)


def _data_of(inputs: TrainingInputs) -> dict[str, Any]:
    """What the runs are made from, in numbers and hashes."""
    features, embeddings = inputs.features, inputs.embeddings
    described = ("extractor", "recipe", "weights", "weights_sha256", "layout", "method", "averaged")
    return {
        "features": {name: features.attributes[name] for name in described if name in features.attributes},
        "features_content": features.attributes["content"],
        "visual_width": features.visual.shape[1],
        "audio_width": features.audio.shape[1],
        "seconds": int(features.seconds.sum()),
        "videos": {part: len(keys) for part, keys in inputs.splits.by_name.items()},
        "classes": {
            "seen": len(inputs.names_of("train", "val_seen", "val_unseen")),
            "unseen": len(inputs.names_of("test_unseen")),
        },
        "splits": fingerprint({part: sorted(keys) for part, keys in inputs.splits.by_name.items()}),
        "text": dict(embeddings.encoder),
        "legacy_class_order": inputs.settings.text.legacy_class_order,
    }
