"""Claim: beta and temperature from validation fit the network of stage 2, for all names and for a few of them.

Stage 1 validates one network; stage 2 trains another one, on more classes. For every data seed this script trains a run
on generated data and compares, on the test videos, the exact optimum of validation (`exact`) with what avzsl stores
(`lasting`: smoothed and shrunk) and, for a few seen and unseen names, with what it derives for their numbers
(`derived`). `lost` is the HM below that of the best beta for the test videos themselves. With --workspace FOLDER, the
extracted sample videos are trained instead, with other classes held out for each seed.

`unsure` is the share of the test videos that `predict` calls unsure if their class is among the names; `absent` is the
share if it is not, and AUROC says how well the distance to the nearest name tells the two cases apart. The tables stand
in pipeline/scoring/README.md.
"""

import argparse
import dataclasses
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from runs import interval, numbers

from pipeline.avgzsl_benchmark.synthetic.generate import synthetic_benchmark
from pipeline.avgzsl_benchmark.synthetic.recipe import SyntheticRecipe
from pipeline.avgzsl_benchmark.synthetic.shapes import SHAPES
from pipeline.avgzsl_benchmark.synthetic.workspace import write_benchmark
from pipeline.base.progress import SilentReporter
from pipeline.base.workspace import Workspace
from pipeline.datasets.splits.splits import parse_splits
from pipeline.features.feature_set import load_features
from pipeline.scoring.calibration import HarmonicMeans, best_temperature, calibrated, lasting_beta
from pipeline.scoring.held_out import Calibration, HeldOutDistances
from pipeline.scoring.metrics import expected_calibration_error, gzsl_metrics
from pipeline.scoring.nearest_classes import Floats, NearestClasses
from pipeline.scoring.score_videos import score_videos
from pipeline.settings.tree import Settings, load_settings
from pipeline.training.train import train
from pipeline.training.trained_model import load_model

CPU = torch.device("cpu")
MIXTURES = ((1, 5), (5, 5), (5, 1), (20, 4))  # seen and unseen names
SMALL_MIXTURES = ((1, 5), (5, 3), (5, 1))
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


def trained_on_clips(folder: Path, seed: int) -> Run:
    """Train on the videos of an extracted workspace, with the settings of the demo and other classes held out."""
    with tempfile.TemporaryDirectory() as copy:
        workspace = Workspace(Path(copy) / "workspace")
        shutil.copytree(folder, workspace.root, ignore=shutil.ignore_patterns("models", "reports"))
        options = {"holdout.anew": True, "holdout.seed": seed}
        return run_of(workspace, load_settings(preset="sample", options=options))


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
        return run_of(workspace, load_settings(preset="ucf", options=options))


def run_of(workspace: Workspace, settings: Settings) -> Run:
    """Train, and score the test videos."""
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
            found = (best - metrics.HM, metrics.S, metrics.U, error.mean_confidence, error.accuracy, error.value)
            yield name, (*found, *unsure(shown, labels, calibration.farthest))


def unsure(shown: Floats, labels: NDArray[np.int64], farthest: float | None) -> tuple[float, float, float]:
    """Compute the share of unsure videos, the same without their class among the names, and the AUROC.

    Args:
        shown: (M, K) calibrated distances.
        labels: (M,) true classes.
        farthest: distance that makes a video unsure; None gives NaN.
    """
    if farthest is None or shown.shape[1] < 3:  # without the true class there must be two names
        return (float("nan"),) * 3
    others = shown.copy()
    others[np.arange(len(labels)), labels] = np.inf
    present, absent = shown.min(axis=1), others.min(axis=1)
    above = (absent[:, None] > present).mean() + (absent[:, None] == present).mean() / 2
    return float((present > farthest).mean()), float((absent > farthest).mean()), float(above)


def main() -> None:
    """Print one line per numbers of names and calibration: means over the data seeds, and the HM won over `exact`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--seeds", type=numbers, default=numbers("0-4"), help="seeds of the data or of the held-out classes"
    )
    parser.add_argument("--workspace", type=Path, help="extracted sample videos, instead of generated data")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=40, help="steps per epoch")
    parser.add_argument("--hidden", type=int, default=256, help="hidden width of the network")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows: dict[tuple[int, int, str], list[NDArray[np.float64]]] = defaultdict(list)  # one entry per seed
    for seed in given.seeds:
        if given.workspace:
            run = trained_on_clips(given.workspace, seed)
        else:
            run = trained(seed, epochs=given.epochs, steps=given.steps, hidden=given.hidden)
        mixtures = SMALL_MIXTURES if given.workspace else MIXTURES
        for seen_names, unseen_names in (*mixtures, (int(run.seen.sum()), int((~run.seen).sum()))):
            of_seed: dict[str, list[tuple[float, ...]]] = defaultdict(list)
            for name, values in compared(run, seen_names, unseen_names):
                of_seed[name].append(values)
            for name, values_of_choices in of_seed.items():
                rows[seen_names, unseen_names, name].append(np.mean(values_of_choices, axis=0))
        print(f"seed {seed} done", flush=True)
    print("names     calibration   lost     S     U  conf.  acc.   ECE  unsure absent AUROC  won over exact")
    for (seen_names, unseen_names, name), measured in rows.items():
        lost, s, u, *fractions = np.mean(measured, axis=0)
        shown = "".join(f"{value:7.3f}" for value in fractions)
        exact = rows[seen_names, unseen_names, "exact"]
        won = interval([float(one[0] - other[0]) for one, other in zip(exact, measured, strict=True)])
        print(f"{seen_names:2d} + {unseen_names}   {name:12s} {lost:6.2f} {s:5.1f} {u:5.1f}{shown}  {won}")


if __name__ == "__main__":
    main()
