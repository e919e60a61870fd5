"""Claim: below 1000 training videos the small network of `training.network: auto` is not worse than the paper's.

Generated, averaged data of 20 training classes with more and more videos per class. Both networks are trained with the
settings that `avzsl train` would choose. The epoch and beta are chosen on validation videos, and the figures are those
of test videos of training classes and of unseen classes. A difference is small minus paper, with its 95 % interval over
the data seeds. `ratio` is the processor time of the paper's network, divided by that of the small one.

Each finished run is appended to a file (--results), and is not repeated: the same command goes on where it was stopped.
"""

import argparse
import statistics
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from baselines import BASELINES, averaged, measured, table_of
from runs import Data, Results, interval, numbers, trained

from pipeline.avgzsl_benchmark.synthetic.generate import synthetic_benchmark
from pipeline.avgzsl_benchmark.synthetic.recipe import RECIPES, SyntheticRecipe
from pipeline.avgzsl_benchmark.synthetic.shapes import Shape
from pipeline.base.files import fingerprint
from pipeline.settings.tree import load_settings
from pipeline.training.network_size import with_network_size

NETWORKS = ("small", "paper")
CLASSES, VAL_UNSEEN, TEST_UNSEEN = 20, 8, 8


@dataclass(frozen=True)
class Task:
    """One run: a network (or the baseline `ridge`) on the data of a seed with a number of training videos."""

    network: str
    videos: int
    data_seed: int
    recipe: str

    @property
    def key(self) -> str:
        """A name that only equal runs have."""
        return fingerprint([asdict(self), CLASSES, VAL_UNSEEN, TEST_UNSEEN])


def data_of(task: Task) -> Data:
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
    made = synthetic_benchmark(shape, replace(RECIPES[task.recipe], seed=task.data_seed))
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
        table = table_of(
            data.features,
            data.vectors,
            train=data.train,
            validation=data.validation,
            retrain=data.train,
            test=data.test,
        )
        metrics = measured(table, BASELINES[task.network](0)).metrics
    else:
        settings = with_network_size(load_settings(assignments=[f"training.network={task.network}"]), task.videos)
        config = replace(
            settings.daan,
            audio_width=SyntheticRecipe.audio_width,
            visual_width=SyntheticRecipe.visual_width,
            text_width=data.vectors.shape[1],
        )
        training = replace(settings.training, checkpoint_minutes=1e9)
        _, epochs = trained(config, training, data, torch.device("cpu"))
        metrics = max(reversed(epochs), key=lambda one: one[0].validation_metric)[1]
    seconds = round(time.process_time() - began, 2)
    return {"key": task.key, **asdict(task), "HM": metrics.HM, "ZSL": metrics.ZSL, "seconds": seconds}


def main() -> None:
    """Do the missing runs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("network_size.jsonl"), help="file of finished runs")
    parser.add_argument("--videos", type=int, nargs="+", default=[60, 200, 600, 1000, 2000, 4000])
    parser.add_argument("--seeds", type=numbers, default=numbers("0-4"), help="data seeds")
    parser.add_argument("--recipe", default="plain", choices=list(RECIPES), help="recipe of `avzsl prepare synthetic`")
    parser.add_argument("--jobs", type=int, default=2, help="number of processes")
    given = parser.parse_args()
    methods = (*NETWORKS, "ridge")
    tasks = {
        (method, videos, seed): Task(method, videos, seed, given.recipe)
        for videos in given.videos
        for seed in given.seeds
        for method in methods
    }
    results = Results(given.results)
    results.finish(list(tasks.values()), given.jobs, run)
    print(f"\nTest metrics over {len(given.seeds)} data seeds; chance of ZSL is {100 / TEST_UNSEEN:.1f}\n")
    columns = [f"{metric}, {method}" for metric in ("HM", "ZSL") for method in methods]
    print(
        f"| videos | {' | '.join(columns)} | HM, difference | ZSL, difference | ratio |\n|{'-|' * (len(columns) + 4)}"
    )
    for videos in given.videos:
        found = {method: [results[tasks[method, videos, seed]] for seed in given.seeds] for method in methods}
        means = [
            f"{statistics.mean(one[metric] for one in found[method]):.1f}"
            for metric in ("HM", "ZSL")
            for method in methods
        ]
        differences = [
            interval([a[metric] - b[metric] for a, b in zip(found["small"], found["paper"], strict=True)])
            for metric in ("HM", "ZSL")
        ]
        small, paper = (sum(one["seconds"] for one in found[network]) for network in NETWORKS)
        print(f"| {videos} | {' | '.join([*means, *differences])} | {paper / small:.0f} |")


if __name__ == "__main__":
    main()
