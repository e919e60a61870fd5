"""Differential attention over the seconds of one modality (DAAN paper, eq. 1, and the norm of eq. 2)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DifferentialAttention(nn.Module):
    """The difference of two softmax maps on one set of values, as in Differential Transformer (arXiv 2410.05258).

    Queries and keys are halved, values stay whole, so a head of width H / heads has two maps from halves of width
    d = H / (2 * heads). The paper's sentence can also be read as queries from audio, keys from visual and values from
    the label's text; a label is unknown at test time, so here all three come from the modality itself (C).

    Args:
        input_width: D.
        hidden_width: H, a multiple of 2 * heads.
        heads: number of heads.
        beta: weight of the second map.
    """

    def __init__(self, input_width: int, hidden_width: int, *, heads: int, beta: float) -> None:
        super().__init__()
        self.heads, self.beta = heads, beta
        # One product for W_Q, W_K and W_V: they read the same seconds.
        self.query_key_value = nn.Linear(input_width, 3 * hidden_width, bias=False)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Attend (B, T, D) under a mask (B, T) with a valid second per video; (B, T, H), normalised per head."""
        batch, seconds, _ = x.shape
        query, key, value = self.query_key_value(x).chunk(3, dim=-1)
        halves = (batch, seconds, self.heads, 2, -1)
        query = query.view(halves).permute(0, 2, 3, 1, 4)  # (B, heads, 2, T, d)
        key = key.view(halves).permute(0, 2, 3, 4, 1)  # (B, heads, 2, d, T)
        value = value.view(batch, seconds, self.heads, -1).transpose(1, 2)  # (B, heads, T, 2d)
        scores = (query * query.shape[-1] ** -0.5) @ key  # (B, heads, 2, T, T)
        maps = scores.masked_fill(~mask[:, None, None, None, :], -torch.inf).softmax(-1)
        first, second = maps.unbind(2)
        # DAAN paper, eq. 1: o1 = [softmax(Q1 K1^T / sqrt(d)) - beta softmax(Q2 K2^T / sqrt(d))] V
        attended = (first - self.beta * second) @ value  # (B, heads, T, 2d)
        # DAAN paper, eq. 2, GroupNorm: each head of each second alone, as Differential Transformer does. It has no
        # weights of its own: the linear layer behind it can express them, and torch's GroupNorm is slow on single rows.
        normalised = F.layer_norm(attended, attended.shape[-1:])
        return normalised.transpose(1, 2).flatten(2)
