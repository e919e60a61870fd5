"""Cross-attention: one modality asks the other (DAAN paper, fig. 2; the block of AVCA)."""

import torch.nn.functional as F
from torch import Tensor, nn

from daan.qdma import Encoded
from daan.sequences import masked_mean


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
