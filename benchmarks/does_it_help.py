"""Claim: the table in daan/README.md says what each part of DAAN adds on generated data, with 95 % intervals.

It compares the base of the paper's ablation, QDMA without its temporal bypass, and QDMA. QDMA, with and without the
bypass, is trained without CSGM, with V_c alone and with both rates, and CSGM without noise, with noise per matrix and
with noise as of SGD. The reading of the presets is compared too. The base is not modulated (daan.md, C), and noise is a
part of CSGM (eq. 8): there is no noise without it. The data is generated with one property of real
videos switched on at a time (KINDS). Plain and lifelike data have all methods, the other kinds the most important ones.
A last group compares seconds with chunks on averaged features.

Every method is trained on the training classes. The epoch and beta are chosen on validation videos, and the figures
are those of test videos of training classes and of unseen classes. A difference is paired: both methods have the same
data and the same training seed. It is averaged over the training seeds, and its interval is that of Student's t over
the data seeds. The readings of CSGM are chosen on some data seeds (--choose), with the first training seed, and
reported on others (--report).

Larger, on a GPU: --device cuda --jobs 1 --width 512 --hidden 512 --pairs 256 --steps 100 --epochs 12

Each finished run is appended to a file (--results), and is not repeated: the same command goes on where it was stopped.
Delete the file if the code has changed. --plan prints the number of runs, and --time how long they take.
"""

import argparse
import functools
import itertools
import json
import statistics
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from baselines import BASELINES, averaged
from runs import Data, Results, baseline, interval, numbers, trained

from daan.config import DaanConfig
from pipeline.avgzsl_benchmark.synthetic.generate import SyntheticBenchmark, synthetic_benchmark
from pipeline.avgzsl_benchmark.synthetic.recipe import RECIPES, SyntheticRecipe
from pipeline.avgzsl_benchmark.synthetic.shapes import Shape
from pipeline.base.files import fingerprint
from pipeline.settings.training import TrainingSettings

METRICS = ("HM", "ZSL")
AVERAGED = " (averaged)"
STRENGTHS = {"audio_strength": 0.6, "visual_strength": 1.2}  # most methods are then above chance
KINDS: Mapping[str, Mapping[str, float]] = {
    "plain": {},
    "after ReLU": {"zeros": 0.5, "spectrum": 1.0},
    "lasting noise": {"autocorrelation": 0.8},
    "background": {"background": 0.4},
    "order": {"order_pairs": 0.8},
    "unreliable": {"unreliable": 0.6},
    "foreign sound": {"foreign_sound": 0.3},
    "shared factors": {"shared": 0.6},
    "lifelike": {
        name: value for name, value in RECIPES["lifelike"].to_plain().items() if value != getattr(SyntheticRecipe, name)
    },
}
WIDE = ("plain", "lifelike")  # kinds with the whole grid of methods
CHOOSING = ("unreliable", "lifelike")  # kinds that choose the readings
NOISES: Mapping[str, Mapping[str, Any]] = {
    "": {"noise": 0.0},
    ", matrix noise": {"noise": 1.0, "noise_scale": "gradient"},
    ", SGD noise": {"noise": 1.0, "noise_scale": "sgd"},
}
CONVERGENCES, OPTIMISATIONS, APPLIED = ("sum", "product", "batch"), ("other", "own", "batch"), ("gradient", "update")
# The reading of the presets and of a model without settings, with the noise per matrix.
DEFAULT_READING = {"csgm": "full", "convergence": "sum", "optimisation": "other", "csgm_apply": "gradient"}
UNSEEN_CLASSES = 16
HEADS = 4  # of a narrow network

Options = Mapping[str, Any]  # of DaanConfig


@dataclass(frozen=True, kw_only=True)
class Size:
    """The size of a run."""

    width: int  # of the features
    hidden: int
    epochs: int
    steps: int  # per epoch
    pairs: int
    videos: int  # training videos of each class
    device: str
    network: tuple[tuple[str, Any], ...] = ()  # further options of DaanConfig, for all methods

    @property
    def shape(self) -> Shape:
        """The numbers of classes and videos; test videos cost little, so there are many unseen classes."""
        train, val = 30, 12
        return Shape(
            train_classes=train,
            val_unseen_classes=val,
            test_unseen_classes=UNSEEN_CLASSES,
            train=train * self.videos,
            val_seen=train * 4,
            val_unseen=val * 10,
            test_seen=(train + val) * 6,
            test_unseen=UNSEEN_CLASSES * 12,
            seconds=(3, 8),
        )


