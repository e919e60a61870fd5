"""Claim: on a CPU the fused network takes at most 0.65 of eager PyTorch's time, with kept memory at most 0.45 of it.

Every way to run the networks gets a process of its own, in turns, with the same seconds of noise and one thread: eager
as PyTorch does it, eager with memory that is kept from layer to layer, the fused network (`traced`) without and with
kept memory, and OpenVINO where it is installed, in single precision and in bfloat16. Time is processor time, per second
of video. The error is the largest difference from eager's features, divided by the largest feature.
"""

import argparse
import contextlib
import importlib.util
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

from extractors.runtime.memory import kept_memory
from extractors.selavi.extractor import load_selavi
from extractors.selavi.options import SelaviOptions
from extractors.selavi.weights import resolve_weights

# Name, runtime, precision, whether memory is kept.
WAYS = (
    ("eager", "eager", "float32", False),
    ("eager, kept memory", "eager", "float32", True),
    ("traced", "traced", "float32", False),
    ("traced, kept memory", "traced", "float32", True),
    ("openvino", "openvino", "float32", False),
    ("openvino, bfloat16", "openvino", "bfloat16", False),
)


def measure(runtime: str, precision: str, *, kept: bool, width: int, seconds: int, calls: int) -> dict[str, object]:
    """Run the networks in this process; return processor seconds per second of video, peak memory and features."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    frames = torch.rand(seconds, 30, 3, 112, 112, generator=generator)
    sound = torch.randint(-9000, 9000, (seconds, 44_100), dtype=torch.int16, generator=generator)
    options = SelaviOptions(weights="untrained", width=width, precision=precision)
    weights = resolve_weights("untrained", cache_dir=Path("unused"))
    with contextlib.ExitStack() as stack:
        if kept:
            stack.enter_context(kept_memory())
        began = time.process_time()
        extractor = load_selavi(options, weights, device=torch.device("cpu"), runtime=runtime)
        loading = time.process_time() - began
        features = [extractor.visual(frames), extractor.audio(sound)]
        began = time.process_time()
        for _ in range(calls):
            extractor.visual(frames), extractor.audio(sound)
        taken = (time.process_time() - began) / calls / seconds
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"taken": taken, "loading": loading, "peak": peak, "features": [part.tolist() for part in features]}


def error(found: list[list[list[float]]], expected: list[list[list[float]]]) -> float:
    """Compute the largest difference, relative to the largest feature, of both modalities."""
    pairs = [(torch.tensor(one), torch.tensor(other)) for one, other in zip(found, expected, strict=True)]
    return max(float((one - other).abs().max() / other.abs().max()) for one, other in pairs)


def main() -> None:
    """Measure all ways in turns and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=64, help="width of the networks")
    parser.add_argument("--seconds", type=int, default=4, help="seconds of video in a batch")
    parser.add_argument("--calls", type=int, default=3, help="batches per process")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each way; the median counts")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    given = parser.parse_args()
    sizes = {"width": given.width, "seconds": given.seconds, "calls": given.calls}
    if given.way:
        _, runtime, precision, kept = next(way for way in WAYS if way[0] == given.way)
        print(json.dumps(measure(runtime, precision, kept=kept, **sizes)))
        return
    ways = [name for name, runtime, *_ in WAYS if runtime != "openvino" or importlib.util.find_spec("openvino")]
    found = {name: [] for name in ways}
    options = [f"--{name}={value}" for name, value in sizes.items()]
    for _ in range(given.rounds):
        for name in ways:
            command = [sys.executable, __file__, "--way", name, *options]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found[name].append(json.loads(done.stdout))
    reference = found["eager"]
    print(f"width {given.width}, batches of {given.seconds} s, one thread, medians of {given.rounds} processes\n")
    print("| way | CPU s per second | of eager | loading, CPU s | peak MiB | error |\n|-|-|-|-|-|-|")
    for name in ways:
        taken, loading, peak = (
            statistics.median(one[key] for one in found[name]) for key in ("taken", "loading", "peak")
        )
        ratio = statistics.median(
            one["taken"] / other["taken"] for one, other in zip(found[name], reference, strict=True)
        )
        wrong = error(found[name][0]["features"], reference[0]["features"])
        print(f"| {name} | {taken:.3f} | {ratio:.2f} | {loading:.1f} | {peak:.0f} | {wrong:.0e} |", flush=True)


if __name__ == "__main__":
    main()
