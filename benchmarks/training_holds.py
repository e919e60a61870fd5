"""Claim: DAAN with the preset ucf, trained to its end, does not fall below its own best, apart from noise.

The data is generated in UCF's shape, averaged to one vector per video; --benchmark DIR uses the official class vectors.
The network and its training are those of the preset; only --pairs and --epochs change them. It is validated once per
100 steps. When the learning rate falls, it goes back to its best weights; it ends when the rate has fallen below
training.least_learning_rate. `at the first rate` is what this mends: how far HM falls below its best (mean of the last
three validations) before the learning rate falls for the first time.

The table shows HM of the validation videos after the first 100 steps, at its best, and as the mean of the last three
validations, and how far the last ones are below the best, as mean and 95 % interval over the data seeds. The best of
many noisy values is above their mean: `noise` is how far it would be above if nothing but noise changed. The ZSL of the
test videos is taken where the validation is best, and at the end. Nothing is chosen on test videos, so this difference
has no such bias. Ridge regression and a plain MLP stand next to them.

Each finished run is appended to a file (--results), and is not repeated: the same command goes on where it was stopped.
"""

import argparse
import functools
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from baselines import BASELINES, averaged
from runs import Data, Results, baseline, interval, numbers, trained

from daan.config import DaanConfig
from pipeline.avgzsl_benchmark.synthetic.generate import synthetic_benchmark
from pipeline.avgzsl_benchmark.synthetic.prepare import official_benchmark
from pipeline.avgzsl_benchmark.synthetic.recipe import SyntheticRecipe
from pipeline.base.files import fingerprint
from pipeline.settings.tree import load_settings

METHODS: Mapping[str, Mapping[str, Any]] = {
    "preset ucf": {},
    "base, without QDMA and CSGM": {"qdma": "off", "csgm": "off"},
    "preset ucf without input dropout": {"input_dropout": 0.0},
}
LAST = 3  # validations
STEPS_PER_VALIDATION = 100  # of the presets


@dataclass(frozen=True)
class Task:
    """One run."""

    method: str
    data_seed: int
    pairs: int
    epochs: int  # at most
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
    """Do one run and return its metrics after each validation."""
    torch.set_num_threads(1)
    began = time.process_time()
    data = data_of(task.data_seed, task.benchmark)
    figures = baseline_of(task, data) if task.method in BASELINES else curves_of(task, data)
    return {"key": task.key, **asdict(task), **figures, "seconds": round(time.process_time() - began)}


def baseline_of(task: Task, data: Data) -> dict[str, Any]:
    """Fit a baseline, whose setting the validation videos choose; return HM on these and ZSL on the test videos."""
    validated, tested = (baseline(task.method, data, videos) for videos in (data.validation, data.test))
    return {"HM": [validated.HM], "test ZSL": [tested.ZSL], "learning rate": [0.0]}


def curves_of(task: Task, data: Data) -> dict[str, Any]:
    """Train DAAN and return its metrics after each validation."""
    settings = load_settings(
        preset="ucf", assignments=[f"training.epochs={task.epochs}", f"training.batch_pairs={task.pairs}"]
    )
    text_width = data.vectors.shape[1]
    config: DaanConfig = replace(settings.daan, text_width=text_width, **METHODS[task.method])
    training = replace(settings.training, checkpoint_minutes=1e9)
    state, tests = trained(config, training, data, torch.device("cpu"))
    return {
        "HM": [round(row.HM, 2) for row in state.history],
        "test ZSL": [round(test.ZSL, 2) for _, test in tests],
        "learning rate": [row.learning_rate for row in state.history],
        "best": state.best_period,
    }


