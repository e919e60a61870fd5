"""Run all stages one after the other, from videos to an evaluated model."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch

from pipeline.base.errors import UsageError
from pipeline.base.progress import Reporter, Stop, never_stop
from pipeline.base.workspace import Workspace
from pipeline.datasets.dataset import load_dataset
from pipeline.datasets.phrases import phrases_text
from pipeline.evaluation.evaluate import EvaluationReport, evaluate
from pipeline.evaluation.seeds import SeedsReport, evaluate_seeds
from pipeline.evaluation.unseen_clips import judged_clips
from pipeline.extraction.extract import extract
from pipeline.extraction.merge import ExtractionReport
from pipeline.prediction.predict import PredictionReport, predict
from pipeline.settings.tree import Settings
from pipeline.training.fitting import OnEpoch
from pipeline.training.seeds import SeedsTraining, train_seeds
from pipeline.training.train import TrainingReport, train


@dataclass(frozen=True)
class ChainReport:
    """The report of each stage."""

    extraction: ExtractionReport
    training: TrainingReport
    evaluation: EvaluationReport


@dataclass(frozen=True)
class SeedsChainReport:
    """The report of each stage of a run with several seeds."""

    extraction: ExtractionReport
    training: SeedsTraining
    evaluation: SeedsReport


@contextlib.contextmanager
def unstoppable() -> Iterator[Stop]:
    """Provide a `stop` that never asks to stop."""
    yield never_stop


@dataclass(frozen=True, kw_only=True)
class Callbacks:
    """The functions called during a chain of stages, so that each stage's table is shown before the next one starts."""

    on_extracted: Callable[[ExtractionReport], None]
    on_epoch: OnEpoch
    on_trained: Callable[[TrainingReport], None]  # for each run
    on_seeds_trained: Callable[[SeedsTraining], None]
    on_evaluated: Callable[[EvaluationReport], None]
    on_seeds_evaluated: Callable[[SeedsReport], None]
    # The context of extraction and of training; it gives them their `stop`. Other stages may be interrupted anywhere.
    stoppable: Callable[[], AbstractContextManager[Stop]] = unstoppable


def run_all(
    workspace: Workspace,
    source: Path,
    settings: Settings,
    *,
    passed: frozenset[str],
    device: torch.device,
    reporter: Reporter,
    callbacks: Callbacks,
    figures: bool = True,
) -> ChainReport:
    """Extract, train and evaluate; skip each stage that is done already.

    Videos that fail do not stop the chain; the report names them. `figures` says whether evaluation draws figures.
    """
    with callbacks.stoppable() as stop:
        extraction = extract(
            workspace, source, settings.extraction, passed=passed, device=device, reporter=reporter, stop=stop
        )
    callbacks.on_extracted(extraction)
    with callbacks.stoppable() as stop:
        training = train(workspace, settings, device=device, reporter=reporter, on_epoch=callbacks.on_epoch, stop=stop)
    callbacks.on_trained(training)
    evaluation = evaluate(workspace, device=device, reporter=reporter, run=training.run, figures=figures)
    callbacks.on_evaluated(evaluation)
    return ChainReport(extraction, training, evaluation)


def run_all_seeds(
    workspace: Workspace,
    source: Path,
    settings: Settings,
    *,
    passed: frozenset[str],
    device: torch.device,
    reporter: Reporter,
    callbacks: Callbacks,
    figures: bool = True,
) -> SeedsChainReport:
    """Do the same as `run_all`, with one training run per seed of `training.seeds`."""
    with callbacks.stoppable() as stop:
        extraction = extract(
            workspace, source, settings.extraction, passed=passed, device=device, reporter=reporter, stop=stop
        )
    callbacks.on_extracted(extraction)
    with callbacks.stoppable() as stop:
        training = train_seeds(
            workspace,
            settings,
            device=device,
            reporter=reporter,
            on_epoch=callbacks.on_epoch,
            on_trained=callbacks.on_trained,
            stop=stop,
        )
    callbacks.on_seeds_trained(training)
    evaluation = evaluate_seeds(workspace, training.runs, device=device, reporter=reporter, figures=figures)
    callbacks.on_seeds_evaluated(evaluation)
    return SeedsChainReport(extraction, training, evaluation)


@dataclass(frozen=True)
class DemoClip:
    """A clip of an unseen class, which the demo predicts from the file."""

    path: Path
    true_class: str
    right: bool


@dataclass(frozen=True)
class DemoReport:
    """The reports of the demo, and its predictions for clips of classes that were not trained on."""

    chain: ChainReport
    clips: tuple[DemoClip, ...]  # the first right one and the first wrong one, if there are both
    prediction: PredictionReport  # of these clips, in this order
    right: int  # how many of all clips of unseen classes are right
    judged: int  # number of all clips of unseen classes


def sample_folder() -> Path:
    """Return the folder of the sample videos.

    Raises:
        UsageError: avzsl is not installed from a checkout.
    """
    folder = Path(__file__).parent.parent / "sample_videos"
    if not folder.is_dir():
        raise UsageError(
            f"the sample videos are not at {folder}: run the demo from a checkout, installed with pip install -e ."
        )
    return folder


def demo(
    workspace: Workspace,
    settings: Settings,
    *,
    passed: frozenset[str],
    device: torch.device,
    reporter: Reporter,
    callbacks: Callbacks,
) -> DemoReport:
    """Run all stages on the sample videos, then predict a right and a wrong clip among the unseen classes."""
    chain = run_all(
        workspace, sample_folder(), settings, passed=passed, device=device, reporter=reporter, callbacks=callbacks
    )
    dataset = load_dataset(workspace.dataset_folder)
    videos = {video.key: video for video in dataset.videos}
    judged = judged_clips(workspace, chain.training.run, device)
    shown = [next(key for key, right in judged.items() if right is kind) for kind in sorted(set(judged.values()))[::-1]]
    clips = tuple(
        DemoClip(videos[key].path, phrases_text(dataset.phrases[videos[key].class_name]), judged[key]) for key in shown
    )
    unseen = {phrases_text(phrases): phrases for phrases in (dataset.phrases[name] for name in chain.training.unseen)}
    folder = workspace.model_folder(chain.training.run)
    prediction = predict(folder, [clip.path for clip in clips], unseen, device=device, reporter=reporter)
    return DemoReport(chain=chain, clips=clips, prediction=prediction, right=sum(judged.values()), judged=len(judged))
