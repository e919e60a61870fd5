"""Claim: ridge regression and a plain MLP from averaged features to class vectors show how hard a dataset is.

These baselines stand next to the figures of DAAN. Each video becomes one vector: its audio and visual features,
averaged over the seconds, standardised and concatenated. An absent modality becomes zeros. A baseline maps this vector
to the class vector; the distance to a class is 1 minus the cosine. Everything else is as for DAAN: settings and beta
are chosen on validation videos, then the baseline is fitted to training and validation videos, and the test videos are
used once.

`python benchmarks/baselines.py WORKSPACE` prints the metrics for an extracted, imported or generated workspace, with
intervals of a bootstrap over classes. Other scripts import `table_of` and `measured`.
"""

import argparse
import functools
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.base.progress import SilentReporter
from pipeline.base.workspace import Workspace
from pipeline.features.feature_set import FeatureSet
from pipeline.scoring.calibration import HarmonicMeans
from pipeline.scoring.intervals import bootstrap_intervals
from pipeline.scoring.metrics import METRICS, Metrics, class_recalls, gzsl_metrics
from pipeline.scoring.nearest_classes import NearestClasses
from pipeline.settings.tree import Settings
from pipeline.training.inputs import gather_inputs

PENALTIES = tuple(10.0**exponent for exponent in range(-3, 4))  # of ridge regression, per video
HIDDEN = 256
EPOCHS = 30
LEAST_STEPS = 20  # in an epoch
BATCH = 128
SEEDS = (0, 1, 2)  # of the MLPs


@dataclass(frozen=True)
class Table:
    """Averaged features and the videos to fit, choose and test on. N videos, D both widths together, C classes."""

    features: Tensor  # (N, D)
    known: Tensor  # (N, D) bool; False for the features of an absent modality
    labels: Tensor  # (N,)
    vectors: Tensor  # (C, W)
    train: Tensor  # indices of videos, as in the fields below
    validation: Tensor
    retrain: Tensor  # what is fitted before the test
    test: Tensor

    def standardised(self, train: Tensor) -> Tensor:
        """Give every feature (N, D) mean 0 and deviation 1 over the training videos that have it."""
        count = self.known[train].sum(0).clamp_min(1)
        values = torch.where(self.known, self.features, 0)
        mean = values[train].sum(0) / count
        centred = torch.where(self.known, values - mean, 0)
        deviation = (centred[train].square().sum(0) / count).sqrt()
        return centred / torch.where(deviation > 1e-6, deviation, 1)

    def scored(self, predicted: Tensor, trained: Tensor, tested: Tensor) -> tuple[NearestClasses, NDArray[np.int64]]:
        """Compare predicted class vectors (M, W) of the tested videos (M,) with those of trained and tested classes.

        Returns:
            The nearest classes, and the labels (M,) as indices among the compared classes.
        """
        classes = torch.unique(self.labels[torch.cat((trained, tested))])
        seen = torch.isin(classes, self.labels[trained])
        cosines = nn.functional.normalize(predicted) @ nn.functional.normalize(self.vectors[classes]).T
        labels = torch.searchsorted(classes, self.labels[tested])
        return NearestClasses.from_distances(1 - cosines.numpy(), seen.numpy()), labels.numpy()


class Candidate(NamedTuple):
    """A fitted baseline with one setting (a penalty, or a number of epochs)."""

    setting: float
    predict: Callable[[Tensor], Tensor]  # standardised features (M, D) -> class vectors (M, W)


# Fits standardised features (M, D) to class vectors (M, W), with one setting after the other.
Baseline = Callable[[Tensor, Tensor], Iterator[Candidate]]


def ridge(features: Tensor, targets: Tensor) -> Iterator[Candidate]:
    """Fit ridge regression with an intercept in closed form, for every penalty."""
    mean = targets.mean(0)
    values, axes = torch.linalg.eigh((features.T @ features).double() / len(features))
    along = axes.T @ (features.T @ (targets - mean)).double() / len(features)
    for penalty in PENALTIES:
        weights = (axes @ (along / (values.clamp_min(0) + penalty)[:, None])).float()
        yield Candidate(penalty, functools.partial(torch.addmm, mean, mat2=weights))


