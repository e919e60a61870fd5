"""Claim: beta and temperature from validation fit the network of stage 2, for all names and for a few of them.

Stage 1 validates one network; stage 2 trains another one, on more classes. For every data seed this script trains a run
on generated data and compares, on the test videos, the exact optimum of validation (`exact`) with what avzsl stores
(`lasting`: smoothed and shrunk) and, for a few seen and unseen names, with what it derives for their numbers
(`derived`). `lost` is the HM below that of the best beta for the test videos themselves. The table stands in
pipeline/scoring/README.md.
"""

import argparse
import dataclasses
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.avgzsl_benchmark.synthetic.generate import synthetic_benchmark
from pipeline.avgzsl_benchmark.synthetic.recipe import SyntheticRecipe
from pipeline.avgzsl_benchmark.synthetic.shapes import SHAPES
from pipeline.avgzsl_benchmark.synthetic.workspace import write_benchmark
from pipeline.base.progress import SilentReporter
from pipeline.base.workspace import Workspace
from pipeline.datasets.splits import parse_splits
from pipeline.features.feature_set import load_features
from pipeline.scoring.calibration import HarmonicMeans, best_temperature, calibrated, lasting_beta
from pipeline.scoring.held_out import Calibration, HeldOutDistances
from pipeline.scoring.metrics import expected_calibration_error, gzsl_metrics
from pipeline.scoring.nearest_classes import NearestClasses
from pipeline.scoring.score_videos import score_videos
from pipeline.settings.tree import load_settings
from pipeline.training.train import train
from pipeline.training.trained_model import load_model

CPU = torch.device("cpu")
MIXTURES = ((1, 5), (5, 5), (5, 1), (20, 4))  # seen and unseen names
CHOICES_OF_NAMES = 12


@dataclasses.dataclass(frozen=True)
class Run:
    """What a run leaves to compare. M test videos, C classes."""

    held_out: HeldOutDistances
    distances: NDArray[np.float32]  # (M, C) of the test videos, by the network of stage 2
    labels: NDArray[np.int64]  # (M,)
    seen: NDArray[np.bool_]  # (C,)

    def among(self, columns: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Select the test videos of some classes (K,): their distances to these, and their labels among these."""
        position = np.full(len(self.seen), -1)
        position[columns] = np.arange(len(columns))
        labels = position[self.labels]
        return self.distances[labels >= 0][:, columns], labels[labels >= 0]


def trained(seed: int, *, epochs: int, steps: int, hidden: int) -> Run:
    """Train on data of UCF's shape with averaged features."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        shape = dataclasses.replace(SHAPES["ucf"], seconds=(1, 1))
        vectors = write_benchmark(synthetic_benchmark(shape, SyntheticRecipe(seed=seed)), workspace)
        options = {
            "text.encoder": str(vectors),
            "daan.hidden_width": hidden,
            "training.epochs": epochs,
            "training.steps_per_epoch": steps,
        }
        settings = load_settings(preset="ucf", options=options)
        report = train(workspace, settings, device=CPU, reporter=SilentReporter(), on_epoch=lambda *_: None)
        model = load_model(report.folder, CPU)
        features = load_features(workspace.current_features(), [entry.name for entry in model.classes])
        splits = parse_splits(report.folder / "splits.yaml")
    indices = features.indices([*splits.test_seen, *splits.test_unseen])
    seen = np.array([entry.seen for entry in model.classes])
    distances = score_videos(
        model.network,
        features,
        indices,
        torch.from_numpy(model.class_vectors),
        seen,
        model.standardiser,
        CPU,
        sample=np.arange(len(indices)),
    ).sample_distances[model.score]
    if model.held_out is None:
        raise SystemExit("the run has too few validation videos")
    return Run(model.held_out, distances, features.labels[indices].numpy(), seen)


def compared(run: Run, seen_names: int, unseen_names: int) -> Iterator[tuple[str, tuple[float, ...]]]:
    """Yield for each calibration and choice of names: HM lost, S, U, confidence, accuracy and calibration error."""
    held = run.held_out
    curve = HarmonicMeans.over_betas(NearestClasses.from_distances(held.distances, held.seen), held.labels)
    exact, lasting = curve.best_beta(), lasting_beta([curve])
    temperature = best_temperature(calibrated(held.distances, held.seen, exact), held.labels)
    videos = len(held.labels)
    calibrations = {
        "exact": Calibration(exact, temperature, None, videos),
        "lasting": Calibration(lasting, temperature, None, videos),
        "derived": held.calibration(seen_names, unseen_names),
    }
    random = np.random.default_rng(7)
    seen, unseen = np.flatnonzero(run.seen), np.flatnonzero(~run.seen)
    for _ in range(CHOICES_OF_NAMES if seen_names < len(seen) else 1):
        columns = np.concatenate(
            [random.choice(seen, seen_names, replace=False), random.choice(unseen, unseen_names, replace=False)]
        )
        distances, labels = run.among(columns)
        nearest = NearestClasses.from_distances(distances, run.seen[columns])
        best = HarmonicMeans.over_betas(nearest, labels).means.max()
        for name, calibration in calibrations.items():
            metrics = gzsl_metrics(nearest, labels, calibration.beta)
            shown = calibrated(distances, run.seen[columns], calibration.beta)
            error = expected_calibration_error(shown, labels, calibration.temperature)
            yield (
                name,
                (best - metrics.HM, metrics.S, metrics.U, error.mean_confidence, error.accuracy, error.value),
            )


def main() -> None:
    """Print one line per numbers of names and calibration, averaged over the data seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0,1,2,3,4", help="seeds of the generated data")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=40, help="steps per epoch")
    parser.add_argument("--hidden", type=int, default=256, help="hidden width of the network")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows: dict[tuple[int, int, str], list[tuple[float, ...]]] = defaultdict(list)
    for seed in map(int, arguments.seeds.split(",")):
        run = trained(seed, epochs=arguments.epochs, steps=arguments.steps, hidden=arguments.hidden)
        for seen_names, unseen_names in (*MIXTURES, (int(run.seen.sum()), int((~run.seen).sum()))):
            for name, values in compared(run, seen_names, unseen_names):
                rows[seen_names, unseen_names, name].append(values)
        print(f"data seed {seed} done", flush=True)
    print("names     calibration   lost     S     U  conf.  acc.   ECE")
    for (seen_names, unseen_names, name), measured in rows.items():
        lost, s, u, *fractions = np.mean(measured, axis=0)
        shown = "".join(f"{value:7.3f}" for value in fractions)
        print(f"{seen_names:2d} + {unseen_names}   {name:12s} {lost:6.2f} {s:5.1f} {u:5.1f}{shown}")


if __name__ == "__main__":
    main()
