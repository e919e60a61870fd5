"""Claim: decoding overlaps with the network; extraction runs at >= 0.9 of the rate of the network alone.

Both are timed in turns, in one run, over the same seconds. "Alone" runs the networks on seconds in memory, through the
same queue, on every core. "Whole" decodes the files as well. Each round prints the ratio of the two rates, and the
median of the rounds counts. Other programs on the machine slow both.

On a CPU decoding uses the same cores as the network, so no overlap can reach a ratio of 1. The highest possible ratio
is therefore printed next to the result: the CPU time of the network divided by that of network and decoding. For a
narrow, fast network this ceiling is below 0.9, and the fraction of the ceiling counts. `--extractor clip-clap` measures
CLIP and CLAP with random weights of the published sizes. On a GPU the ceiling is the
smaller of the network's rate and the rate of the decoding processes, which are also timed alone.
"""

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from extractors.base import Extractor, Runtime
from extractors.clip_clap.options import ClipClapOptions
from extractors.decoding.interface import DecodingRequest, Second, get_decoder
from extractors.decoding.pool import DecodingPool
from extractors.extraction import VideoFeatures, extract_videos
from extractors.registry import extractor_family
from extractors.runtime.network_queue import NetworkQueue
from extractors.selavi.extractor import load_selavi
from extractors.selavi.options import SelaviOptions
from extractors.selavi.weights import resolve_weights
from pipeline.base.system import usable_cores

SAMPLES = Path(__file__).parent.parent / "sample_videos"
BATCH_SECONDS = 8


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Time some work: seconds by the clock, and CPU seconds of this process."""
    started, started_cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - started, time.process_time() - started_cpu


def decode_all(requests: list[tuple[str, DecodingRequest]]) -> list[tuple[str, Second]]:
    """Decode every second of some videos in this process."""
    decoder = get_decoder("pyav")
    return [(key, second) for key, request in requests for second in decoder.decode(request)]


def network_alone(extractor: Extractor, seconds: list[tuple[str, Second]]) -> None:
    """Compute vectors of seconds that are in memory."""
    with NetworkQueue(extractor, seconds_at_once=BATCH_SECONDS) as queue:
        whole = len(seconds) // queue.batch_seconds * queue.batch_seconds
        for first in range(0, whole, queue.batch_seconds):
            list(queue.submit(seconds[first : first + queue.batch_seconds]))
        list(queue.finish(seconds[whole:]))


def end_to_end(extractor: Extractor, requests: list[tuple[str, DecodingRequest]], pool: DecodingPool) -> None:
    """Compute vectors of video files."""
    results = list(extract_videos(requests, extractor, pool=pool, batch_seconds=BATCH_SECONDS))
    if not all(isinstance(result, VideoFeatures) for result in results):
        raise SystemExit(f"not all of these videos can be decoded: {results}")


def rounds_of(
    extractor: Extractor, requests: list[tuple[str, DecodingRequest]], *, workers: int, rounds: int
) -> tuple[float, float, float]:
    """Print each round; return the median ratio, the ceiling and the seconds of video."""
    seconds = decode_all(requests)
    decoding_cpu = min(timed(lambda: decode_all(requests))[1] for _ in range(2))
    network_cpu, ratios, alone_seconds = [], [], []
    on_cpu = extractor.device.type == "cpu"
    with DecodingPool(workers=workers) as pool:
        # Warm-up: processes start and import, and networks get their first batch.
        end_to_end(extractor, requests[:workers], pool)
        for number in range(rounds):
            times = {}
            for name in ("alone", "whole") if number % 2 else ("whole", "alone"):
                if name == "alone":
                    times[name], cpu = timed(lambda: network_alone(extractor, seconds))
                    network_cpu.append(cpu)
                else:
                    times[name], _ = timed(lambda: end_to_end(extractor, requests, pool))
            ratios.append(times["alone"] / times["whole"])
            alone_seconds.append(times["alone"])
            rates = ", ".join(f"{name} {len(seconds) / taken:.2f} s/s" for name, taken in sorted(times.items()))
            print(f"  {rates}, ratio {ratios[-1]:.2f}", flush=True)
        pool_seconds = 0.0 if on_cpu else min(timed(lambda: list(pool.decode(requests)))[0] for _ in range(2))
    network = statistics.median(network_cpu)
    if on_cpu:
        ceiling = network / (network + decoding_cpu)
    else:
        ceiling = min(1.0, statistics.median(alone_seconds) / pool_seconds)
        print(f"  decoding alone {len(seconds) / pool_seconds:.2f} s/s")
    print(f"  CPU time per second of video: network {network / len(seconds):.3f} s, ", end="")
    print(f"decoding {decoding_cpu / len(seconds):.3f} s")
    return statistics.median(ratios), ceiling, len(seconds)


def extractors(name: str, widths: list[int], device: torch.device, runtime: Runtime) -> Iterator[tuple[str, Extractor]]:
    """Load the extractors to measure, each with its name."""
    if name == "selavi":
        for width in widths:
            options = SelaviOptions(weights="untrained", width=width)
            weights = resolve_weights("untrained", cache_dir=Path("unused"))
            yield f"width {width}", load_selavi(options, weights, device=device, runtime=runtime)
        return
    from random_models import save_clip_clap  # noqa: PLC0415 - imports transformers

    with tempfile.TemporaryDirectory() as folder:
        family = extractor_family(name)
        chosen = ClipClapOptions(weights=str(save_clip_clap(Path(folder))))
        found = family.find_weights(chosen, cache_dir=Path(folder) / "cache")
        yield name, family.load(chosen, found, device=device, runtime=runtime)


def main() -> None:
    """Measure each width and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 16], help="widths of the networks")
    parser.add_argument("--extractor", default="selavi", choices=["selavi", "clip-clap"], help="extractor")
    parser.add_argument(
        "--runtime", default="eager", choices=["eager", "traced", "openvino"], help="runtime of the networks"
    )
    parser.add_argument("--clips", type=int, default=8, help="number of sample videos")
    parser.add_argument(
        "--workers", type=int, help="number of decoding processes; default: 1, with a GPU all cores except one"
    )
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds")
    arguments = parser.parse_args()
    gpu = torch.cuda.is_available() and arguments.runtime == "eager"
    device = torch.device("cuda:0" if gpu else "cpu")
    runtime: Runtime = arguments.runtime
    workers = arguments.workers or (max(1, usable_cores() - 1) if gpu else 1)
    clips = list(itertools.islice(sorted(SAMPLES.glob("*/00*.mp4")), arguments.clips))
    for name, extractor in extractors(arguments.extractor, arguments.widths, device, runtime):
        requests = [(str(clip), DecodingRequest(path=clip, inputs=extractor.inputs)) for clip in clips]
        print(f"{name}, {runtime} on {device}, {torch.get_num_threads()} threads, {workers} decoding")
        ratio, ceiling, seconds = rounds_of(extractor, requests, workers=workers, rounds=arguments.rounds)
        share = f"{ratio / ceiling:.2f} of the {ceiling:.2f} that can be reached"
        print(f"{name}: median ratio {ratio:.2f} over {seconds} s of video, {share}", flush=True)


if __name__ == "__main__":
    main()
