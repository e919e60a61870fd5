"""Claim: the table in daan/README.md shows the effect of each reading of CSGM on validation metrics.

It uses generated data of UCF's shape with 1 to 4 seconds per video. It compares every reading with plain training, over
seeds, epochs and noise levels. The metrics of each run are appended to a file (--results). A run that is in the file is
not repeated; delete the file if the code has changed.
"""

import argparse
import itertools
import json
import multiprocessing
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from daan.config import DaanConfig
from daan.network import Daan
from pipeline.avgzsl_benchmark.synthetic.generate import SyntheticRecipe, synthetic_benchmark
from pipeline.avgzsl_benchmark.synthetic.shapes import SHAPES
from pipeline.settings.training import TrainingSettings
from pipeline.training.epoch import TrainingStage
from pipeline.training.fitting import fit
from pipeline.training.validation import Validator

READINGS: dict[str, dict[str, str]] = {
    "plain training": {"csgm": "off"},
    "V_c alone: sum": {"csgm": "convergence", "convergence": "sum"},
    "V_c alone: product": {"csgm": "convergence", "convergence": "product"},
    "sum, other (default)": {"convergence": "sum", "optimisation": "other"},
    "sum, own": {"convergence": "sum", "optimisation": "own"},
    "product, other": {"convergence": "product", "optimisation": "other"},
    "as printed: batch, batch": {"convergence": "batch", "optimisation": "batch"},
    "batch, other": {"convergence": "batch", "optimisation": "other"},
}
EPOCHS_SHOWN = (3, 6)
FIGURES = ("HM", "ZSL")


def run(task: tuple[str, float, int]) -> dict[str, Any]:
    """Train with one reading, noise level and seed, and return the validation metrics by epoch."""
    reading, noise, seed = task
    torch.set_num_threads(1)
    benchmark = synthetic_benchmark(replace(SHAPES["ucf"], seconds=(1, 4)), SyntheticRecipe(seed=seed))
    features, splits = benchmark.features, benchmark.splits.by_name
    train = features.indices(splits["train"])
    held_out = features.indices([*splits["val_seen"], *splits["val_unseen"]])
    seen, allowed = (torch.zeros(len(features.classes), dtype=torch.bool) for _ in range(2))
    seen[features.labels[train]] = True
    allowed[features.labels[torch.cat((train, held_out))]] = True
    standardiser = features.statistics(train)
    vectors, device = torch.from_numpy(benchmark.class_vectors), torch.device("cpu")
    config = DaanConfig(hidden_width=256, noise=noise, **READINGS[reading])  # type: ignore[arg-type]
    settings = TrainingSettings(epochs=max(EPOCHS_SHOWN), batch_pairs=64, steps_per_epoch=60, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        stage = TrainingStage(
            name="stage1",
            folder=Path(folder),
            epochs=settings.epochs,
            train=train,
            features=features,
            standardiser=standardiser,
            class_vectors=vectors,
            settings=settings,
            device=device,
            fingerprint="",
            validator=Validator(
                features,
                held_out,
                vectors,
                standardiser,
                seen=seen,
                allowed=allowed,
                score="sum",
                least_videos=20,
                device=device,
            ),
        )
        torch.manual_seed(seed)
        state = fit(Daan(config), stage, on_epoch=lambda *_: None, stop=lambda: False)
    above = [100 - record.at_gamma for record in state.balance]
    history = [{"HM": record.HM, "ZSL": record.ZSL} for record in state.history]
    return {"reading": reading, "noise": noise, "seed": seed, "above_gamma": statistics.mean(above), "history": history}


def known(results: Path) -> list[dict[str, Any]]:
    """Read the runs that the results file contains."""
    return [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []


def show(runs: list[dict[str, Any]]) -> None:
    """Print the table in Markdown: mean and sample standard deviation over the seeds.

    Seeds differ far more than readings do, so the last column compares each run with plain training of the same seed.
    """
    last = EPOCHS_SHOWN[-1]
    plain_of = {one["seed"]: one["history"] for one in runs if one["reading"] == "plain training"}
    columns = " | ".join(f"HM / ZSL after {epoch} epochs" for epoch in EPOCHS_SHOWN)
    print(
        f"| reading | noise | seeds | M above gamma | {columns} | HM / ZSL after {last} epochs minus plain training |"
    )
    print("|-|-|-|-|" + "-|" * (len(EPOCHS_SHOWN) + 1))
    for (reading, noise), group in itertools.groupby(
        sorted(runs, key=order), key=lambda one: (one["reading"], one["noise"])
    ):
        of_seeds = list(group)
        cells = [" / ".join(spread(figures(of_seeds, epoch, name)) for name in FIGURES) for epoch in EPOCHS_SHOWN]
        gains = [
            [one["history"][last - 1][name] - plain_of[one["seed"]][last - 1][name] for one in of_seeds]
            for name in FIGURES
        ]
        above = statistics.mean(one["above_gamma"] for one in of_seeds)
        row = [reading, f"{noise:g}", str(len(of_seeds)), f"{above:.1f} %", *cells]
        row.append(" / ".join(spread(values, sign="+") for values in gains))
        if reading == "plain training":
            row[1], row[3], row[-1] = "-", "-", "-"
        print(f"| {' | '.join(row)} |")


def figures(of_seeds: list[dict[str, Any]], epoch: int, name: str) -> list[float]:
    """Collect one metric after an epoch, with one value per seed."""
    return [one["history"][epoch - 1][name] for one in of_seeds]


def order(one: dict[str, Any]) -> tuple[int, float]:
    """Sort key: the order of READINGS, then the noise."""
    return list(READINGS).index(one["reading"]), one["noise"]


def spread(values: list[float], sign: str = "") -> str:
    """Format mean and standard deviation."""
    deviation = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):{sign}.1f}{deviation}"


def main() -> None:
    """Do the missing runs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("csgm_readings.jsonl"), help="file of finished runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds of data and training")
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0, 1.0], help="values of daan.noise")
    parser.add_argument("--jobs", type=int, default=2, help="number of processes")
    arguments = parser.parse_args()
    done = known(arguments.results)
    made = {(one["reading"], one["noise"], one["seed"]) for one in done}
    # Plain training has no noise to vary.
    wanted = [
        (reading, noise, seed)
        for seed, noise, reading in itertools.product(arguments.seeds, arguments.noise, READINGS)
        if reading != "plain training" or noise == arguments.noise[0]
    ]
    tasks = [task for task in wanted if task not in made]
    with multiprocessing.get_context("spawn").Pool(arguments.jobs) as pool, arguments.results.open("a") as file:
        for one in pool.imap(run, tasks):
            file.write(json.dumps(one) + "\n")
            file.flush()
            print(f"{one['reading']}, noise {one['noise']}, seed {one['seed']}: {one['history'][-1]}", flush=True)
    show(known(arguments.results))


if __name__ == "__main__":
    main()