def excess_of_noise(runs: Sequence[Mapping[str, Any]]) -> float:
    """Compute how far the best validation would be above the mean of the last ones if only noise changed them.

    The noise comes from the second differences of HM, in which a steady rise or fall cancels: their variance is six
    times that of the noise. A lower learning rate makes less noise, so the first rate has a deviation of its own.
    """
    squares: dict[bool, list[float]] = {True: [], False: []}
    for one in runs:
        rates = one["learning rate"]
        for index, second in enumerate(np.diff(one["HM"], 2)):
            if rates[index] == rates[index + 2]:
                squares[rates[index] == rates[0]].append(float(second**2))
    deviations = {first: (statistics.mean(values) / 6) ** 0.5 if values else 0 for first, values in squares.items()}
    generator, excess = np.random.default_rng(0), []
    for one in runs:
        scale = np.array([deviations[rate == one["learning rate"][0]] for rate in one["learning rate"]])
        draws = generator.standard_normal((20_000, len(scale))) * scale
        excess.append(float((draws.max(axis=1) - draws[:, -LAST:].mean(axis=1)).mean()))
    return statistics.mean(excess)


def main() -> None:
    """Do the missing runs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("training_holds.jsonl"), help="file of finished runs")
    parser.add_argument("--seeds", type=numbers, default=numbers("20-24"), help="data seeds")
    parser.add_argument("--benchmark", help="folder of the official class splits and class vectors")
    parser.add_argument("--jobs", type=int, default=2, help="number of processes")
    parser.add_argument("--pairs", type=int, default=256, help="pairs in a batch")
    parser.add_argument("--epochs", type=int, default=50, help="largest number of epochs of 500 steps")
    given = parser.parse_args()
    methods = [*BASELINES, *METHODS]
    tasks = {
        (method, seed): Task(method, seed, given.pairs, given.epochs, given.benchmark)
        for method in methods
        for seed in given.seeds
    }
    results = Results(given.results)
    results.finish(list(tasks.values()), given.jobs, run)
    print(f"\nValidation HM and test ZSL over {len(given.seeds)} data seeds\n")
    print(
        "| method | steps | first | at the first rate | best | last | last - best | noise | test ZSL at the best "
        "| end - best |"
    )
    print(f"|{'-|' * 10}")
    for method in methods:
        runs = [results[tasks[method, seed]] for seed in given.seeds]
        print(f"| {method} | {' | '.join(cells_of(runs))} |")
    first, second = "preset ucf", "preset ucf without input dropout"
    pairs = [(results[tasks[first, seed]], results[tasks[second, seed]]) for seed in given.seeds]
    print(f"\n{first} minus {second}, paired over the data seeds:")
    for title, figure in (("fall at the first rate", fall_at_first_rate), ("test ZSL at the best", zsl_at_best)):
        print(f"{title} {interval([figure(one) - figure(other) for one, other in pairs])}")


def at_first_rate(one: Mapping[str, Any]) -> list[float]:
    """Select HM of the validations before the learning rate fell."""
    return [
        value for value, rate in zip(one["HM"], one["learning rate"], strict=True) if rate == one["learning rate"][0]
    ]


def fall_at_first_rate(one: Mapping[str, Any]) -> float:
    """Compute how far HM is below its best before the learning rate falls: the mean of the last validations."""
    before = at_first_rate(one)
    return statistics.mean(before[-LAST:]) - max(before)


def zsl_at_best(one: Mapping[str, Any]) -> float:
    """Select the test ZSL where the validation is best."""
    return float(one["test ZSL"][one["best"] - 1])


def cells_of(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Format the figures of a method's runs, one per data seed."""

    def mean(values: Iterable[float]) -> str:
        return f"{statistics.mean(values):.1f}"

    def end(values: Sequence[float]) -> float:
        return statistics.mean(values[-LAST:])

    curves, tests = [one["HM"] for one in runs], [one["test ZSL"] for one in runs]
    if len(curves[0]) == 1:
        return ["", "", "", mean(curve[0] for curve in curves), "", "", "", mean(test[0] for test in tests), ""]
    at_best = [zsl_at_best(one) for one in runs]
    return [
        f"{STEPS_PER_VALIDATION * statistics.mean(map(len, curves)):.0f}",
        mean(curve[0] for curve in curves),
        interval([fall_at_first_rate(one) for one in runs]),
        mean(map(max, curves)),
        mean(map(end, curves)),
        interval([end(curve) - max(curve) for curve in curves]),
        f"{-excess_of_noise(runs):.1f}",
        mean(at_best),
        interval([end(test) - best for test, best in zip(tests, at_best, strict=True)]),
    ]


if __name__ == "__main__":
    main()
