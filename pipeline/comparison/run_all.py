"""Train and evaluate several methods with several seeds on the same data; finished runs are used again."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pipeline.base.errors import PipelineError, StorageError, TrainingStoppedError, UsageError
from pipeline.base.files import fingerprint, read_document
from pipeline.base.progress import Reporter, Stop
from pipeline.base.workspace import Stage, StageRecord, Workspace
from pipeline.comparison.configured_methods import ConfiguredMethod
from pipeline.evaluation.drawing import FigureProcess
from pipeline.evaluation.evaluate import Evaluator
from pipeline.evaluation.saved_metrics import SavedMetrics, SavedScore
from pipeline.scoring.metrics import ClassRecalls, mean_and_deviation
from pipeline.training.fitting import OnEpoch
from pipeline.training.inputs import TrainingInputs
from pipeline.training.methods import build_method
from pipeline.training.run_files import read_timing
from pipeline.training.train import Trainer, TrainingReport, make_current

Metrics = Mapping[str, float]


@dataclass(frozen=True)
class SeedResult:
    """The result of one run, in percent."""

    seed: int
    run: str
    best_epoch: float
    metrics: Mapping[str, Metrics]  # score -> metric -> value
    recalls: ClassRecalls  # by the score that predicts


@dataclass(frozen=True)
class MethodResult:
    """The results of one method over the seeds."""

    method: ConfiguredMethod
    seeds: tuple[SeedResult, ...]  # at least one
    score: str  # the score that predicts
    chance: float  # ZSL of guessing, percent; NaN without unseen classes
    parameters: int
    seconds_per_epoch: float  # median of stage 1, mean over the seeds; NaN if no run has a record of it
    devices: tuple[str, ...]  # the devices of these times

    @property
    def scores(self) -> tuple[str, ...]:
        """The names of the scores."""
        return tuple(self.seeds[0].metrics)

    def over_seeds(self, score: str) -> tuple[dict[str, float], dict[str, float]]:
        """Compute mean and sample standard deviation of S, U, HM and ZSL; the deviation of a single seed is NaN."""
        return mean_and_deviation([seed.metrics[score] for seed in self.seeds])


@dataclass(frozen=True)
class AllResults:
    """The results of all methods, and the data that they have in common."""

    results: tuple[MethodResult, ...]
    data: Mapping[str, Any]  # facts about the training data, with hashes


@dataclass(frozen=True)
class _Trained:
    method: ConfiguredMethod
    parameters: int
    runs: tuple[tuple[TrainingReport, StageRecord], ...]


def train_and_evaluate(
    methods: Sequence[ConfiguredMethod],
    workspace: Workspace,
    *,
    current: ConfiguredMethod,
    device: torch.device,
    reporter: Reporter,
    on_epoch: OnEpoch,
    stop: Stop,
) -> AllResults:
    """Train every method with every seed, and evaluate all runs. The caller must hold the workspace's lock.

    Finished runs are used again, and unfinished ones are continued.

    Args:
        methods: at least one; their settings differ only in the method, its options and those of training.
        workspace: the workspace with dataset and features.
        current: the method whose first run becomes the workspace's model, if the workspace has none.
        device: the device of the networks.
        reporter: receives the progress, and which runs were finished before.
        on_epoch: called after every epoch.
        stop: called after every step; if it returns True, the step is saved and the training ends.

    Raises:
        TrainingStoppedError: `stop` returned True.
        PipelineError: a stage that is missing, splits or widths that do not fit, or a full disk.
    """
    trainer = Trainer(workspace=workspace, device=device, reporter=reporter, on_epoch=on_epoch, stop=stop)
    inputs = trainer.gather(methods[0].settings)
    data = _data_of(inputs)
    if len(inputs.indices("test_seen", "test_unseen")) == 0:
        raise PipelineError("the splits contain no test videos: there is nothing to evaluate on")
    fitting = list(_fitting(methods, inputs, reporter))  # a misfit is found before any training
    if not fitting:
        raise UsageError("no method fits the data: name others with --methods (avzsl methods)")
    trained = [_train(method, of, trainer, reporter) for method, of in fitting]
    first = next((each for each in trained if each.method is current), trained[0])
    _make_current(workspace, first.runs[0], reporter)
    classes = (len(inputs.names_of("test_seen")), len(inputs.names_of("test_unseen")))
    del inputs, fitting  # the evaluation reads the features again; so memory contains them only once
    runs = [report.run for each in trained for report, _ in each.runs]
    metrics = _evaluate(runs, workspace, device, reporter, classes=classes, stop=stop)
    return AllResults(tuple(_result(each, metrics) for each in trained), data)


def _fitting(
    methods: Sequence[ConfiguredMethod], inputs: TrainingInputs, reporter: Reporter
) -> Iterator[tuple[ConfiguredMethod, TrainingInputs]]:
    """Yield the methods that fit the data, with their inputs; those that are optional may be left out.

    Raises:
        UsageError: a method that is not optional does not fit.
    """
    for method in methods:
        try:
            yield method, inputs.with_settings(method.settings)
        except UsageError as error:
            if not method.optional:
                raise
            reporter.say(f"{method.label} is left out: {error}")


def _train(method: ConfiguredMethod, inputs: TrainingInputs, trainer: Trainer, reporter: Reporter) -> _Trained:
    """Train a method once for each seed."""
    runs: list[tuple[TrainingReport, StageRecord]] = []
    for seed in method.seeds:
        reporter.say(f"{method.label}, seed {seed}")
        report, record = trainer.train(inputs, method.with_seed(seed))
        if report.did_nothing:
            reporter.say(f" trained already: {report.run}")
        runs.append((report, record))
    with torch.device("meta"):  # without weights: only their number is wanted
        network = build_method(method.settings.training.method, inputs.config)
    return _Trained(method, sum(each.numel() for each in network.parameters()), tuple(runs))


def _make_current(workspace: Workspace, first: tuple[TrainingReport, StageRecord], reporter: Reporter) -> None:
    """Make a run the workspace's model, unless the workspace has a model already."""
    report, record = first
    model = workspace.stages().get(Stage.MODEL)
    if model is None or not (workspace.root / model.output).exists():
        make_current(workspace, record)
    elif model.fingerprint != record.fingerprint:
        reporter.say(
            f"the workspace keeps its model {Path(model.output).name}; "
            f"to predict with {report.run}: avzsl predict --model {report.folder}"
        )


