"""Claim: the small network of `training.network: auto` needs at most a twentieth of the time of the paper's network.

It also prints what that costs in HM and ZSL: nothing that shows on the sample videos, much on generated data.

Generated, averaged data of 20 training classes has more and more videos per class. With --workspace FOLDER the data is
that of an extracted workspace, with other classes held out for each data seed. All networks are trained with the
settings that `avzsl train` would choose. The epoch and beta are chosen on validation videos, and the figures are those
of test videos of training classes and of unseen classes. A difference is the small network minus another one, with its
95 % interval over the data seeds; the last column is the processor time of the other one, divided by that of the small
one.

Each finished run is appended to a file (--results), and is not repeated: the same command goes on where it was stopped.
"""

import argparse
import statistics
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from baselines import BASELINES, averaged
from runs import Data, Results, baseline, interval, numbers, trained

from daan.config import DaanConfig
from pipeline.avgzsl_benchmark.synthetic.generate import synthetic_benchmark
from pipeline.avgzsl_benchmark.synthetic.recipe import RECIPES
from pipeline.avgzsl_benchmark.synthetic.shapes import Shape
from pipeline.base.files import fingerprint
from pipeline.base.progress import SilentReporter
from pipeline.base.workspace import Workspace
from pipeline.settings.tree import load_settings
from pipeline.training.inputs import gather_inputs
from pipeline.training.network_size import with_network_size

NETWORKS: Mapping[str, tuple[str, ...]] = {
    "small": ("training.network=small",),
    "small, margin 1, input dropout": ("training.network=small", "daan.margin=1", "daan.input_dropout=0.5"),
    "paper": ("training.network=paper",),
}
METRICS = ("HM", "ZSL")
CLASSES, VAL_UNSEEN, TEST_UNSEEN = 20, 8, 8


@dataclass(frozen=True)
class Task:
    """One run: a network (or a baseline) on the data of a seed."""

    network: str
    videos: int  # training videos; 0 for those of the workspace
    data_seed: int
    source: str  # a recipe, or the folder of a workspace

    @property
    def key(self) -> str:
        """A name that only equal runs have."""
        options = [*NETWORKS.get(self.network, ()), str(DaanConfig.small)]
        return fingerprint([asdict(self), options, CLASSES, VAL_UNSEEN, TEST_UNSEEN])


def data_of(task: Task) -> Data:
    """Generate averaged data, or read a workspace and hold out classes."""
    return generated(task) if task.videos else held_out_anew(Path(task.source), task.data_seed)


def held_out_anew(folder: Path, seed: int) -> Data:
    """Read a workspace, and hold out the classes that this seed draws. Nothing is trained on validation classes."""
    settings = load_settings(assignments=[f"holdout.seed={seed}"])
    inputs = gather_inputs(Workspace(folder), settings, None, hold_out_anew=True, reporter=SilentReporter())
    train, test, labels = inputs.indices("train"), inputs.indices("test_seen"), inputs.features.labels
    return Data(
        features=inputs.features,
        vectors=torch.from_numpy(inputs.embeddings.vectors),
        train=train,
        validation=inputs.indices("val_seen", "val_unseen"),
        test=torch.cat((test[torch.isin(labels[test], labels[train])], inputs.indices("test_unseen"))),
    )


def generated(task: Task) -> Data:
    """Generate averaged data. There are more validation videos if there are more training videos."""
    shape = Shape(
        train_classes=CLASSES,
        val_unseen_classes=VAL_UNSEEN,
        test_unseen_classes=TEST_UNSEEN,
        train=task.videos,
        val_seen=max(CLASSES, task.videos // 10),
        val_unseen=max(VAL_UNSEEN, task.videos // 5),
        test_seen=(CLASSES + VAL_UNSEEN) * 10,
        test_unseen=TEST_UNSEEN * 40,
        seconds=(3, 8),
    )
    made = synthetic_benchmark(shape, replace(RECIPES[task.source], seed=task.data_seed))
    features, splits = made.features, made.splits.by_name
    train, test = features.indices(splits["train"]), features.indices(splits["test_seen"])
    return Data(
        features=averaged(features),
        vectors=torch.from_numpy(made.class_vectors),
        train=train,
        validation=features.indices([*splits["val_seen"], *splits["val_unseen"]]),
        test=torch.cat(
            (test[torch.isin(features.labels[test], features.labels[train])], features.indices(splits["test_unseen"]))
        ),
    )


def run(task: Task) -> dict[str, Any]:
    """Do one run and return its figures."""
    torch.set_num_threads(1)
    data = data_of(task)
    began = time.process_time()  # other processes may compute at the same time
    if task.network in BASELINES:
        metrics = baseline(task.network, data, data.test)
    else:
        settings = with_network_size(load_settings(assignments=NETWORKS[task.network]), len(data.train))
        config = replace(
            settings.daan,
            audio_width=data.features.audio.shape[-1],
            visual_width=data.features.visual.shape[-1],
            text_width=data.vectors.shape[1],
        )
        training = replace(settings.training, checkpoint_minutes=1e9)
        _, epochs = trained(config, training, data, torch.device("cpu"))
        metrics = max(reversed(epochs), key=lambda one: one[0].validation_metric)[1]
    seconds = round(time.process_time() - began, 2)
    return {
        "key": task.key,
        **asdict(task),
        "trained": len(data.train),
        **{name: getattr(metrics, name) for name in METRICS},
        "seconds": seconds,
    }


def main() -> None:
    """Do the missing runs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("network_size.jsonl"), help="file of finished runs")
    parser.add_argument("--videos", type=int, nargs="+", default=[60, 250, 1000, 4000])
    parser.add_argument("--seeds", type=numbers, default=numbers("0-4"), help="data seeds")
    parser.add_argument("--recipe", default="plain", choices=list(RECIPES), help="recipe of `avzsl prepare synthetic`")
    parser.add_argument("--workspace", help="folder of an extracted workspace, instead of generated data")
    parser.add_argument("--jobs", type=int, default=2, help="number of processes")
    given = parser.parse_args()
    methods = (*NETWORKS, *BASELINES)
    amounts = [0] if given.workspace else given.videos
    tasks = {
        (method, videos, seed): Task(method, videos, seed, given.workspace or given.recipe)
        for videos in amounts
        for seed in given.seeds
        for method in methods
    }
    results = Results(given.results)
    results.finish(list(tasks.values()), given.jobs, run)
    print(f"\nTest metrics over {len(given.seeds)} data seeds\n")
    print(f"| training videos | method | HM | ZSL | HM, small - this | ZSL, small - this | time |\n|{'-|' * 7}")
    for videos in amounts:
        small = [results[tasks["small", videos, seed]] for seed in given.seeds]
        for method in methods:
            found = [results[tasks[method, videos, seed]] for seed in given.seeds]
            means = [f"{statistics.mean(one[metric] for one in found):.1f}" for metric in METRICS]
            differences = [
                interval([a[metric] - b[metric] for a, b in zip(small, found, strict=True)]) for metric in METRICS
            ]
            ratio = sum(one["seconds"] for one in found) / sum(one["seconds"] for one in small)
            cells = [*means, *(differences if method != "small" else ("", "")), f"{ratio:.1f}"]
            print(f"| {found[0]['trained']} | {method} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
