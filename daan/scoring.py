"""How far videos are from classes (daan.md, section 8). Legend: N videos, C classes, O output width."""

import torch
from torch import Tensor


def class_distances(
    theta_a: Tensor, theta_v: Tensor, theta_w: Tensor, *, has_audio: Tensor, has_visual: Tensor
) -> dict[str, Tensor]:
    """Euclidean distances (N, C) by each score: `audio`, `visual` and `sum`.

    In `sum` the one modality that a video has counts twice (C), so that all sums have one scale and one calibration
    fits them. A video with both or neither has the plain sum. `audio` and `visual` are plain distances, where the
    modality is absent those of its stand-in.

    Args:
        theta_a: (N, O) audio embeddings.
        theta_v: (N, O) visual embeddings.
        theta_w: (C, O) class embeddings.
        has_audio: (N,) bool.
        has_visual: (N,) bool.
    """
    audio, visual = _distances(theta_a, theta_w), _distances(theta_v, theta_w)
    only_audio, only_visual = (has_audio & ~has_visual)[:, None], (has_visual & ~has_audio)[:, None]
    counted_audio = torch.where(only_visual, visual, audio)
    counted_visual = torch.where(only_audio, audio, visual)
    return {"audio": audio, "visual": visual, "sum": counted_audio + counted_visual}


def _distances(theta: Tensor, theta_w: Tensor) -> Tensor:
    """(N, C) by one matrix product. torch would choose the way by the number of rows, and batches would differ."""
    return torch.cdist(theta, theta_w, compute_mode="use_mm_for_euclid_dist")
