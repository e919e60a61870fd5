"""Claim: within its first 1200 steps, DAAN with the preset ucf does not fall below its own best, apart from noise.

The data is generated in UCF's shape, averaged to one vector per video; --benchmark DIR uses the official class vectors.
The network has the published widths. Each method trains for the same number of steps and is validated after every
period. The table shows HM on the validation videos at the best period, over the last three periods, and their
difference, as mean and 95 % interval over the data seeds, and HM and ZSL of the test videos. The best of many noisy
values is above their mean: `noise` is how far the best of as many values would be above the mean of three if nothing
changed during training. Ridge regression and a plain MLP stand next to them.

Each finished run is appended to a file (--results), and is not repeated: the same command goes on where it was stopped.
"""

import argparse
import functools
import statistics
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from baselines import BASELINES, averaged, measured, table_of
from runs import Data, Results, interval, numbers, trained

from daan.config import DaanConfig
from pipeline.avgzsl_benchmark.synthetic.generate import synthetic_benchmark
from pipeline.avgzsl_benchmark.synthetic.prepare import official_benchmark
from pipeline.avgzsl_benchmark.synthetic.recipe import SyntheticRecipe
from pipeline.base.files import fingerprint
from pipeline.settings.tree import load_settings

METHODS: Mapping[str, Mapping[str, Any]] = {
    "preset ucf": {},
    "preset ucf without input dropout": {"input_dropout": 0.0},
    "preset ucf without CSGM": {"csgm": "off"},
    "base, without QDMA and CSGM": {"qdma": "off", "csgm": "off"},
}
LAST = 3  # periods


@dataclass(frozen=True)
class Task:
    """One run."""

    method: str
    data_seed: int
    pairs: int
    periods: int
    steps: int  # per period
    benchmark: str | None

    @property
    def key(self) -> str:
        """A name that only equal runs have."""
        return fingerprint([asdict(self), dict(METHODS.get(self.method, {}))])


@functools.lru_cache(maxsize=1)
def data_of(seed: int, benchmark: str | None) -> Data:
    """Generate averaged data of a seed."""
    recipe = SyntheticRecipe(seed=seed)
    made = official_benchmark("ucf", Path(benchmark), recipe) if benchmark else synthetic_benchmark("ucf", recipe)
    splits, features = made.splits.by_name, made.features
    return Data(
        features=averaged(features),
        vectors=torch.from_numpy(made.class_vectors),
        train=features.indices(splits["train"]),
        validation=features.indices([*splits["val_seen"], *splits["val_unseen"]]),
        test=features.indices(splits["test_unseen"]),
    )


def run(task: Task) -> dict[str, Any]:
    """Do one run and return the metrics of its periods."""
    torch.set_num_threads(1)
    began = time.process_time()
    data = data_of(task.data_seed, task.benchmark)
    figures = baseline(task, data) if task.method in BASELINES else curves_of(task, data)
    return {"key": task.key, **asdict(task), **figures, "seconds": round(time.process_time() - began)}


def baseline(task: Task, data: Data) -> dict[str, Any]:
    """Fit a baseline, choose its setting on the validation videos, and return the metrics of these videos."""
    table = table_of(
        data.features,
        data.vectors,
        train=data.train,
        validation=data.validation,
        retrain=data.train,
        test=data.validation,
    )
    metrics = measured(table, BASELINES[task.method](0)).metrics
    return {"HM": [metrics.HM], "ZSL": [metrics.ZSL]}


def curves_of(task: Task, data: Data) -> dict[str, Any]:
    """Train DAAN and return the validation metrics of every period."""
    settings = load_settings(
        preset="ucf",
        assignments=[
            f"training.epochs={task.periods}",
            f"training.steps_per_epoch={task.steps}",
            "training.validations_per_epoch=1",
            f"training.batch_pairs={task.pairs}",
        ],
    )
    text_width = data.vectors.shape[1]
    config: DaanConfig = replace(settings.daan, text_width=text_width, **METHODS[task.method])
    training = replace(settings.training, checkpoint_minutes=1e9)
    history = trained(config, training, data, torch.device("cpu"))[0].history
    return {metric: [round(getattr(row, metric), 2) for row in history] for metric in ("HM", "ZSL")}


def excess_of_noise(curves: list[list[float]]) -> float:
    """Compute how far the best of P values is above the mean of the last three if only noise changes them.

    The noise comes from the second differences of the curves, in which a steady rise or fall cancels: their variance is
    six times that of the noise.
    """
    second = np.concatenate([np.diff(curve, 2) for curve in curves])
    deviation = float(np.sqrt(np.mean(second**2) / 6))
    draws = np.random.default_rng(0).standard_normal((20_000, len(curves[0])))
    return deviation * float((draws.max(axis=1) - draws[:, -LAST:].mean(axis=1)).mean())


def main() -> None:
    """Do the missing runs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("training_holds.jsonl"), help="file of finished runs")
    parser.add_argument("--seeds", type=numbers, default=numbers("10-14"), help="data seeds")
    parser.add_argument("--benchmark", help="folder of the official class splits and class vectors")
    parser.add_argument("--jobs", type=int, default=2, help="number of processes")
    parser.add_argument("--pairs", type=int, default=256, help="pairs in a batch")
    parser.add_argument("--periods", type=int, default=12, help="number of validations")
    parser.add_argument("--steps", type=int, default=100, help="steps between two validations")
    given = parser.parse_args()
    methods = [*METHODS, *BASELINES]
    tasks = {
        (method, seed): Task(method, seed, given.pairs, given.periods, given.steps, given.benchmark)
        for seed in given.seeds
        for method in methods
    }
    results = Results(given.results)
    results.finish(list(tasks.values()), given.jobs, run)
    print(f"\nValidation HM over {len(given.seeds)} data seeds\n")
    print("| method | first | best | last | best - last | noise | ZSL, last |\n|-|-|-|-|-|-|-|")
    for method in methods:
        curves = [results[tasks[method, seed]]["HM"] for seed in given.seeds]
        zsl = [statistics.mean(results[tasks[method, seed]]["ZSL"][-LAST:]) for seed in given.seeds]
        last = [statistics.mean(curve[-LAST:]) for curve in curves]
        cells = [f"{statistics.mean(curve[0] for curve in curves):.1f}", f"{statistics.mean(map(max, curves)):.1f}"]
        cells.append(interval(last).removeprefix("+"))
        if len(curves[0]) > 1:
            falls = [max(curve) - end for curve, end in zip(curves, last, strict=True)]
            cells += [interval(falls), f"{excess_of_noise(curves):+.1f}"]
        else:
            cells += ["", ""]
        print(f"| {method} | {' | '.join(cells)} | {statistics.mean(zsl):.1f} |")


if __name__ == "__main__":
    main()
