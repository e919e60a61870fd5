"""Batch normalisation of ragged sequences: statistics over valid seconds only."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MaskedBatchNorm(nn.Module):
    """What `nn.BatchNorm1d` computes from the valid seconds of a batch laid end to end.

    It weights seconds by the mask instead of gathering the valid rows, whose number the host could learn only by
    waiting for the GPU. With a single valid second in training its variance is unknown: the output is the bias there
    (the value is its own mean), and the running statistics stay as they were.

    Args:
        width: D.
        momentum: share of a new batch in the running statistics.
        epsilon: added to the variance.
    """

    running_mean: Tensor
    running_variance: Tensor

    def __init__(self, width: int, *, momentum: float = 0.1, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.momentum, self.epsilon = momentum, epsilon
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_variance", torch.ones(width))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Normalise (B, T, D), finite throughout; invalid seconds change nothing, what they become means nothing."""
        if torch.is_autocast_enabled(x.device.type):
            with torch.autocast(x.device.type, enabled=False):  # sums over a batch need float32
                return self.forward(x.float(), mask)
        if not self.training:
            scale = self.weight * torch.rsqrt(self.running_variance + self.epsilon)
            return torch.addcmul(self.bias, x - self.running_mean, scale)
        count = mask.sum().clamp_min(1)
        rows, weights = x.flatten(0, 1), mask.flatten().to(x.dtype) / count  # (B * T, D), (B * T,)
        mean = weights @ rows
        centred = rows - mean
        variance = weights @ centred.square()
        self._update(mean.detach(), variance.detach(), count)
        scale = self.weight * torch.rsqrt(variance + self.epsilon)
        return torch.addcmul(self.bias, centred, scale).reshape(x.shape)

    def _update(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Move the running statistics; the running variance is the unbiased one."""
        share = torch.where(count > 1, self.momentum, 0.0).to(mean.dtype)
        unbiased = variance * (count / (count - 1).clamp_min(1))
        self.running_mean.lerp_(mean, share)
        self.running_variance.lerp_(unbiased, share)


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """(B, D) mean over the valid seconds of (B, T, D), finite throughout; each video has at least one."""
    weights = mask.to(x.dtype) / mask.sum(1, keepdim=True)
    return (weights[:, None] @ x).squeeze(1)


def with_stand_in(x: Tensor, mask: Tensor, stand_in: Tensor) -> tuple[Tensor, Tensor]:
    """Give a video without any valid second one: the stand-in vector, alone.

    Args:
        x: (B, T, D); T may be 0.
        mask: (B, T).
        stand_in: (D,).

    Returns:
        (B, T, D) with zeros at invalid seconds, and the mask, in which every video has a valid second; T is at least 1.
    """
    if mask.shape[1] == 0:
        x, mask = F.pad(x, (0, 0, 0, 1)), F.pad(mask, (0, 1))
    absent = ~mask.any(1, keepdim=True)  # (B, 1)
    placed = torch.cat((absent, torch.zeros_like(mask[:, 1:])), dim=1)  # (B, T): the first second of an absent sequence
    x = torch.where(placed[..., None], stand_in, torch.where(mask[..., None], x, 0.0))
    return x, mask | placed


class Encoded(NamedTuple):
    """A modality behind its encoder; `phi` is the mean of `seconds` over the valid ones."""

    phi: Tensor  # (B, H)
    seconds: Tensor  # (B, T, H); finite, and of no meaning, at invalid seconds
    mask: Tensor  # (B, T) bool