def _evaluate(
    runs: Sequence[str],
    workspace: Workspace,
    device: torch.device,
    reporter: Reporter,
    *,
    classes: tuple[int, int],
    stop: Stop,
) -> dict[str, SavedMetrics]:
    """Evaluate runs that were not evaluated before: run -> its metrics.

    The name of a run depends on everything that it was made from, so its metrics.json is valid if it is whole.

    Args:
        runs: names of finished runs.
        workspace: their workspace.
        device: the device of the networks.
        reporter: receives the progress.
        classes: numbers of seen and unseen classes that have test videos.
        stop: called after every run; if it returns True, the evaluation ends.

    Raises:
        TrainingStoppedError: `stop` returned True before the last run.
    """
    before = {run: _evaluated_before(workspace, run, classes) for run in runs}
    found = {run: metrics for run, metrics in before.items() if metrics is not None}
    missing = [run for run in before if run not in found]
    if not missing:
        return found
    with FigureProcess(draws=True) as drawing, reporter.track("evaluating runs", len(missing)) as tracker:
        evaluator = Evaluator(workspace, "test", device=device, reporter=reporter, drawing=drawing)
        for done, run in enumerate(missing, start=1):
            report, _ = evaluator(workspace.model_folder(run))
            found[run] = read_document(report.metrics_file, SavedMetrics, StorageError)
            tracker.advance()
            if done < len(missing) and stop():
                raise TrainingStoppedError(
                    f"stopped after evaluating {done} of {len(missing)} runs; the same command goes on from there"
                )
    return found


def _evaluated_before(workspace: Workspace, run: str, classes: tuple[int, int]) -> SavedMetrics | None:
    path = workspace.report_folder(run) / "metrics.json"
    if not path.is_file():
        return None
    try:
        document = read_document(path, SavedMetrics, StorageError)
    except StorageError:  # a damaged file is written again
        return None
    is_complete = document.score in document.scores and document.run == run and document.part == "test"
    recalls = document.recalls
    return document if is_complete and (len(recalls.seen), len(recalls.unseen)) == classes else None


def _result(trained: _Trained, metrics: Mapping[str, SavedMetrics]) -> MethodResult:
    seeds = tuple(
        SeedResult(
            seed=report.seed,
            run=report.run,
            best_epoch=report.best_epoch,
            metrics=dict(_numbers(metrics[report.run])),
            recalls=metrics[report.run].recalls,
        )
        for report, _ in trained.runs
    )
    first = metrics[seeds[0].run]
    timings = [timing for report, _ in trained.runs if (timing := read_timing(report.folder)) is not None]
    seconds = [timing.seconds_per_epoch for timing in timings]
    return MethodResult(
        method=trained.method,
        seeds=seeds,
        score=first.score,
        chance=math.nan if first.chance is None else first.chance,
        parameters=trained.parameters,
        seconds_per_epoch=sum(seconds) / len(seconds) if seconds else math.nan,
        devices=tuple(sorted({timing.device for timing in timings})),
    )


def _numbers(document: SavedMetrics) -> Iterator[tuple[str, Metrics]]:
    """Yield each score with its metrics; NaN for an undefined one, which is null in the file."""
    for score, found in document.scores.items():
        values = ((name, getattr(found, name)) for name in SavedScore.model_fields)
        yield score, {name: math.nan if value is None else float(value) for name, value in values}


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
