"""Claim: in long training at one learning rate, input dropout keeps the accuracy on unseen classes from falling.

DAAN trains on averaged data of UCF's shape, as in training_holds.py, but with one learning rate and without a return to
the best weights. After the first validation and after the last one, the table shows the accuracy on the videos of the
unseen classes (validation and test), among these classes, as mean over the data seeds and with the change:

- `network`: to the nearest theta_w, the ZSL of the network.
- `linear text`: to the nearest linear prediction of theta_w. Ridge regression from class vectors to theta_w is fitted
  to the training classes. If this stays while `network` falls, the projection of text forgets.
- `class means`: to the nearest mean of theta_a and theta_v, over one half of the class's videos; tested on the other
  half. It needs no text. If this falls, the encoders forget what tells unseen classes apart.

Each finished run is appended to a file (--results), and is not repeated: the same command goes on where it was stopped.
"""

import argparse
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from runs import Data, Results, interval, numbers, trained
from torch import Tensor
from training_holds import data_of

from daan.network import Daan
from pipeline.base.files import fingerprint
from pipeline.settings.tree import load_settings

METHODS: Mapping[str, Mapping[str, Any]] = {
    f"{name}{dropped}": {**options, **without}
    for name, options in (("preset ucf", {}), ("base", {"qdma": "off", "csgm": "off"}))
    for dropped, without in ((", no input dropout", {"input_dropout": 0.0}), ("", {}))
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
        return fingerprint([asdict(self), dict(METHODS[self.method])])


def run(task: Task) -> dict[str, Any]:
    """Train and return the accuracies by probe, after the first validation and after the last one."""
    torch.set_num_threads(1)
    data = data_of(task.data_seed, task.benchmark)
    settings = load_settings(
        preset="ucf",
        assignments=[
            "training.epochs=1",
            f"training.steps_per_epoch={task.steps}",
            f"training.batch_pairs={task.pairs}",
            "training.patience_steps=1000000",
        ],
    )
    config = replace(settings.daan, text_width=data.vectors.shape[1], **METHODS[task.method])
    training = replace(settings.training, checkpoint_minutes=1e9)
    probed: list[dict[str, float]] = []
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
    audio, visual = network.embed_videos(batch)
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
        for method in METHODS
        for seed in given.seeds
    }
    results = Results(given.results)
    results.finish(list(tasks.values()), given.jobs, run)
    print(f"\nAccuracy on videos of unseen classes at step 100, and its change until step {given.steps}\n")
    print(f"| method | {' | '.join(PROBES)} |\n|{'-|' * (1 + len(PROBES))}")
    for method in METHODS:
        runs = [results[tasks[method, seed]] for seed in given.seeds]
        cells = [
            f"{statistics.mean(one['first'][name] for one in runs):.1f}, then "
            f"{interval([one['last'][name] - one['first'][name] for one in runs])}"
            for name in PROBES
        ]
        print(f"| {method} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