@dataclass(frozen=True)
class Task:
    """One run: a method (options of DaanConfig, or the name of a baseline) on data of a kind and a seed."""

    kind: str
    data_seed: int
    seed: int
    method: str | Options
    size: Size

    @property
    def key(self) -> str:
        """A name that only equal runs have."""
        return fingerprint([self.kind, self.data_seed, self.seed, self.method, asdict(self.size)])


@functools.lru_cache(maxsize=2)
def data_of(kind: str, seed: int, size: Size) -> Data:
    """Generate the data of a kind; averaged data is that of the same kind, averaged over the seconds."""
    name = kind.removesuffix(AVERAGED)
    recipe = SyntheticRecipe(audio_width=size.width, visual_width=size.width, seed=seed, **STRENGTHS)
    benchmark: SyntheticBenchmark = synthetic_benchmark(size.shape, replace(recipe, **KINDS[name]))  # type: ignore[arg-type]
    features, splits = benchmark.features, benchmark.splits.by_name
    train = features.indices(splits["train"])
    seen_test = features.indices(splits["test_seen"])
    seen_test = seen_test[torch.isin(features.labels[seen_test], features.labels[train])]
    return Data(
        features=averaged(features) if kind.endswith(AVERAGED) else features,
        vectors=torch.from_numpy(benchmark.class_vectors),
        train=train,
        validation=features.indices([*splits["val_seen"], *splits["val_unseen"]]),
        test=torch.cat((seen_test, features.indices(splits["test_unseen"]))),
    )


def run(task: Task) -> dict[str, Any]:
    """Do one run and return its figures."""
    torch.set_num_threads(1)
    began = time.process_time()  # other processes may compute at the same time
    data = data_of(task.kind, task.data_seed, task.size)
    method = task.method
    figures = baseline_figures(method, data, task) if isinstance(method, str) else network_figures(method, data, task)
    seconds = round(time.process_time() - began, 2)
    plain = {"kind": task.kind, "data_seed": task.data_seed, "seed": task.seed, "method": task.method}
    return {"key": task.key, **plain, **figures, "seconds": seconds}


def baseline_figures(name: str, data: Data, task: Task) -> dict[str, Any]:
    """Fit a baseline to the training videos."""
    metrics = baseline(name, data, data.test, task.seed)
    return {metric: getattr(metrics, metric) for metric in METRICS}


def network_figures(method: Options, data: Data, task: Task) -> dict[str, Any]:
    """Train a network; the figures are those of the epoch with the best validation metrics."""
    size, device = task.size, torch.device(task.size.device)
    config = DaanConfig(
        audio_width=size.width,
        visual_width=size.width,
        hidden_width=size.hidden,
        output_width=size.hidden,
        **{"heads": HEADS, **dict(size.network), **method},
    )
    settings = TrainingSettings(
        epochs=size.epochs, batch_pairs=size.pairs, steps_per_epoch=size.steps, seed=task.seed, checkpoint_minutes=1e9
    )
    state, epochs = trained(config, settings, data, device)
    _, best = max(reversed(epochs), key=lambda one: one[0].validation_metric)
    last, history = epochs[-1][1], [round(one.metrics.HM, 2) for one, _ in epochs]
    above = statistics.mean(100 - record.shares["at_gamma"] for record in state.balance) if state.balance else None
    return {
        **{metric: getattr(best, metric) for metric in METRICS},
        **{f"last {metric}": getattr(last, metric) for metric in METRICS},
        "validation HM": history,
        "above_gamma": above,
    }


def readings() -> dict[str, Options]:
    """List the readings of CSGM that are compared, without noise."""
    alone = {f"V_c: {convergence}": {"csgm": "convergence", "convergence": convergence} for convergence in CONVERGENCES}
    full = {
        f"full: {convergence}, {optimisation}, {applied}": {
            "csgm": "full",
            "convergence": convergence,
            "optimisation": optimisation,
            "csgm_apply": applied,
        }
        for convergence, optimisation, applied in itertools.product(CONVERGENCES, OPTIMISATIONS, APPLIED)
        if applied == "gradient" or (convergence, optimisation) == ("sum", "other")
    }
    return {name: {**options, "noise": 0.0} for name, options in {**alone, **full}.items()}


