"""Score videos against classes with a trained network, chunk by chunk, without an (N, C) matrix in memory.

Legend: N videos, B videos per chunk, C classes, W width of a class embedding, M sampled videos.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from daan.method import Method
from pipeline.base.errors import PipelineError
from pipeline.features.feature_set import FeatureSet, Standardiser
from pipeline.scoring.nearest_classes import Flags, Indices, NearestClasses

VIDEOS_AT_ONCE = 256


@dataclass(frozen=True)
class DistanceChunk:
    """The distances of one chunk of videos to all classes."""

    rows: Indices  # (B,) indices among the N videos
    distances: Mapping[str, Tensor]  # score -> (B, C)


@dataclass(frozen=True)
class ScoredVideos:
    """The nearest classes of N videos and the distances of a sample, by score."""

    nearest: Mapping[str, NearestClasses]
    sample: Indices  # (M,) ascending, indices of the videos whose distances are kept
    sample_distances: Mapping[str, NDArray[np.float32]]  # (M, C)


def evenly_chosen(n_videos: int, at_most: int) -> Indices:
    """Choose at most `at_most` evenly spaced indices (M,) of `n_videos` videos."""
    chosen = min(n_videos, at_most)
    return np.arange(chosen, dtype=np.int64) * n_videos // max(chosen, 1)


@torch.inference_mode()
def score_videos(
    network: Method,
    features: FeatureSet,
    indices: Tensor,
    class_vectors: Tensor,
    seen: Flags,
    standardiser: Standardiser,
    device: torch.device,
    *,
    sample: Indices | None = None,
) -> ScoredVideos:
    """Score N videos against C classes.

    Args:
        network: the network; its mode (training or evaluation) is the same afterwards.
        features: the features of all videos.
        indices: (N,) indices of the videos to score.
        class_vectors: (C, W), the class embeddings.
        seen: (C,) which classes were trained on.
        standardiser: the standardiser of the features, on `device`.
        device: the device of the network.
        sample: (M,) ascending, indices of the N videos whose distances are all kept; None for no video.

    Raises:
        PipelineError: an embedding is not finite.
    """
    was_training = network.training
    network.eval()
    classes = network.embed_classes(class_vectors.to(device))
    chunks = _distances(network, features, indices, classes, standardiser, device)
    scored = score_distances(chunks, len(indices), seen, scores=network.scores, sample=sample)
    network.train(was_training)
    return scored


@torch.inference_mode()
def score_distances(
    chunks: Iterable[DistanceChunk],
    n_videos: int,
    seen: Flags,
    *,
    scores: Sequence[str],
    sample: Indices | None = None,
) -> ScoredVideos:
    """Find the nearest classes of videos from their distances to C classes.

    Args:
        chunks: chunks that contain each of the N videos once, in any order.
        n_videos: N.
        seen: (C,) which classes were trained on.
        scores: the names of the scores.
        sample: (M,) ascending, indices of the N videos whose distances are all kept; None for no video.
    """
    sample = np.zeros(0, np.int64) if sample is None else sample
    kept = {score: np.zeros((len(sample), len(seen)), np.float32) for score in scores}
    # Filled in place: small new arrays between the large ones of the chunks would fragment the memory.
    nearest = {score: NearestClasses.blank(n_videos, seen) for score in scores}
    for chunk in chunks:
        _, in_chunk, in_sample = np.intersect1d(chunk.rows, sample, assume_unique=True, return_indices=True)
        for score in scores:
            distances = chunk.distances[score].cpu().numpy()
            nearest[score].put(chunk.rows, NearestClasses.from_distances(distances, seen))
            kept[score][in_sample] = distances[in_chunk]
    return ScoredVideos(nearest, sample, kept)


def _distances(
    network: Method,
    features: FeatureSet,
    indices: Tensor,
    classes: Tensor,
    standardiser: Standardiser,
    device: torch.device,
) -> Iterator[DistanceChunk]:
    """Compute the distances of videos in chunks of similar length, so that there is little padding."""
    order = torch.argsort(features.seconds[indices], stable=True)
    for rows in torch.split(order, VIDEOS_AT_ONCE) if len(order) else ():
        distances = network.distances(
            network.embed_videos(features.batch(indices[rows], standardiser, device)), classes
        )
        finite = torch.stack([each.isfinite().all(1) for each in distances.values()]).all(0)
        if not finite.all():
            video = features.keys[int(indices[rows[int(finite.int().argmin())]])]
            raise PipelineError(
                f"the network gives {video!r} an embedding that is not finite: its training diverged. "
                "Train again with a lower training.learning_rate"
            )
        yield DistanceChunk(rows.numpy(), distances)
