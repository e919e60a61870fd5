"""Claim: the table in daan/README.md says which part of the training makes DAAN forget unseen classes.

DAAN trains on averaged data of UCF's shape, as in training_holds.py, but with one learning rate and without a return to
the best weights. One thing at a time is changed (METHODS). After the first validation and after the last one, the table
shows the accuracy on the videos of the unseen classes (validation and test), among these classes, as mean over the data
seeds and with the change:

- `network`: to the nearest theta_w, the ZSL of the network.
- `linear text`: to the nearest linear prediction of theta_w. Ridge regression from class vectors to theta_w is fitted
  to the training classes. If this stays while `network` falls, the projection of text forgets.
- `class means`: to the nearest mean of theta_a and theta_v, over one half of the class's videos; tested on the other
  half. It needs no text. If this falls, the encoders forget what tells unseen classes apart.

The last column compares the fall of `network` with that of the method without the change, on the same data. Ridge
regression and plain MLPs, which are not trained in steps, stand beside it.

Each finished run is appended to a file (--results), and is not repeated: the same command goes on where it was stopped.
"""

import argparse
import statistics
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from baselines import BASELINES
from runs import Data, Results, baseline, interval, numbers, trained
from torch import Tensor, nn
from training_holds import data_of

from daan.dropout import Dropout
from daan.losses import Embeddings
from daan.network import Daan
from pipeline.base.files import fingerprint
from pipeline.settings.tree import load_settings
from pipeline.training.epoch import PairSampler


@dataclass(frozen=True)
class Method:
    """What is changed in the preset ucf, and the method to compare it with.

    Attributes:
        daan: options of DaanConfig.
        training: settings of the training.
        patch: name of an entry of PATCHES, for a change that no option makes.
        without: the method without the change; empty if there is none.
    """

    daan: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    patch: str = ""
    without: str = ""


BASE = {"qdma": "off", "csgm": "off"}
PLAIN = {**BASE, "input_dropout": 0.0}
REFERENCE = "base, no input dropout"
METHODS: Mapping[str, Method] = {
    "preset ucf, no input dropout": Method({"input_dropout": 0.0}),
    "preset ucf": Method(without="preset ucf, no input dropout"),
    REFERENCE: Method(PLAIN),
    "base": Method(BASE, without=REFERENCE),
    "capacity: H 256": Method({**PLAIN, "hidden_width": 256}, without=REFERENCE),
    "capacity: H 128, O 64": Method({**PLAIN, "hidden_width": 128, "output_width": 64}, without=REFERENCE),
    "dropout 0.5 in encoders and projections": Method(
        {**PLAIN, "encoder_dropout": 0.5, "projection_dropout": 0.5}, without=REFERENCE
    ),
    "no dropout": Method(
        {**PLAIN, "encoder_dropout": 0.0, "projection_dropout": 0.0, "decoder_dropout": 0.0}, without=REFERENCE
    ),
    "learning rate 1e-4": Method(PLAIN, {"learning_rate": 1e-4}, without=REFERENCE),
    "weight decay 1e-3": Method(PLAIN, {"weight_decay": 1e-3}, without=REFERENCE),
    "without L_r": Method(PLAIN, patch="without L_r", without=REFERENCE),
    "no BatchNorm in the projections": Method(PLAIN, patch="no BatchNorm in the projections", without=REFERENCE),
    "negatives of the nearest classes": Method(PLAIN, patch="near negatives", without=REFERENCE),
}
PROBES = ("network", "linear text", "class means")
PENALTY = 1.0  # of ridge regression; class vectors have length 1


@dataclass(frozen=True)
class Task:
    """One run."""

    method: str
    data_seed: int
    pairs: int
    steps: int
    benchmark: str | None

    @property
    def key(self) -> str:
        """A name that only equal runs have."""
        method = METHODS.get(self.method)
        return fingerprint([asdict(self), method and [dict(method.daan), dict(method.training), method.patch]])


def zero_regularisation(positive: Embeddings) -> Tensor:
    """Return an L_r (eq. 11) that pulls nothing."""
    return positive.theta_a.sum() * 0


def unnormalised_projection(input_width: int, output_width: int, *, dropout: float) -> nn.Sequential:
    """Build a projection like `daan.network.projection`, without its BatchNorm."""
    return nn.Sequential(nn.Linear(input_width, output_width), nn.ReLU(), Dropout(dropout))