def methods(alone: Options, full: Options) -> dict[str, str | Options]:
    """List the compared methods, with the chosen readings of V_c alone and of both rates."""
    listed: dict[str, str | Options] = {name: name for name in BASELINES}
    listed["base"] = {"qdma": "off", "csgm": "off"}
    for branch, options in (("no bypass", {"bypass": "off"}), ("QDMA", {})):
        listed[branch] = {**options, "csgm": "off"}
        for csgm, reading in (("V_c", alone), ("full", full)):
            for noise, noisy in NOISES.items():
                listed[f"{branch} + {csgm}{noise}"] = {**options, **reading, **noisy}
    for noise in ("", ", matrix noise"):
        listed[f"QDMA + default{noise}"] = {**DEFAULT_READING, **NOISES[noise]}
    listed["QDMA, features"] = {"csgm": "off", "bypass_input": "features"}
    listed["QDMA, chunks"] = {"csgm": "off", "tokens": "chunks"}
    listed["QDMA + full, chunks"] = {**full, "tokens": "chunks", "noise": 0.0}
    return listed


# Title, the method, and the method that it is compared with.
COMPARISONS = (
    ("base - ridge", "base", "ridge"),
    ("base - MLP, cosine", "base", "MLP, cosine"),
    ("QDMA - ridge", "QDMA", "ridge"),
    ("QDMA - MLP, cosine", "QDMA", "MLP, cosine"),
    ("QDMA without bypass - base", "no bypass", "base"),
    ("QDMA - base", "QDMA", "base"),
    ("QDMA - QDMA without bypass", "QDMA", "no bypass"),
    ("bypass reads features, not refined", "QDMA, features", "QDMA"),
    ("V_c - no CSGM", "QDMA + V_c", "QDMA"),
    ("full CSGM - no CSGM", "QDMA + full", "QDMA"),
    ("full CSGM - V_c", "QDMA + full", "QDMA + V_c"),
    ("default CSGM without its noise - no CSGM", "QDMA + default", "QDMA"),
    ("default CSGM - no CSGM", "QDMA + default, matrix noise", "QDMA"),
    ("full CSGM with matrix noise - without", "QDMA + full, matrix noise", "QDMA + full"),
    ("full CSGM with SGD noise - without", "QDMA + full, SGD noise", "QDMA + full"),
    ("full CSGM with matrix noise - no CSGM", "QDMA + full, matrix noise", "QDMA"),
    ("full CSGM with SGD noise - no CSGM", "QDMA + full, SGD noise", "QDMA"),
    ("V_c with matrix noise - without", "QDMA + V_c, matrix noise", "QDMA + V_c"),
    ("V_c with SGD noise - without", "QDMA + V_c, SGD noise", "QDMA + V_c"),
    ("no bypass: V_c - no CSGM", "no bypass + V_c", "no bypass"),
    ("no bypass: full - no CSGM", "no bypass + full", "no bypass"),
    ("no bypass: full with matrix noise - without", "no bypass + full, matrix noise", "no bypass + full"),
    ("no bypass: full with SGD noise - without", "no bypass + full, SGD noise", "no bypass + full"),
    ("no bypass: V_c with matrix noise - without", "no bypass + V_c, matrix noise", "no bypass + V_c"),
    ("no bypass: V_c with SGD noise - without", "no bypass + V_c, SGD noise", "no bypass + V_c"),
    ("chunks - seconds", "QDMA, chunks", "QDMA"),
    ("chunks - base", "QDMA, chunks", "base"),
    ("chunks: full CSGM - no CSGM", "QDMA + full, chunks", "QDMA, chunks"),
)
_DEFAULT = ("QDMA + default", "QDMA + default, matrix noise")
_NARROW = (
    *BASELINES,
    "base",
    "no bypass",
    "QDMA",
    "QDMA + V_c",
    *(f"QDMA + full{noise}" for noise in NOISES),
    *_DEFAULT,
)
_OF_AVERAGED = (*BASELINES, "base", "QDMA", "QDMA, chunks", "QDMA + full, chunks")


def names_of(kind: str) -> list[str]:
    """List the names of the methods that are run on a kind of data."""
    if kind.endswith(AVERAGED):
        return list(_OF_AVERAGED)
    if kind in WIDE:
        return [name for name in methods({}, {}) if "chunks" not in name]
    return [*_NARROW, "QDMA, features"] if kind == "order" else list(_NARROW)


