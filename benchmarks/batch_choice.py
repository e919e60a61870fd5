"""Claim: choosing and padding a batch takes at most 10 % of a training step.

It uses generated data of UCF's shape and the ucf preset: 256 pairs of 512-wide float16 features. Choosing, padding and
the step are timed in turns, so that a busy machine slows all of them.
"""

import argparse
import dataclasses
import time

import torch

from daan.method import TrainingBatch
from daan.network import Daan
from daan.training_step import training_step
from pipeline.avgzsl_benchmark.synthetic.generate import synthetic_benchmark
from pipeline.avgzsl_benchmark.synthetic.shapes import SHAPES
from pipeline.settings.tree import load_settings
from pipeline.training.epoch import PairSampler


def now(device: torch.device) -> float:
    """Return the time after the device has finished all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def timed_rounds(
    shortest: int, longest: int, pairs: int, rounds: int, device: torch.device
) -> list[tuple[float, float, float]]:
    """Time each round: seconds for choosing, for gathering and padding, and for the step."""
    benchmark = synthetic_benchmark(dataclasses.replace(SHAPES["ucf"], seconds=(shortest, longest)))
    features = benchmark.features
    train = features.indices(benchmark.splits.train)
    standardiser = features.statistics(train).to(device)
    class_vectors = torch.from_numpy(benchmark.class_vectors).to(device)
    sampler, generator = PairSampler(features.labels, train), torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    network = Daan(load_settings(preset="ucf").daan).to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, weight_decay=1e-5, fused=True)
    times = []
    for _ in range(rounds + 1):
        begin = now(device)
        indices = torch.cat(sampler.draw(pairs, generator))
        chosen = now(device)
        batch = features.batch(indices, standardiser, device)
        text = class_vectors[features.labels[indices].to(device)]
        padded = now(device)
        training_step(network, optimizer, TrainingBatch(batch, text, torch.zeros(pairs, dtype=torch.long), text[:1]))
        times.append((chosen - begin, padded - chosen, now(device) - padded))
    return times[1:]  # the first round is a warm-up


def main() -> None:
    """Print the percentages for averaged features, for videos of 10 s, and for videos of 2 to 12 s."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=256, help="number of pairs in a batch")
    parser.add_argument("--rounds", type=int, default=5, help="number of timed rounds; the median counts")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    for shortest, longest in ((1, 1), (10, 10), (2, 12)):
        times = timed_rounds(shortest, longest, arguments.pairs, arguments.rounds, device)
        choosing, padding, step = (sorted(column)[len(times) // 2] for column in zip(*times, strict=True))
        share = 100 * (choosing + padding) / step
        print(
            f"{device}, {arguments.pairs} pairs, T = {shortest} to {longest}: choosing {1e3 * choosing:.2f} ms, "
            f"padding {1e3 * padding:.1f} ms, step {1e3 * step:.0f} ms; choosing and padding {share:.1f} % of a step"
        )


if __name__ == "__main__":
    main()