def mlp(loss: Callable[[Tensor, Tensor], Tensor], seed: int = 0) -> Baseline:
    """Make a baseline with one hidden layer, trained with Adam.

    Args:
        loss: the loss of predicted and true class vectors (M, W).
        seed: seed of weights, dropout and batches.
    """

    def fit(features: Tensor, targets: Tensor) -> Iterator[Candidate]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = nn.Sequential(
                nn.Linear(features.shape[1], HIDDEN), nn.ReLU(), nn.Dropout(0.5), nn.Linear(HIDDEN, targets.shape[1])
            )
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, weight_decay=1e-5)
        steps = max(LEAST_STEPS, -(-len(features) // BATCH))
        for epoch in range(1, EPOCHS + 1):
            with torch.random.fork_rng(devices=[]):  # each epoch has its own seed, whatever the caller draws
                torch.manual_seed(seed * (EPOCHS + 1) + epoch)
                network.train()
                for _ in range(steps):
                    rows = torch.randint(len(features), (BATCH,))
                    optimizer.zero_grad(set_to_none=True)
                    loss(network(features[rows]), targets[rows]).backward()  # type: ignore[no-untyped-call]
                    optimizer.step()
            network.eval()
            yield Candidate(epoch, torch.no_grad()(network))

    return fit


def squares(predicted: Tensor, targets: Tensor) -> Tensor:
    """Compute the mean squared distance of class vectors (M, W)."""
    return (predicted - targets).square().sum(1).mean()


def angles(predicted: Tensor, targets: Tensor) -> Tensor:
    """Compute the mean of 1 minus the cosine of class vectors (M, W)."""
    return (1 - nn.functional.cosine_similarity(predicted, targets)).mean()


BASELINES: Mapping[str, Callable[[int], Baseline]] = {  # name -> the baseline with a seed
    "ridge": lambda _: ridge,
    "MLP, mse": functools.partial(mlp, squares),
    "MLP, cosine": functools.partial(mlp, angles),
}


@dataclass(frozen=True)
class Result:
    """The test metrics of a baseline, with what they are computed from. M test videos."""

    metrics: Metrics
    setting: float
    nearest: NearestClasses
    labels: NDArray[np.int64]  # (M,)


def measured(table: Table, baseline: Baseline) -> Result:
    """Choose a setting and beta on the validation videos, fit the baseline again, and test it.

    Raises:
        ValueError: no validation videos.
    """
    if not len(table.validation):
        raise ValueError("there are no validation videos to choose a setting by")
    features = table.standardised(table.train)
    tried: list[tuple[tuple[float, ...], float, float]] = []  # validation metrics, setting, beta
    for candidate in baseline(features[table.train], table.vectors[table.labels[table.train]]):
        nearest, labels = table.scored(candidate.predict(features[table.validation]), table.train, table.validation)
        beta = HarmonicMeans.over_betas(nearest, labels).best_beta()
        metrics = gzsl_metrics(nearest, labels, beta)
        known = tuple(value for value in (metrics.HM, metrics.ZSL, metrics.S) if np.isfinite(value))
        tried.append((known, candidate.setting, beta))
    _, setting, beta = max(tried, key=lambda one: one[0])
    features = table.standardised(table.retrain)
    candidates = baseline(features[table.retrain], table.vectors[table.labels[table.retrain]])
    chosen = next(candidate for candidate in candidates if candidate.setting == setting)
    nearest, labels = table.scored(chosen.predict(features[table.test]), table.retrain, table.test)
    return Result(gzsl_metrics(nearest, labels, beta), setting, nearest, labels)


def table_of(
    features: FeatureSet, vectors: Tensor, *, train: Tensor, validation: Tensor, retrain: Tensor, test: Tensor
) -> Table:
    """Average the features of all videos over their seconds.

    Args:
        features: features of N videos.
        vectors: (C, W), the class vectors.
        train: indices of the videos that are fitted, as in the arguments below.
        validation: videos that choose settings and beta.
        retrain: videos that are fitted before the test.
        test: videos to test on.
    """
    widths = features.audio.shape[1], features.visual.shape[1]
    present = torch.stack((features.has_audio, features.has_visual), dim=1)  # (N, 2)
    means = averaged(features)
    rows = torch.cat((means.audio, means.visual), dim=1)[means.offsets].float()
    known = present.repeat_interleave(torch.tensor(widths), dim=1)
    return Table(rows, known, features.labels, vectors, train, validation, retrain, test)


def averaged(features: FeatureSet) -> FeatureSet:
    """Average the features of each video over its seconds, so that every video has one second."""
    videos = torch.arange(len(features.keys))
    first = features.offsets - (features.seconds.cumsum(0) - features.seconds)
    rows = torch.repeat_interleave(first, features.seconds) + torch.arange(int(features.seconds.sum()))
    owner = torch.repeat_interleave(videos, features.seconds)  # of each of these rows

    def means(values: Tensor) -> Tensor:
        sums = torch.zeros((len(videos), values.shape[1])).index_add_(0, owner, values[rows].float())
        return sums / features.seconds[:, None]

    return replace(
        features,
        audio=means(features.audio),
        visual=means(features.visual),
        offsets=videos,
        seconds=torch.ones_like(features.seconds),
    )


def table_of_workspace(workspace: Workspace) -> Table:
    """Read the features, splits and class embeddings of a workspace."""
    inputs = gather_inputs(workspace, Settings(), None, hold_out_anew=False, reporter=SilentReporter())
    return table_of(
        inputs.features,
        torch.from_numpy(inputs.embeddings.vectors),
        train=inputs.indices("train"),
        validation=inputs.indices("val_seen", "val_unseen"),
        retrain=inputs.indices("train", "val_seen", "val_unseen"),
        test=inputs.indices("test_seen", "test_unseen"),
    )


def main() -> None:
    """Print the metrics of all baselines on a workspace, mean over the seeds, with 95 % intervals over classes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path, help="folder of a workspace with features")
    table = table_of_workspace(Workspace(parser.parse_args().workspace))
    if not len(table.validation):
        parser.error("the workspace has no validation videos, which choose the settings of the baselines")
    results = {
        name: [measured(table, baseline(seed)) for seed in (SEEDS if name != "ridge" else SEEDS[:1])]
        for name, baseline in BASELINES.items()
    }
    nearest, labels = results["ridge"][0].nearest, results["ridge"][0].labels
    unseen, videos = int((~nearest.seen).sum()), int((~nearest.seen)[labels].sum())
    print(
        f"{len(labels)} test videos, {videos} of them of {unseen} unseen classes: chance of ZSL {100 / unseen:.1f} %\n"
    )
    print(f"| baseline | setting | {' | '.join(METRICS)} |")
    print("|-|-|" + "-|" * len(METRICS))
    for name, runs in results.items():
        intervals = bootstrap_intervals([class_recalls(one.nearest, one.labels, one.metrics.beta) for one in runs])
        cells = [
            f"{statistics.mean(getattr(run.metrics, metric) for run in runs):.1f} ({low:.0f} to {high:.0f})"
            for metric, (low, high) in intervals.items()
        ]
        print(f"| {name} | {', '.join(f'{run.setting:g}' for run in runs)} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
