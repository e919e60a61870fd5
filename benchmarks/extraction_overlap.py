"""Claim: decoding hides behind the network; extraction end to end is nearly as fast as the network alone.

Runs the sample videos through both in one run, alternately, and prints the rates and their ratio.
"""

import argparse
import itertools
import time
from pathlib import Path

import torch

from extractors.decoding import DecodingRequest
from extractors.decoding_pool import DecodingPool
from extractors.extraction import VideoFeatures, extract_videos
from extractors.selavi import ExtractorOptions, SelaviExtractor, load_selavi
from extractors.weights import resolve_weights

SAMPLES = Path(__file__).parent.parent / "sample_videos"
BATCH_SECONDS = 8


def network_alone(extractor: SelaviExtractor, seconds: int) -> float:
    """Seconds of video a second through both networks, from memory."""
    frames = torch.rand(BATCH_SECONDS, 30, 3, 112, 112)
    sound = torch.randint(-3000, 3000, (BATCH_SECONDS, extractor.audio_rate_hz), dtype=torch.int16)
    started = time.perf_counter()
    batches = max(1, seconds // BATCH_SECONDS)
    for _ in range(batches):
        extractor.visual(frames.to(extractor.device)).cpu()
        extractor.audio(sound.to(extractor.device)).cpu()
    return batches * BATCH_SECONDS / (time.perf_counter() - started)


def end_to_end(extractor: SelaviExtractor, clips: list[Path], workers: int) -> tuple[float, int]:
    """Seconds of video a second from files to vectors, and how many there were; the pool is warm."""
    requests = [(str(clip), DecodingRequest(path=clip, audio_rate_hz=extractor.audio_rate_hz)) for clip in clips]
    with DecodingPool(workers=workers) as pool:
        list(extract_videos(requests[:1], extractor, pool=pool, batch_seconds=BATCH_SECONDS))
        started = time.perf_counter()
        results = extract_videos(requests[1:], extractor, pool=pool, batch_seconds=BATCH_SECONDS)
        seconds = sum(result.seconds for result in results if isinstance(result, VideoFeatures))
        return seconds / (time.perf_counter() - started), seconds


def main() -> None:
    """Alternate both measurements and print ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    options = ExtractorOptions(weights="untrained", width=arguments.width)
    extractor = load_selavi(options, resolve_weights("untrained", cache_dir=Path("unused")), device=device)
    clips = list(itertools.islice(sorted(SAMPLES.glob("*/00*.mp4")), arguments.clips + 1))
    ratios = []
    for _ in range(arguments.rounds):
        whole, seconds = end_to_end(extractor, clips, arguments.workers)
        alone = network_alone(extractor, seconds)
        ratios.append(whole / alone)
        rates = f"network alone {alone:.2f} s/s, end to end {whole:.2f} s/s"
        print(f"width {arguments.width}, {device}: {rates}, ratio {ratios[-1]:.2f}")
    print(f"median ratio {sorted(ratios)[len(ratios) // 2]:.2f}")


if __name__ == "__main__":
    main()
