"""The whole main job on the bundled sample videos."""

from dataclasses import dataclass
from pathlib import Path

import torch

from pipeline.base.errors import UsageError
from pipeline.base.progress import Reporter
from pipeline.base.workspace import Workspace
from pipeline.datasets.dataset import load_dataset
from pipeline.datasets.splits import read_splits
from pipeline.prediction.predict import PredictionReport, predict
from pipeline.run import ChainReport, Listeners, run_all
from pipeline.settings.tree import Settings


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
    workspace: Workspace, settings: Settings, *, device: torch.device, reporter: Reporter, listeners: Listeners
) -> DemoReport:
    """Run all stages on the sample videos, then predict a clip of an unseen class among the unseen classes."""
    chain = run_all(workspace, sample_folder(), settings, device=device, reporter=reporter, listeners=listeners)
    dataset = load_dataset(workspace.dataset_folder)
    videos = {video.key: video for video in dataset.videos}
    splits = read_splits(workspace.model_folder(chain.training.run) / "splits.yaml", dataset)
    video = videos[splits.test_unseen[0]]
    names = [dataset.phrases[name] for name in chain.training.unseen]
    report = predict(workspace.model_folder(chain.training.run), [video.path], names, device=device, reporter=reporter)
    return DemoReport(chain=chain, prediction=report, clip=video.path, true_class=dataset.phrases[video.class_name])