def choosing_tasks(arguments: argparse.Namespace, size: Size) -> list[Task]:
    """List the runs that choose the readings."""
    compared: Iterable[Options] = [{"csgm": "off"}, *readings().values()]
    return [
        Task(kind, data_seed, seed, method, size)
        for kind in CHOOSING
        if kind in arguments.kinds
        for data_seed in arguments.choose
        for seed in arguments.seeds[:1]
        for method in compared
    ]


def reporting_tasks(arguments: argparse.Namespace, size: Size, listed: Mapping[str, str | Options]) -> list[Task]:
    """List the runs that are reported; all methods of one data set follow each other."""
    kinds = [*arguments.kinds, *(f"{kind}{AVERAGED}" for kind in WIDE if kind in arguments.kinds)]
    return [
        Task(kind, data_seed, seed, listed[name], size)
        for data_seed in arguments.report
        for kind in kinds
        for name in names_of(kind)
        for seed in (arguments.seeds[:1] if name == "ridge" else arguments.seeds)
    ]


def chosen(results: Results, arguments: argparse.Namespace, size: Size) -> tuple[str, str]:
    """Choose the readings with the highest mean HM, print how all of them compare, and return their names."""
    seeds, kinds = arguments.choose, [kind for kind in CHOOSING if kind in arguments.kinds]
    print(f"\nReadings of CSGM on data seeds {', '.join(map(str, seeds))}, without noise: difference to no CSGM\n")
    print(f"| reading | M above gamma | {' | '.join(f'{metric}, {kind}' for kind in kinds for metric in METRICS)} |")
    print("|-|-|" + "-|" * (len(kinds) * len(METRICS)))
    mean: dict[str, float] = {}
    for name, options in readings().items():
        pairs = {
            kind: [
                (results[Task(kind, data, seed, options, size)], results[Task(kind, data, seed, {"csgm": "off"}, size)])
                for data in seeds
                for seed in arguments.seeds[:1]
            ]
            for kind in kinds
        }
        every = [pair for of_kind in pairs.values() for pair in of_kind]
        mean[name] = statistics.mean(one["HM"] - other["HM"] for one, other in every)
        above = statistics.mean(one["above_gamma"] for one, _ in every)
        cells = [interval([a[metric] - b[metric] for a, b in pairs[kind]]) for kind in kinds for metric in METRICS]
        print(f"| {name} | {above:.0f} % | {' | '.join(cells)} |")
    best = [max((name for name in mean if name.startswith(start)), key=mean.__getitem__) for start in ("V_c", "full")]
    print(f"\nchosen: {best[0]}; {best[1]}")
    return best[0], best[1]


def show(results: Results, arguments: argparse.Namespace, size: Size, listed: Mapping[str, str | Options]) -> None:
    """Print a table of figures and one of differences for each metric."""
    kinds = [*arguments.kinds, *(f"{kind}{AVERAGED}" for kind in WIDE if kind in arguments.kinds)]

    def value(kind: str, name: str, data_seed: int, metric: str) -> float:
        seeds = arguments.seeds[:1] if name == "ridge" else arguments.seeds
        found = [results[Task(kind, data_seed, seed, listed[name], size)][metric] for seed in seeds]
        return float(statistics.mean(found))

    seeds = f"{len(arguments.report)} data seeds x {len(arguments.seeds)} training seeds"
    print(
        f"\nNetworks with H = {size.hidden}, {size.epochs * size.steps} steps of {size.pairs} pairs. The tables have "
        "hundreds of intervals: about one in twenty excludes 0 by chance alone."
    )
    for metric in METRICS:
        head = f"| {' | '.join(kinds)} |\n|-|{'-|' * len(kinds)}"
        print(f"\nTest {metric}, mean over {seeds}\n\n| method {head}")
        for name in (*BASELINES, "base", "no bypass", "QDMA", "QDMA + full", _DEFAULT[1], "QDMA, chunks"):
            cells = [
                f"{statistics.mean(value(kind, name, seed, metric) for seed in arguments.report):.1f}"
                if name in names_of(kind)
                else ""
                for kind in kinds
            ]
            print(f"| {name} | {' | '.join(cells)} |")
        if metric == "ZSL":
            print(f"| chance |{f' {100 / UNSEEN_CLASSES:.1f} |' * len(kinds)}")
        print(f"\nDifference in test {metric} with its 95 % interval over {len(arguments.report)} data seeds\n")
        print(f"| comparison {head}")
        for title, first, second in COMPARISONS:
            cells = [
                interval([value(kind, first, s, metric) - value(kind, second, s, metric) for s in arguments.report])
                if {first, second} <= set(names_of(kind))
                else ""
                for kind in kinds
            ]
            print(f"| {title} | {' | '.join(cells)} |")
    print(f"\nShare of pairs with M above gamma, which CSGM modulates\n\n| method {head}")
    for name in ("QDMA + V_c", "QDMA + full", _DEFAULT[0]):
        cells = [
            f"{statistics.mean(value(kind, name, seed, 'above_gamma') for seed in arguments.report):.0f} %"
            if name in names_of(kind)
            else ""
            for kind in kinds
        ]
        print(f"| {name} | {' | '.join(cells)} |")


