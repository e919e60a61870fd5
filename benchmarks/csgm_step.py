"""Claim: a CSGM step costs at most 1.35 plain steps, and is at least 20 times faster than a loop over the pairs.

It uses UCF's preset and 512-wide features. Plain and CSGM steps alternate in one run. The loop computes each pair
gradient by autograd with the grad_output of all other pairs set to zero. It is timed on some pairs and scaled to the
batch.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial

import torch

from daan.batch import VideoBatch
from daan.config import DaanConfig
from daan.gradients import total
from daan.losses import daan_losses
from daan.modulation.pair_gradients import recorded
from daan.network import Daan
from daan.training_step import training_step


def videos(count: int, seconds: int, device: torch.device) -> VideoBatch:
    """Make random videos of equal length, which is the largest batch."""
    mask = torch.ones(count, seconds, dtype=torch.bool, device=device)
    return VideoBatch(*(torch.randn(count, seconds, 512, device=device) for _ in range(2)), mask, mask)


def loop_seconds(network: Daan, batch: VideoBatch, text: torch.Tensor, timed: int) -> float:
    """Time one forward pass, one backward pass and the pair gradients of all pairs.

    The pair gradients are timed on `timed` pairs and scaled to the batch.
    """
    pairs = len(batch) // 2
    wait(batch.audio.device)
    begun = time.perf_counter()
    layers = [layer for _, _, layer in network.branch_layers]
    with recorded(layers) as activations:
        embedded = network(batch, text, pairs)
    layers = [layer for layer in layers if layer in activations]  # queries and keys of one second are not computed
    loss = total(daan_losses(*embedded.split(pairs), text[:pairs], margin=1.0))
    outputs = [activations[layer].y for layer in layers]
    gradients = torch.autograd.grad(loss, outputs, retain_graph=True)
    wait(batch.audio.device)
    started = time.perf_counter()
    for pair in range(timed):
        only = []
        for gradient in gradients:
            kept = torch.zeros_like(gradient)
            kept[[pair, pairs + pair]] = gradient[[pair, pairs + pair]]
            only.append(kept)
        for layer, output, kept in zip(layers, outputs, only, strict=True):
            torch.autograd.grad(output, list(layer.parameters()), kept, retain_graph=True, allow_unused=True)
    wait(batch.audio.device)
    return started - begun + (time.perf_counter() - started) * pairs / timed


def wait(device: torch.device) -> None:
    """Wait until the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measured(step: Callable[[], object], device: torch.device) -> float:
    """Time one call in seconds."""
    wait(device)
    started = time.perf_counter()
    step()
    wait(device)
    return time.perf_counter() - started


def kernel_share(step: Callable[[], object], device: torch.device, steps: int = 10) -> float:
    """Measure the fraction of wall-clock time in which the GPU computes, over steps without waits between them."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        taken = measured(lambda: [step() for _ in range(steps)], device)
    return sum(event.self_device_time_total for event in profile.key_averages()) / 1e6 / taken


def main() -> None:
    """Time steps for each T and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=256, help="number of pairs in a batch")
    parser.add_argument("--seconds", type=int, nargs="+", default=[1, 10], help="lengths T of the videos")
    parser.add_argument("--rounds", type=int, default=7, help="number of timed rounds")
    parser.add_argument("--loop-pairs", type=int, default=4, help="number of pairs on which the loop is timed")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    for seconds in arguments.seconds:
        batch = videos(2 * arguments.pairs, seconds, device)
        text = torch.randn(2 * arguments.pairs, 300, device=device)
        steps = {}
        for csgm in ("off", "convergence", "full"):
            torch.manual_seed(0)
            network = Daan(DaanConfig(csgm=csgm)).to(device)
            optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
            steps[csgm] = partial(training_step, network, optimizer, batch, text)
        times: dict[str, list[float]] = {csgm: [] for csgm in steps}
        for round_ in range(arguments.rounds + 1):
            for csgm, step in steps.items():
                taken = measured(step, device)
                if round_:  # the first round is a warm-up
                    times[csgm].append(taken)
        if device.type == "cuda":
            print(f"T = {seconds}: kernels take {100 * kernel_share(steps['full'], device):.0f} % of a CSGM step")
        fastest = {csgm: min(values) for csgm, values in times.items()}
        loop = loop_seconds(network, batch, text, arguments.loop_pairs)
        ratios = sorted(full / off for full, off in zip(times["full"], times["off"], strict=True))
        print(
            f"{device}, {arguments.pairs} pairs, T = {seconds}: plain {1e3 * fastest['off']:.0f} ms; "
            f"CSGM / plain {ratios[len(ratios) // 2]:.2f} (median), {fastest['full'] / fastest['off']:.2f} (fastest); "
            f"V_c alone {fastest['convergence'] / fastest['off']:.2f}; "
            f"loop over pairs / CSGM {loop / fastest['full']:.0f}"
        )


if __name__ == "__main__":
    main()
