"""Distances from videos to classes (daan/README.md). Legend: N videos, C classes, O output width."""

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
    only_audio, only_visual = (has_audio & ~has_visual)[:, None], (has_visual & ~has_audio)[:, None]
    counted_audio = torch.where(only_visual, visual, audio)
    counted_visual = torch.where(only_audio, audio, visual)
    return {"audio": audio, "visual": visual, "sum": counted_audio + counted_visual}


def euclidean(theta: Tensor, theta_w: Tensor) -> Tensor:
    """Compute distances (N, C) of embeddings (N, O) and (C, O) with one matrix product.

    By default torch chooses the method by the number of rows, so results would depend on the batch size.
    """
    return torch.cdist(theta, theta_w, compute_mode="use_mm_for_euclid_dist")
