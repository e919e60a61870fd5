"""Batch normalisation and means: of padded sequences over valid seconds only, and of rows."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MaskedBatchNorm(nn.Module):
    """Batch normalisation with the result of `nn.BatchNorm1d` on the concatenated valid seconds of a batch.

    The mask is used as weights. Gathering the valid rows instead would make the host wait for the GPU to learn their
    number. In training, a single valid second has no known variance. Its output is the bias, because the value is its
    own mean, and the running statistics do not change.

    Args:
        width: width D of a second.
        momentum: weight of a new batch in the running statistics.
        epsilon: number added to the variance.
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
        """Normalise each second.

        Args:
            x: values (B, T, D), all finite. Invalid seconds do not affect valid ones.
            mask: valid seconds (B, T), at least one per video.

        Returns:
            Values (B, T, D); those at invalid seconds have no meaning.
        """
        if torch.is_autocast_enabled(x.device.type):
            with torch.autocast(x.device.type, enabled=False):  # sums over a batch need float32
                return self.forward(x.float(), mask)
        if not self.training:
            scale = self.weight * torch.rsqrt(self.running_variance + self.epsilon)
            return torch.addcmul(self.bias, x - self.running_mean, scale)
        if x.shape[1] == 1 < len(x):  # all seconds are valid
            mean, variance = self.running_mean, self.running_variance
            return F.batch_norm(
                x[:, 0], mean, variance, self.weight, self.bias, True, self.momentum, self.epsilon
            ).unsqueeze(1)
        count = mask.sum().clamp_min(1)
        rows, weights = x.flatten(0, 1), mask.flatten().to(x.dtype) / count  # (B * T, D), (B * T,)
        mean = weights @ rows
        centred = rows - mean
        variance = weights @ centred.square()
        self._update(mean.detach(), variance.detach(), count)
        scale = self.weight * torch.rsqrt(variance + self.epsilon)
        return torch.addcmul(self.bias, centred, scale).reshape(x.shape)

    def _update(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Update the running statistics; the running variance is the unbiased one."""
        weight = torch.where(count > 1, self.momentum, 0.0).to(mean.dtype)
        unbiased = variance * (count / (count - 1).clamp_min(1))
        self.running_mean.lerp_(mean, weight)
        self.running_variance.lerp_(unbiased, weight)


class RowBatchNorm(nn.BatchNorm1d):
    """Batch normalisation of rows (N, D), also of a single row or of none.

    In training, a single row has no known variance. Its output is the bias, because the value is its own mean, and the
    running statistics do not change.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise rows (N, D)."""
        if self.training and len(x) <= 1:
            return self.bias + 0 * x
        return super().forward(x)


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Average the valid seconds of each video.

    Args:
        x: values (B, T, D), all finite.
        mask: valid seconds (B, T), at least one per video.

    Returns:
        Means (B, D).
    """
    if x.shape[1] == 1:
        return x.squeeze(1)
    weights = mask.to(x.dtype) / mask.sum(1, keepdim=True)
    return (weights[:, None] @ x).squeeze(1)


def with_stand_in(x: Tensor, mask: Tensor, stand_in: Tensor) -> tuple[Tensor, Tensor]:
    """Give each video without a valid second one valid second with the stand-in vector.

    Args:
        x: features (B, T, D); T may be 0.
        mask: valid seconds (B, T).
        stand_in: stand-in vector (D,).

    Returns:
        Features (B, T, D) with zeros at invalid seconds, and the mask (B, T), in which each video has a valid second.
        T is at least 1.
    """
    if mask.shape[1] == 0:
        x, mask = F.pad(x, (0, 0, 0, 1)), F.pad(mask, (0, 1))
    absent = ~mask.any(1, keepdim=True)  # (B, 1)
    if not x.is_cuda and not absent.any():  # a GPU would make the host wait for the answer
        # Without the stand-in, the gradient of the features is not needed either. If each video has one second, that
        # second is valid.
        return x if mask.shape[1] == 1 else torch.where(mask[..., None], x, 0.0), mask
    placed = torch.cat((absent, torch.zeros_like(mask[:, 1:])), dim=1)  # (B, T): the first second of an absent sequence
    x = torch.where(placed[..., None], stand_in, torch.where(mask[..., None], x, 0.0))
    return x, mask | placed


class Encoded(NamedTuple):
    """The output of a modality's encoder; `phi` is the mean of `seconds` over the valid ones."""

    phi: Tensor  # (B, H)
    seconds: Tensor  # (B, T, H); finite but without meaning at invalid seconds
    mask: Tensor  # (B, T) bool
