"""Claim: on a CPU OpenVINO runs the networks at >= 2 x PyTorch's rate, and its features are within 1e-4 of PyTorch's.

Both process the same seconds of the sample videos in turns, on the same number of threads. The median of the ratios
counts. Time is CPU time, which does not depend on other programs. On an idle machine it is the clock time multiplied by
the number of threads. The error is the largest difference of two features, divided by the largest feature.
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
    """Decode the first second of some videos: frames (N, 30, 3, 112, 112) and sound (N, rate_hz)."""
    decoder = get_decoder("pyav")
    clips = itertools.islice(sorted(SAMPLES.glob("*/000.mp4")), count)
    seconds = [next(decoder.decode(DecodingRequest(path=clip, audio_rate_hz=rate_hz))) for clip in clips]
    frames = torch.stack([torch.from_numpy(second.frames) for second in seconds if second.frames is not None])
    sound = torch.stack([torch.from_numpy(second.audio) for second in seconds if second.audio is not None])
    return frames, sound


def timed(extractor: SelaviExtractor, frames: Tensor, sound: Tensor) -> tuple[float, Tensor, Tensor]:
    """Run both networks; return their CPU seconds and their features."""
    started = time.process_time()
    visual, audio = extractor.visual(frames), extractor.audio(sound)
    return time.process_time() - started, visual, audio


def error(found: Tensor, expected: Tensor) -> float:
    """Compute the largest difference, relative to the largest feature."""
    return float((found - expected).abs().max() / expected.abs().max())


def main() -> None:
    """Measure and print rates, ratio and error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=64, help="width of the networks")
    parser.add_argument("--seconds", type=int, default=2, help="seconds of video in the batch")
    parser.add_argument("--rounds", type=int, default=5, help="number of rounds; the median counts")
    # If a core is busy, several threads wait for each other, and this waiting counts as CPU time.
    parser.add_argument("--threads", type=int, default=1, help="number of threads")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    options = ExtractorOptions(weights="untrained", width=arguments.width)
    weights, cpu = resolve_weights("untrained", cache_dir=Path("unused")), torch.device("cpu")
    eager = load_selavi(options, weights, device=cpu)
    started = time.perf_counter()
    compiled = load_selavi(options, weights, device=cpu, runtime="openvino")
    loading = time.perf_counter() - started
    print(f"width {arguments.width}: loaded for OpenVINO in {loading:.1f} s, including random weights")
    frames, sound = seconds_of_samples(arguments.seconds, eager.audio_rate_hz)
    ratios, errors = [], []
    for number in range(arguments.rounds + 1):
        eager_time, *expected = timed(eager, frames, sound)
        compiled_time, *found = timed(compiled, frames, sound)
        errors.append(max(map(error, found, expected)))
        if number:  # the first round is a warm-up
            ratios.append(eager_time / compiled_time)
            rates = [len(frames) / taken for taken in (eager_time, compiled_time)]
            shown = f"eager {rates[0]:.2f}, openvino {rates[1]:.2f}, ratio {ratios[-1]:.2f}"
            print(f"  seconds of video per CPU second: {shown}", flush=True)
    print(
        f"width {arguments.width}, {arguments.threads} threads: median ratio {statistics.median(ratios):.2f}, "
        f"relative error {max(errors):.1e}"
    )


if __name__ == "__main__":
    main()
