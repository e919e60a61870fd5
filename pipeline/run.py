"""All stages one after the other: videos in, an evaluated model out."""

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
from pipeline.datasets.splits import read_splits
from pipeline.evaluation.evaluate import EvaluationReport, evaluate
from pipeline.evaluation.seeds import SeedsReport, evaluate_seeds
from pipeline.extraction.extract import extract
from pipeline.extraction.merge import ExtractionReport
from pipeline.prediction.predict import PredictionReport, predict
from pipeline.settings.tree import Settings
from pipeline.training.fitting import OnEpoch
from pipeline.training.seeds import SeedsTraining, train_seeds
from pipeline.training.train import TrainingReport, train


@dataclass(frozen=True)
class ChainReport:
    """What each stage did."""

    extraction: ExtractionReport
    training: TrainingReport
    evaluation: EvaluationReport


@dataclass(frozen=True)
class SeedsChainReport:
    """What each stage did, with several seeds."""

    extraction: ExtractionReport
    training: SeedsTraining
    evaluation: SeedsReport


@contextlib.contextmanager
def unstoppable() -> Iterator[Stop]:
    """Work to the end."""
    yield never_stop


@dataclass(frozen=True, kw_only=True)
class Listeners:
    """Who hears of a stage's end, so that its table can be shown before the next one starts."""

    on_extracted: Callable[[ExtractionReport], None]
    on_epoch: OnEpoch
    on_trained: Callable[[TrainingReport], None]  # of each run
    on_seeds_trained: Callable[[SeedsTraining], None]
    on_evaluated: Callable[[EvaluationReport], None]
    on_seeds_evaluated: Callable[[SeedsReport], None]
    # Entered for extraction and for training: whether to save and stop there. Other stages may be interrupted anywhere.
    stoppable: Callable[[], AbstractContextManager[Stop]] = unstoppable


def run_all(
    workspace: Workspace,
    source: Path,
    settings: Settings,
    *,
    passed: frozenset[str],
    device: torch.device,
    reporter: Reporter,
    listeners: Listeners,
) -> ChainReport:
    """Extract, train and evaluate; each stage is skipped where it is done already.

    Videos that fail do not stop the chain: the report names them.
    """
    with listeners.stoppable() as stop:
        extraction = extract(
            workspace, source, settings.extraction, passed=passed, device=device, reporter=reporter, stop=stop
        )
    listeners.on_extracted(extraction)
    with listeners.stoppable() as stop:
        training = train(workspace, settings, device=device, reporter=reporter, on_epoch=listeners.on_epoch, stop=stop)
    listeners.on_trained(training)
    evaluation = evaluate(workspace, device=device, reporter=reporter, run=training.run)
    listeners.on_evaluated(evaluation)
    return ChainReport(extraction, training, evaluation)


def run_all_seeds(
    workspace: Workspace,
    source: Path,
    settings: Settings,
    *,
    passed: frozenset[str],
    device: torch.device,
    reporter: Reporter,
    listeners: Listeners,
) -> SeedsChainReport:
    """As `run_all`, with a run for each of `training.seeds`."""
    with listeners.stoppable() as stop:
        extraction = extract(
            workspace, source, settings.extraction, passed=passed, device=device, reporter=reporter, stop=stop
        )
    listeners.on_extracted(extraction)
    with listeners.stoppable() as stop:
        training = train_seeds(
            workspace,
            settings,
            device=device,
            reporter=reporter,
            on_epoch=listeners.on_epoch,
            on_trained=listeners.on_trained,
            stop=stop,
        )
    listeners.on_seeds_trained(training)
    evaluation = evaluate_seeds(workspace, training.runs, device=device, reporter=reporter)
    listeners.on_seeds_evaluated(evaluation)
    return SeedsChainReport(extraction, training, evaluation)


@dataclass(frozen=True)
class DemoReport:
    """What the demo made, and its prediction of a clip whose class was never trained on."""

    chain: ChainReport
    prediction: PredictionReport
    clip: Path
    true_class: str


def sample_folder() -> Path:
    """The bundled sample videos.

    Raises:
        UsageError: avzsl runs without its checkout.
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
    listeners: Listeners,
) -> DemoReport:
    """Run all stages on the sample videos, then predict a clip of an unseen class among the unseen classes."""
    chain = run_all(
        workspace, sample_folder(), settings, passed=passed, device=device, reporter=reporter, listeners=listeners
    )
    dataset = load_dataset(workspace.dataset_folder)
    videos = {video.key: video for video in dataset.videos}
    splits = read_splits(workspace.model_folder(chain.training.run) / "splits.yaml", dataset)
    video = videos[splits.test_unseen[0]]
    names = [phrases_text(dataset.phrases[name]) for name in chain.training.unseen]
    report = predict(workspace.model_folder(chain.training.run), [video.path], names, device=device, reporter=reporter)
    return DemoReport(
        chain=chain, prediction=report, clip=video.path, true_class=phrases_text(dataset.phrases[video.class_name])
    )
