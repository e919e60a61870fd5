"""Claim: on a CPU OpenVINO puts seconds through the networks at >= 2 x PyTorch's rate, within 1e-4 of its features.

Both run the same seconds of the sample videos in turns, on the same number of threads, and the median of the rounds'
ratios counts. Time is that of the processor's cores, which another program cannot take away; on a machine that does
nothing else it is the time by the clock, times the threads. The error is the largest difference of two features, over
the largest feature.
"""

import argparse
import itertools
import statistics
import time
from pathlib import Path

import torch
from torch import Tensor

from extractors.decoding.interface import DecodingRequest, get_decoder
from extractors.selavi.extractor import ExtractorOptions, SelaviExtractor, load_selavi
from extractors.selavi.weights import resolve_weights

SAMPLES = Path(__file__).parent.parent / "sample_videos"


def seconds_of_samples(count: int, rate_hz: int) -> tuple[Tensor, Tensor]:
    """The first second of some videos: (N, 30, 3, 112, 112) and (N, rate_hz)."""
    decoder = get_decoder("pyav")
    clips = itertools.islice(sorted(SAMPLES.glob("*/000.mp4")), count)
    seconds = [next(decoder.decode(DecodingRequest(path=clip, audio_rate_hz=rate_hz))) for clip in clips]
    frames = torch.stack([torch.from_numpy(second.frames) for second in seconds if second.frames is not None])
    sound = torch.stack([torch.from_numpy(second.audio) for second in seconds if second.audio is not None])
    return frames, sound


def timed(extractor: SelaviExtractor, frames: Tensor, sound: Tensor) -> tuple[float, Tensor, Tensor]:
    """Core seconds for both networks, and what they gave."""
    started = time.process_time()
    visual, audio = extractor.visual(frames), extractor.audio(sound)
    return time.process_time() - started, visual, audio


def error(found: Tensor, expected: Tensor) -> float:
    """The largest difference, relative to the largest feature."""
    return float((found - expected).abs().max() / expected.abs().max())


def main() -> None:
    """Print rates, ratio and error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--seconds", type=int, default=2, help="seconds of video in the batch")
    parser.add_argument("--rounds", type=int, default=5)
    # More would wait for each other where a core is taken, and waiting counts as time of a core.
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    options = ExtractorOptions(weights="untrained", width=arguments.width)
    weights, cpu = resolve_weights("untrained", cache_dir=Path("unused")), torch.device("cpu")
    eager = load_selavi(options, weights, device=cpu)
    started = time.perf_counter()
    compiled = load_selavi(options, weights, device=cpu, runtime="openvino")
    print(
        f"width {arguments.width}: loaded for OpenVINO in {time.perf_counter() - started:.1f} s, weights drawn included"
    )
    frames, sound = seconds_of_samples(arguments.seconds, eager.audio_rate_hz)
    ratios, errors = [], []
    for number in range(arguments.rounds + 1):
        eager_time, *expected = timed(eager, frames, sound)
        compiled_time, *found = timed(compiled, frames, sound)
        errors.append(max(map(error, found, expected)))
        if number:  # the first warms up
            ratios.append(eager_time / compiled_time)
            rates = [len(frames) / taken for taken in (eager_time, compiled_time)]
            print(
                f"  a core-second: eager {rates[0]:.2f} s, openvino {rates[1]:.2f} s, ratio {ratios[-1]:.2f}",
                flush=True,
            )
    print(
        f"width {arguments.width}, {arguments.threads} threads: median ratio {statistics.median(ratios):.2f}, "
        f"relative error {max(errors):.1e}"
    )


if __name__ == "__main__":
    main()
