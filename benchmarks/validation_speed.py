"""Claim: validating 15,000 videos against 300 classes takes under 2 s on 2 cores and grows linearly with the videos.

It starts from embeddings and computes distances, metrics by all three scores with the exact beta, both published grids
and the temperature. For comparison it also finds the exact beta of fewer videos by computing the metrics for every
candidate.
"""

import time
from collections.abc import Callable, Iterator

import numpy as np
import torch

from daan.scoring import class_distances
from pipeline.scoring.calibration import HarmonicMeans
from pipeline.scoring.held_out import MOST_VIDEOS
from pipeline.scoring.metrics import gzsl_metrics, harmonic_mean, recall_per_class
from pipeline.scoring.score_videos import (
    SCORES,
    VIDEOS_AT_ONCE,
    DistanceChunk,
    ScoredVideos,
    evenly_chosen,
    score_distances,
)
from pipeline.training.validation import Validation

VIDEOS, CLASSES, SEEN, WIDTH = 15_000, 300, 200, 300
FEW_VIDEOS = 500
ROUNDS = 5


class Embeddings:
    """Videos scattered around their classes; seen classes are easier, as after training."""

    def __init__(self, videos: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.theta_w = torch.randn(CLASSES, WIDTH, generator=generator)
        self.labels = torch.randint(CLASSES, (videos,), generator=generator)
        self.seen = np.arange(CLASSES) < SEEN
        centres = self.theta_w[self.labels] * torch.where(self.labels < SEEN, 0.4, 0.2)[:, None]
        self.theta_a, self.theta_v = torch.randn(2, videos, WIDTH, generator=generator) + centres

    def chunks(self) -> Iterator[DistanceChunk]:
        """Compute the distances in chunks, as a method does."""
        for rows in torch.split(torch.arange(len(self.labels)), VIDEOS_AT_ONCE):
            present = torch.ones(len(rows), dtype=torch.bool)
            distances = class_distances(
                self.theta_a[rows], self.theta_v[rows], self.theta_w, has_audio=present, has_visual=present
            )
            yield DistanceChunk(rows.numpy(), distances)

    def validate(self) -> Validation:
        """Do everything that is timed."""
        sample = evenly_chosen(len(self.labels), MOST_VIDEOS)
        scored = score_distances(self.chunks(), len(self.labels), self.seen, scores=SCORES, sample=sample)
        return Validation.of_scored(scored, self.labels.numpy(), score="sum", calibrate=True)

    def scored(self) -> ScoredVideos:
        """Compute the scores and keep every distance."""
        all_videos = np.arange(len(self.labels))
        return score_distances(self.chunks(), len(self.labels), self.seen, scores=SCORES, sample=all_videos)


def seconds(function: Callable[[], object]) -> float:
    """Time a call in seconds."""
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def every_candidate(scored: ScoredVideos, seen: np.ndarray, labels: np.ndarray) -> list[float]:
    """Find the best HM of each score by computing the metrics for one beta between any two switching betas."""
    best = []
    for score in SCORES:
        switching_betas, distances, found = (
            np.unique(scored.nearest[score].switching_betas),
            scored.sample_distances[score],
            0.0,
        )
        for beta in (switching_betas[:-1] + switching_betas[1:]) / 2:
            recall = recall_per_class(np.argmin(distances + np.where(seen, beta, 0.0), axis=1), labels, CLASSES)
            found = max(found, float(harmonic_mean(np.nanmean(recall[seen]), np.nanmean(recall[~seen]))))
        best.append(found)
    return best


def one_sort(scored: ScoredVideos, labels: np.ndarray) -> list[float]:
    """Find the best HM of each score with one sort per score."""
    means = {score: HarmonicMeans.over_betas(scored.nearest[score], labels) for score in SCORES}
    return [gzsl_metrics(scored.nearest[score], labels, means[score].best_beta()).HM for score in SCORES]


def main() -> None:
    """Time the small and the large set in turns, so that a busy machine slows both."""
    torch.set_num_threads(2)
    small, large, few = (Embeddings(videos) for videos in (VIDEOS, 2 * VIDEOS, FEW_VIDEOS))
    validation = small.validate()
    times = [(seconds(small.validate), seconds(large.validate)) for _ in range(ROUNDS)]
    best_small, best_large = (min(column) for column in zip(*times, strict=True))
    figures = f"HM {validation.metrics.HM:.1f} at beta {validation.metrics.beta:.2f}"
    print(f"{VIDEOS:6d} videos x {CLASSES} classes: {best_small:.2f} s ({figures}; {torch.get_num_threads()} threads)")
    print(f"{2 * VIDEOS:6d} videos x {CLASSES} classes: {best_large:.2f} s")
    print(f"ratio {best_large / best_small:.2f} for 2 x the videos")
    scored, labels = few.scored(), few.labels.numpy()
    np.testing.assert_allclose(one_sort(scored, labels), every_candidate(scored, few.seen, labels), rtol=1e-9)
    fast = min(seconds(lambda: one_sort(scored, labels)) for _ in range(ROUNDS))
    slow = seconds(lambda: every_candidate(scored, few.seen, labels))
    print(f"{FEW_VIDEOS:6d} videos, exact beta by one sort: {1e3 * fast:.2f} ms")
    print(f"{FEW_VIDEOS:6d} videos, scoring every candidate: {1e3 * slow:.0f} ms, {slow / fast:.0f} x as long, same HM")


if __name__ == "__main__":
    main()
