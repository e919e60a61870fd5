"""What frozen encoders recognise on a dataset: S, U, HM and ZSL by every score, and plain accuracy.

    python benchmarks/zero_shot.py DATASET [--extractor clip-clap] [--weights FOLDER]

DATASET is a folder of <class>/<file>, a manifest, or a workspace that avzsl prepare made. The features are extracted
into a workspace (`--workspace`, or DATASET itself), where a second run finds them. Beta is chosen on the validation
videos, as for trained methods. Figures of this script need real weights; with random ones they are those of chance.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from pipeline.base.progress import SilentReporter
from pipeline.base.workspace import Workspace
from pipeline.datasets.dataset import load_dataset
from pipeline.datasets.splits.splits import parse_splits
from pipeline.evaluation.evaluate import evaluate
from pipeline.extraction.extract import extract
from pipeline.features.feature_set import load_features
from pipeline.scoring.score_videos import score_videos
from pipeline.settings.tree import load_settings
from pipeline.training.run_files import SPLITS
from pipeline.training.train import train
from pipeline.training.trained_model import load_model, run_file


class Messages(SilentReporter):
    """Shows what the user should know."""

    def say(self, line: str) -> None:
        """Print a message."""
        print(f"  {line}")

    def warn(self, line: str) -> None:
        """Print a warning."""
        print(f"  note: {line}")


def accuracy(workspace: Workspace, run: str, device: torch.device) -> tuple[float, float, int]:
    """Count the test videos whose nearest class is theirs: among all classes, and of unseen classes among these."""
    folder = workspace.model_folder(run)
    model, splits = load_model(folder, device), parse_splits(run_file(folder, SPLITS))
    dataset = load_dataset(workspace.dataset_folder)
    features = load_features(workspace.current_features(), dataset.classes)
    keys = [key for name in ("test_seen", "test_unseen") for key in splits.by_name[name] if key in set(features.keys)]
    indices = features.indices(keys)
    seen = np.array([entry.seen for entry in model.classes])
    vectors = torch.from_numpy(model.class_vectors)
    scored = score_videos(model.network, features, indices, vectors, seen, model.standardiser, device)
    nearest, labels = scored.nearest[model.score], features.labels[indices].numpy()
    of_unseen = ~seen[labels]
    among_unseen = (nearest.nearest_unseen == labels)[of_unseen].mean() if of_unseen.any() else float("nan")
    return 100 * (nearest.predictions(0.0) == labels).mean(), 100 * among_unseen, len(keys)


def main() -> None:
    """Extract, calibrate, evaluate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="folder of <class>/<file>, manifest.csv, or a prepared workspace")
    parser.add_argument("--extractor", default="clip-clap", help="extractor with a text encoder")
    parser.add_argument("--weights", help="weights of the extractor; by default the published ones")
    parser.add_argument("--workspace", type=Path, help="folder for the features; by default zero-shot-workspace")
    parser.add_argument("--device", default="cuda:0" if torch.cuda.is_available() else "cpu", help="device")
    arguments = parser.parse_args()
    prepared = (arguments.dataset / "dataset").is_dir()
    root = arguments.workspace or (arguments.dataset if prepared else Path("zero-shot-workspace"))
    source = None if prepared and root == arguments.dataset else arguments.dataset
    workspace, device, messages = Workspace(root), torch.device(arguments.device), Messages()
    options = {
        "extraction.extractor.name": arguments.extractor,
        "extraction.extractor.weights": arguments.weights,
        "training.method": "zero-shot",
    }
    settings = load_settings(options=options)
    extracted = extract(workspace, source, settings.extraction, device=device, reporter=messages)
    done = extracted.videos - extracted.failed
    print(f"{extracted.extractor}: {done} of {extracted.videos} videos, {extracted.seconds} s")
    trained = train(workspace, settings, device=device, reporter=messages, on_epoch=lambda *_: None)
    report = evaluate(workspace, device=device, reporter=messages, run=trained.run, figures=False)
    print(f"{report.seen} seen and {report.unseen} unseen classes, {report.videos} test videos; percent")
    print("score          S      U     HM    ZSL   beta")
    for name, metrics in report.metrics.items():
        row = "".join(f"{value:7.1f}" for value in (metrics.S, metrics.U, metrics.HM, metrics.ZSL))
        print(f"{name:12}{row}{metrics.beta:7.3f}{'  *' if name == report.score else ''}")
    print(f"chance      {'':21}{report.chance:7.1f}")
    everything, among_unseen, videos = accuracy(workspace, trained.run, device)
    print(f"accuracy over {videos} videos, without beta: {everything:.1f} among all classes, ", end="")
    print(f"{among_unseen:.1f} of the unseen among these")


if __name__ == "__main__":
    main()
