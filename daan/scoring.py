"""Distances from videos to classes (daan/README.md). Legend: N videos, C classes, O output width."""

from collections.abc import Mapping

import torch
from torch import Tensor


def class_distances(
    theta_a: Tensor, theta_v: Tensor, theta_w: Tensor, *, has_audio: Tensor, has_visual: Tensor
) -> dict[str, Tensor]:
    """Compute Euclidean distances (N, C) by each score: `audio`, `visual` and `sum`.

    If a video has only one modality, that modality counts twice in `sum` (C). All sums then have the same scale and can
    share one calibration. A video with both or neither has the plain sum. `audio` and `visual` are plain distances; for
    an absent modality they are the distances of its stand-in.

    Args:
        theta_a: audio embeddings (N, O).
        theta_v: visual embeddings (N, O).
        theta_w: class embeddings (C, O).
        has_audio: flags (N,), true if the video has audio.
        has_visual: flags (N,), true if the video has pictures.
    """
    audio, visual = euclidean(theta_a, theta_w), euclidean(theta_v, theta_w)
    return {
        "audio": audio,
        "visual": visual,
        "sum": summed(audio, visual, has_audio=has_audio, has_visual=has_visual),
    }


def distances_of(videos: Mapping[str, Tensor], theta_w: Tensor) -> dict[str, Tensor]:
    """Compute `class_distances` of embedded videos: `audio`, `visual` and what `VideoBatch.presence` returns."""
    return class_distances(
        videos["audio"], videos["visual"], theta_w, has_audio=videos["has_audio"], has_visual=videos["has_visual"]
    )


def summed(audio: Tensor, visual: Tensor, *, has_audio: Tensor, has_visual: Tensor) -> Tensor:
    """Add the distances (N, C) of both modalities; a video's only modality counts twice (C)."""
    only_audio, only_visual = (has_audio & ~has_visual)[:, None], (has_visual & ~has_audio)[:, None]
    return torch.where(only_visual, visual, audio) + torch.where(only_audio, audio, visual)


def euclidean(theta: Tensor, theta_w: Tensor) -> Tensor:
    """Compute distances (N, C) of embeddings (N, O) and (C, O) with one matrix product.

    By default torch chooses the method by the number of rows, so results would depend on the batch size.
    """
    return torch.cdist(theta, theta_w, compute_mode="use_mm_for_euclid_dist")
