"""Claim: the peak memory of evaluation does not grow with the videos, because distances are computed in chunks.

It computes metrics of generated embeddings, which are also made in chunks, in new processes. It compares some videos,
four times as many, and four times as many with every distance kept. The last one shows what chunks save.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from daan.scoring import class_distances
from pipeline.scoring.metrics import confusion_matrix, gzsl_metrics
from pipeline.scoring.score_videos import SCORES, VIDEOS_AT_ONCE, DistanceChunk, score_distances

VIDEOS, CLASSES, SEEN, WIDTH = 15_000, 300, 200, 300


def chunks(videos: int) -> Iterator[DistanceChunk]:
    """Make the distances of random embeddings in chunks, without keeping earlier chunks."""
    generator, theta_w = torch.Generator().manual_seed(0), torch.randn(CLASSES, WIDTH)
    for rows in torch.split(torch.arange(videos), VIDEOS_AT_ONCE):
        theta = torch.randn(2, len(rows), WIDTH, generator=generator)
        present = torch.ones(len(rows), dtype=torch.bool)
        distances = class_distances(theta[0], theta[1], theta_w, has_audio=present, has_visual=present)
        yield DistanceChunk(rows.numpy(), distances)


def evaluate(videos: int, *, keep: bool) -> None:
    """Compute scores and metrics, then print the peak memory (run in the new process)."""
    torch.set_num_threads(1)
    seen, labels = np.arange(CLASSES) < SEEN, np.arange(videos) % CLASSES
    sample = np.arange(videos) if keep else None
    scored = score_distances(chunks(videos), videos, seen, scores=SCORES, sample=sample)
    for score in SCORES:
        gzsl_metrics(scored.nearest[score], labels, 0.0)
        confusion_matrix(scored.nearest[score].predictions(0.0), labels, CLASSES)
    # The value of getrusage would include the parent's peak (Linux).
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(int(status["VmHWM"].split()[0]) / 1024)


def peak_mib(videos: int, kept: str) -> float:
    """Evaluate in a new process and return the peak resident memory of that process."""
    command = [sys.executable, __file__, str(videos), kept]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Measure and compare the peaks."""
    small, large = peak_mib(VIDEOS, "chunks"), peak_mib(4 * VIDEOS, "chunks")
    whole = peak_mib(4 * VIDEOS, "all")
    print(f"{VIDEOS:6d} videos x {CLASSES} classes: peak {small:.0f} MiB")
    print(f"{4 * VIDEOS:6d} videos x {CLASSES} classes: peak {large:.0f} MiB")
    print(f"ratio {large / small:.3f} for 4 x the videos; {whole / small:.3f} with every distance kept")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        evaluate(int(sys.argv[1]), keep=sys.argv[2] == "all")
    else:
        main()
