"""Differential attention over the seconds of one modality (DAAN paper, eq. 1, and the norm of eq. 2)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from daan.dropout import Dropout
from daan.masked import Encoded, masked_mean


class DifferentialAttention(nn.Module):
    """The difference of two softmax maps on the same values, as in Differential Transformer (arXiv 2410.05258).

    Queries and keys are split into two halves; values stay whole. A head of width H / heads thus has two maps, from
    halves of width d = H / (2 * heads). The paper's sentence can also mean queries from audio, keys from visual and
    values from the label's text. A label is unknown at test time, so all three come from the modality itself (C).

    Args:
        input_width: width D of the input.
        hidden_width: width H of the output, a multiple of 2 * heads.
        heads: number of heads.
        beta: weight of the second map.
    """

    def __init__(self, input_width: int, hidden_width: int, *, heads: int, beta: float) -> None:
        super().__init__()
        self.heads, self.beta = heads, beta
        self.query, self.key, self.value = (nn.Linear(input_width, hidden_width, bias=False) for _ in range(3))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Attend over seconds (B, T, D) and return (B, T, H), normalised per head.

        Args:
            x: features (B, T, D).
            mask: valid seconds (B, T), at least one per video.
        """
        batch, seconds, _ = x.shape
        value = self.value(x).view(batch, seconds, self.heads, -1).transpose(1, 2)  # (B, heads, T, 2d)
        # DAAN paper, eq. 1: o1 = [softmax(Q1 K1^T / sqrt(d)) - beta softmax(Q2 K2^T / sqrt(d))] V
        if seconds == 1:
            # Each softmax over one second is 1. W_Q and W_K have no effect and no gradient, so they are not computed.
            attended = (1 - self.beta) * value
        else:
            first, second = self.maps(x, mask).unbind(2)
            attended = (first - self.beta * second) @ value  # (B, heads, T, 2d)
        # DAAN paper, eq. 2, GroupNorm: each head of each second is normalised separately, as in Differential
        # Transformer. It has no weights of its own: the linear layer after it can express them. layer_norm computes
        # it, because torch's GroupNorm is slow on single rows.
        normalised = F.layer_norm(attended, attended.shape[-1:])
        return normalised.transpose(1, 2).flatten(2)

    def maps(self, x: Tensor, mask: Tensor) -> Tensor:
        """Compute both softmax maps (B, heads, 2, T, T) of features (B, T, D); their rows add up to 1."""
        halves = (*x.shape[:2], self.heads, 2, -1)
        query = self.query(x).view(halves).permute(0, 2, 3, 1, 4)  # (B, heads, 2, T, d)
        key = self.key(x).view(halves).permute(0, 2, 3, 4, 1)  # (B, heads, 2, d, T)
        scores: Tensor = (query * query.shape[-1] ** -0.5) @ key
        return scores.masked_fill(~mask[:, None, None, None, :], -torch.inf).softmax(-1)


class CrossAttention(nn.Module):
    """Multi-head attention over the other modality's seconds, then a feed-forward layer, both residual.

    Layer normalisation comes before each of the two (C), so that the residual path carries the modality's own phi
    unchanged. Audio and visual have separate blocks (C).

    Args:
        width: width H of input and output, a multiple of heads.
        heads: number of heads.
        feedforward_width: width of the feed-forward layer.
        dropout: probability to drop a value that attention or the feed-forward layer adds.
    """

    def __init__(self, width: int, *, heads: int, feedforward_width: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query_norm, self.other_norm, self.feedforward_norm = (nn.LayerNorm(width) for _ in range(3))
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.output = nn.Linear(width, width)
        self.feedforward = nn.Sequential(
            nn.Linear(width, feedforward_width),
            nn.GELU(),
            # No bias: phi^c next passes the projection's normalisation, which would cancel a bias.
            nn.Linear(feedforward_width, width, bias=False),
        )
        self.dropout = Dropout(dropout)

    def forward(self, queries: Encoded, context: Encoded) -> Tensor:
        """Compute phi^c (B, H) of the modality with the queries: apply the block, and average over the valid seconds.

        Args:
            queries: modality that gives the queries.
            context: modality that gives the keys and values.
        """
        x = queries.seconds
        x = x + self.dropout(self.attend(x, context.seconds, context.mask))
        x = x + self.dropout(self.feedforward(self.feedforward_norm(x)))
        return masked_mean(x, queries.mask)

    def attend(self, queries: Tensor, context: Tensor, context_mask: Tensor) -> Tensor:
        """Normalise, and compute multi-head attention (B, T, H), or (B, 1, H) if there is one second to attend to.

        Args:
            queries: input (B, T, H) of the queries.
            context: input (B, S, H) of the keys and values.
            context_mask: valid seconds (B, S) of `context`.
        """
        context = self.other_norm(context)
        if context.shape[1] == 1:  # a softmax over one second is 1, so queries and keys have no effect
            attended = self.value(context)  # (B, 1, H), the same for every query
        else:
            query, key, value = (
                self._by_head(each)
                for each in (self.query(self.query_norm(queries)), self.key(context), self.value(context))
            )
            mask = context_mask[:, None, None, :]
            attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2).flatten(2)
        output: Tensor = self.output(attended)
        return output

    def _by_head(self, x: Tensor) -> Tensor:
        """Reshape (B, T, H) to (B, heads, T, H / heads)."""
        return x.view(*x.shape[:-1], self.heads, -1).transpose(1, 2)
