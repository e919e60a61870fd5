"""Ragged sequences as padded tensors with a mask. Legend: B videos, T seconds, D features.

A mask (B, T) is True where a second is valid. What stands at an invalid second of the input, even NaN, never reaches a
result: `with_stand_in` replaces it by zeros. Inside the network invalid seconds hold finite values without meaning, so
that there a weight of zero is enough.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


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
