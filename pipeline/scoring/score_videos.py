"""Score videos against classes with a trained network, chunk by chunk, without an (N, C) matrix in memory.

Legend: N videos, B videos per chunk, C classes, W width of a class embedding, O output width, M sampled videos.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from daan.network import Daan
from daan.scoring import class_distances
from pipeline.base.errors import PipelineError
from pipeline.features.feature_set import FeatureSet, Standardiser
from pipeline.scoring.nearest_classes import Flags, Indices, NearestClasses

SCORES = ("audio", "visual", "sum")
VIDEOS_AT_ONCE = 256


@dataclass(frozen=True)
class EmbeddedVideos:
    """The embeddings of one chunk of videos in the space of the classes."""

    rows: Indices  # (B,) indices among the N videos
    theta_a: Tensor  # (B, O)
    theta_v: Tensor  # (B, O)
    has_audio: Tensor  # (B,) bool
    has_visual: Tensor  # (B,) bool


@dataclass(frozen=True)
class ScoredVideos:
    """The nearest classes of N videos and the distances of a sample, by score (audio, visual, sum)."""

    nearest: Mapping[str, NearestClasses]
    sample: Indices  # (M,) ascending, indices of the videos whose distances are kept
    sample_distances: Mapping[str, NDArray[np.float32]]  # (M, C)


def evenly_chosen(n_videos: int, at_most: int) -> Indices:
    """Choose at most `at_most` evenly spaced indices (M,) of `n_videos` videos."""
    chosen = min(n_videos, at_most)
    return np.arange(chosen, dtype=np.int64) * n_videos // max(chosen, 1)


@torch.inference_mode()
def score_videos(
    network: Daan,
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
    theta_w = network.embed_classes(class_vectors.to(device))
    chunks = _embedded(network, features, indices, standardiser, device)
    scored = score_embeddings(chunks, len(indices), theta_w, seen, sample=sample)
    network.train(was_training)
    return scored


@torch.inference_mode()
def score_embeddings(
    chunks: Iterable[EmbeddedVideos], n_videos: int, theta_w: Tensor, seen: Flags, *, sample: Indices | None = None
) -> ScoredVideos:
    """Score embedded videos against C classes.

    Args:
        chunks: chunks that contain each of the N videos once, in any order.
        n_videos: N.
        theta_w: (C, O), on the device of the chunks.
        seen: (C,) which classes were trained on.
        sample: (M,) ascending, indices of the N videos whose distances are all kept; None for no video.
    """
    sample = np.zeros(0, np.int64) if sample is None else sample
    kept = {score: np.zeros((len(sample), len(theta_w)), np.float32) for score in SCORES}
    # Filled in place: small new arrays between the large ones of the chunks would fragment the memory.
    nearest = {score: NearestClasses.blank(n_videos, seen) for score in SCORES}
    for chunk in chunks:
        _, in_chunk, in_sample = np.intersect1d(chunk.rows, sample, assume_unique=True, return_indices=True)
        by_score = class_distances(
            chunk.theta_a, chunk.theta_v, theta_w, has_audio=chunk.has_audio, has_visual=chunk.has_visual
        )
        for score in SCORES:
            distances = by_score[score].cpu().numpy()
            nearest[score].put(chunk.rows, NearestClasses.from_distances(distances, seen))
            kept[score][in_sample] = distances[in_chunk]
    return ScoredVideos(nearest, sample, kept)


def _embedded(
    network: Daan, features: FeatureSet, indices: Tensor, standardiser: Standardiser, device: torch.device
) -> Iterator[EmbeddedVideos]:
    """Embed videos in chunks of similar length, so that there is little padding."""
    order = torch.argsort(features.seconds[indices], stable=True)
    for rows in torch.split(order, VIDEOS_AT_ONCE) if len(order) else ():
        batch = features.batch(indices[rows], standardiser, device)
        theta_a, theta_v = network.embed_videos(batch)
        finite = (torch.isfinite(theta_a) & torch.isfinite(theta_v)).all(1)
        if not finite.all():
            video = features.keys[int(indices[rows[int(finite.int().argmin())]])]
            raise PipelineError(
                f"the network gives {video!r} an embedding that is not finite: its training diverged. "
                "Train again with a lower training.learning_rate"
            )
        yield EmbeddedVideos(rows.numpy(), theta_a, theta_v, batch.audio_mask.any(1), batch.visual_mask.any(1))