class NearNegatives(PairSampler):
    """Draws each negative from one of the five training classes whose vectors are nearest to the positive's class."""

    nearest: Tensor  # (K, 5), among the K classes of the training videos

    def draw(self, pairs: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw positives and negatives."""
        positive = torch.randint(self._classes, (pairs,), generator=generator)
        choice = torch.randint(self.nearest.shape[1], (pairs,), generator=generator)
        return self._video_of(positive, generator), self._video_of(self.nearest[positive, choice], generator)


def nearest_classes(data: Data) -> Tensor:
    """Find the five nearest other training classes of each training class, (K, 5)."""
    vectors = F.normalize(data.vectors[torch.unique(data.features.labels[data.train])])
    return (vectors @ vectors.T).fill_diagonal_(-2).topk(5).indices


PATCHES = {
    "without L_r": ("daan.losses.regularisation_loss", zero_regularisation),
    "no BatchNorm in the projections": ("daan.network.projection", unnormalised_projection),
    "near negatives": ("pipeline.training.fitting.PairSampler", NearNegatives),
}


def run(task: Task) -> dict[str, Any]:
    """Train and return the accuracies by probe, after the first validation and after the last one."""
    torch.set_num_threads(1)
    data = data_of(task.data_seed, task.benchmark)
    if task.method in BASELINES:
        held_out = torch.cat((data.validation, data.test))
        zsl = baseline(task.method, data, held_out).ZSL
        return {"key": task.key, **asdict(task), "first": {"network": zsl}, "last": {"network": zsl}}
    method = METHODS[task.method]
    settings = load_settings(
        preset="ucf",
        assignments=[
            "training.epochs=1",
            f"training.steps_per_epoch={task.steps}",
            f"training.batch_pairs={task.pairs}",
            "training.patience_steps=1000000",
        ],
    )
    config = replace(settings.daan, text_width=data.vectors.shape[1], **method.daan)
    training = replace(settings.training, checkpoint_minutes=1e9, **method.training)
    probed: list[dict[str, float]] = []
    NearNegatives.nearest = nearest_classes(data)
    with mock.patch(*PATCHES[method.patch]) if method.patch else nullcontext():
        trained(config, training, data, torch.device("cpu"), lambda network: probed.append(probe(network, data)))
    return {"key": task.key, **asdict(task), "first": probed[0], "last": probed[-1]}


@torch.no_grad()
def probe(network: Daan, data: Data) -> dict[str, float]:
    """Compute the accuracy of each probe on the videos of unseen classes, in percent."""
    network.eval()
    labels, vectors = data.features.labels, data.vectors
    trained_classes = torch.unique(labels[data.train])
    held_out = torch.cat((data.validation, data.test))
    videos = held_out[~torch.isin(labels[held_out], trained_classes)]
    unseen, truth = torch.unique(labels[videos], return_inverse=True)
    batch = data.features.batch(videos, data.features.statistics(data.train), torch.device("cpu"))
    embedded = network.embed_videos(batch)
    audio, visual = embedded["audio"], embedded["visual"]
    theta_w = network.embed_classes(vectors)
    network.train()

    def accuracy(classes: tuple[Tensor, Tensor], rows: Tensor) -> float:
        distances = torch.cdist(audio[rows], classes[0]) + torch.cdist(visual[rows], classes[1])
        hits = (distances.argmin(1) == truth[rows]).double()
        return 100 * statistics.mean(float(hits[truth[rows] == one].mean()) for one in range(len(unseen)))

    every = torch.arange(len(videos))
    fitted, wanted = vectors[trained_classes].double(), theta_w[trained_classes].double()
    centre, offset = fitted.mean(0), wanted.mean(0)
    gram = (fitted - centre).T @ (fitted - centre) + PENALTY * torch.eye(len(centre), dtype=torch.double)
    weights = torch.linalg.solve(gram, (fitted - centre).T @ (wanted - offset))
    linear = ((vectors[unseen].double() - centre) @ weights + offset).float()
    means = [
        torch.stack([theta[0::2][truth[0::2] == one].mean(0) for one in range(len(unseen))])
        for theta in (audio, visual)
    ]
    return {
        "network": accuracy((theta_w[unseen], theta_w[unseen]), every),
        "linear text": accuracy((linear, linear), every),
        "class means": accuracy((means[0], means[1]), every[1::2]),
    }


def main() -> None:
    """Do the missing runs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("what_forgets.jsonl"), help="file of finished runs")
    parser.add_argument("--seeds", type=numbers, default=numbers("10-13"), help="data seeds")
    parser.add_argument("--benchmark", help="folder of the official class splits and class vectors")
    parser.add_argument("--jobs", type=int, default=2, help="number of processes")
    parser.add_argument("--pairs", type=int, default=128, help="pairs in a batch")
    parser.add_argument("--steps", type=int, default=1200, help="steps of the training")
    given = parser.parse_args()
    tasks = {
        (method, seed): Task(method, seed, given.pairs, given.steps, given.benchmark)
        for method in (*METHODS, *BASELINES)
        for seed in given.seeds
    }
    results = Results(given.results)
    results.finish(list(tasks.values()), given.jobs, run)

    def changes(method: str, probe: str = "network") -> list[float]:
        found = [results[tasks[method, seed]] for seed in given.seeds]
        return [one["last"][probe] - one["first"][probe] for one in found]

    def first(method: str, probe: str = "network") -> str:
        return f"{statistics.mean(results[tasks[method, seed]]['first'][probe] for seed in given.seeds):.1f}"

    print(f"\nAccuracy on videos of unseen classes at step 100, and its change until step {given.steps}\n")
    print(f"| method | {' | '.join(PROBES)} | change of network, compared |\n|{'-|' * (2 + len(PROBES))}")
    for method, changed in METHODS.items():
        cells = [f"{first(method, name)}, then {interval(changes(method, name))}" for name in PROBES]
        pairs = zip(changes(method), changes(changed.without), strict=True) if changed.without else ()
        compared = [one - other for one, other in pairs]
        print(f"| {method} | {' | '.join(cells)} | {interval(compared) if compared else ''} |")
    for name in BASELINES:
        print(f"| {name} | {first(name)} | | | |")


if __name__ == "__main__":
    main()