def option(text: str) -> tuple[str, Any]:
    """Read an option such as `margin=10` or `tcn_gap=exponential`."""
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def main() -> None:
    """Do the missing runs and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("does_it_help.jsonl"), help="file of finished runs")
    parser.add_argument("--choose", type=numbers, default=numbers("0-3"), help="data seeds that choose the readings")
    parser.add_argument("--report", type=numbers, default=numbers("4-13"), help="data seeds that are reported")
    parser.add_argument("--seeds", type=numbers, default=[0, 1], help="training seeds")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS), help="kinds of data")
    parser.add_argument("--jobs", type=int, default=2, help="number of processes")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    for name, default, meaning in (
        ("width", 128, "width of the features of each modality"),
        ("hidden", 64, "hidden width of the network, a multiple of 8"),
        ("epochs", 6, "validations; the best one gives the figures"),
        ("steps", 50, "steps between two validations"),
        ("pairs", 32, "pairs in a batch"),
        ("videos", 40, "training videos of each class"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help=meaning)
    parser.add_argument(
        "--network", nargs="+", type=option, default=[], help="options of daan for all methods, such as margin=10"
    )
    parser.add_argument("--plan", action="store_true", help="only print the number of runs")
    parser.add_argument("--time", action="store_true", help="only run each method once, and estimate the time")
    arguments = parser.parse_args()
    sizes = {name: getattr(arguments, name) for name in Size.__dataclass_fields__}
    size = Size(**{**sizes, "network": tuple(arguments.network)})
    choosing = choosing_tasks(arguments, size)
    alone, full = "V_c: sum", "full: sum, other, gradient"
    first = methods(readings()[alone], readings()[full])
    planned = reporting_tasks(arguments, size, first)
    if arguments.time:
        show_times(arguments, size, first)
    if arguments.plan or arguments.time:
        print(f"{len(choosing)} runs choose the readings, {len(planned)} are reported")
        return
    results = Results(arguments.results)
    results.finish(choosing, arguments.jobs, run)
    if choosing:
        alone, full = chosen(results, arguments, size)
    listed = methods(readings()[alone], readings()[full])
    results.finish(reporting_tasks(arguments, size, listed), arguments.jobs, run)
    show(results, arguments, size, listed)


def show_times(arguments: argparse.Namespace, size: Size, listed: Mapping[str, str | Options]) -> None:
    """Run each method once on plain data, and print its figures and how long all runs together take."""
    names = {repr(method): name for name, method in listed.items()}
    cost = {}
    for name, method in listed.items():
        for kind in ("plain", f"plain{AVERAGED}"):
            if name in names_of(kind):
                one = run(Task(kind, 0, 0, method, size))
                cost[name, kind.endswith(AVERAGED)] = one["seconds"]
                print(f"{kind}, {name}: {one['seconds']:.1f} s, HM {one['HM']:.1f}, ZSL {one['ZSL']:.1f}", flush=True)
    choosing = len(choosing_tasks(arguments, size)) * cost["QDMA + full", False]
    tasks = reporting_tasks(arguments, size, listed)
    reporting = sum(cost[names[repr(task.method)], task.kind.endswith(AVERAGED)] for task in tasks)
    print(f"about {(choosing + reporting) / arguments.jobs / 3600:.1f} h with {arguments.jobs} processes")


if __name__ == "__main__":
    main()
