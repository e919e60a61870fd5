"""Differential attention over the seconds of one modality (DAAN paper, eq. 1, and the norm of eq. 2)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from daan.masked import Encoded, masked_mean


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


class CrossAttention(nn.Module):
    """Multi-head attention over the other modality's seconds, then a feed-forward layer, both residual.

    Layer normalisation stands before each of the two (C), so that the residual path carries the modality's own phi
    unchanged. Audio and visual have a block each (C).

    Args:
        width: H, a multiple of heads.
        heads: number of heads.
        feedforward_multiple: width of the feed-forward layer, in H.
        dropout: chance to drop a value of what each of the two adds.
    """

    def __init__(self, width: int, *, heads: int, feedforward_multiple: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query_norm, self.other_norm, self.feedforward_norm = (nn.LayerNorm(width) for _ in range(3))
        self.query = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(width, 2 * width, bias=False)
        self.output = nn.Linear(width, width)
        self.feedforward = nn.Sequential(
            nn.Linear(width, feedforward_multiple * width),
            nn.GELU(),
            # No bias: phi^c goes through the projection's normalisation, which would cancel it.
            nn.Linear(feedforward_multiple * width, width, bias=False),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, asking: Encoded, asked: Encoded) -> Tensor:
        """(B, H) phi^c of the asking modality: the block over its seconds, averaged over the valid ones."""
        x = asking.seconds
        x = x + self.dropout(self.attend(self.query_norm(x), self.other_norm(asked.seconds), asked.mask))
        x = x + self.dropout(self.feedforward(self.feedforward_norm(x)))
        return masked_mean(x, asking.mask)

    def attend(self, asking: Tensor, asked: Tensor, asked_mask: Tensor) -> Tensor:
        """(B, T, H) from queries of (B, T, H), keys and values of (B, S, H), valid where (B, S) says so."""
        query = self._by_head(self.query(asking))
        key, value = (self._by_head(part) for part in self.key_value(asked).chunk(2, dim=-1))
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=asked_mask[:, None, None, :])
        output: Tensor = self.output(attended.transpose(1, 2).flatten(2))
        return output

    def _by_head(self, x: Tensor) -> Tensor:
        """(B, T, H) to (B, heads, T, H / heads)."""
        return x.view(*x.shape[:-1], self.heads, -1).transpose(1, 2)
