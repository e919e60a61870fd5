"""Layers that the methods share (daan/pages/README.md). Legend: B videos, N tokens, D width of a token."""

import torch.nn.functional as F
from torch import Tensor, nn

from daan.batch import VideoBatch
from daan.dropout import Dropout
from daan.masked import RowBatchNorm, masked_mean


def single(input_width: int, output_width: int, *, dropout: float) -> nn.Sequential:
    """Build one layer from (B, input_width) to (B, output_width): Linear, BatchNorm, ReLU, Dropout."""
    return nn.Sequential(nn.Linear(input_width, output_width), RowBatchNorm(output_width), nn.ReLU(), Dropout(dropout))


def double(
    input_width: int, hidden_width: int, output_width: int, *, dropout: float, momentum: float = 0.1
) -> nn.Sequential:
    """Build two such layers one after the other.

    Args:
        input_width: width of the input (B, input_width).
        hidden_width: width between the layers.
        output_width: width of the output (B, output_width).
        dropout: dropout of both layers.
        momentum: weight of a new batch in the running statistics of the second BatchNorm.
    """
    return nn.Sequential(
        *single(input_width, hidden_width, dropout=dropout),
        nn.Linear(hidden_width, output_width),
        RowBatchNorm(output_width, momentum=momentum),
        nn.ReLU(),
        Dropout(dropout),
    )


def mlp(input_width: int, hidden_width: int, output_width: int, *, dropout: float) -> nn.Sequential:
    """Build one layer as `single` and a Linear layer after it."""
    return nn.Sequential(*single(input_width, hidden_width, dropout=dropout), nn.Linear(hidden_width, output_width))


def text_layer(text_width: int, output_width: int) -> nn.Module:
    """Build the layer that the rivals of ClipClap have in front of the class embeddings of CLIP and CLAP.

    Args:
        text_width: width of a class embedding (C, text_width).
        output_width: width of the output; 0 for no layer, which leaves class embeddings as they are.
    """
    return single(text_width, output_width, dropout=0.1) if output_width else nn.Identity()


def feed_forward(width: int, hidden_width: int, dropout: float) -> nn.Sequential:
    """Build the feed-forward layer of a transformer: Linear, GELU, Dropout, Linear, Dropout."""
    return nn.Sequential(
        nn.Linear(width, hidden_width), nn.GELU(), Dropout(dropout), nn.Linear(hidden_width, width), Dropout(dropout)
    )


class TokenTransformer(nn.Module):
    """Transformer layers over a few tokens per video, with LayerNorm before each part and none at the end.

    Args:
        width: width D of a token.
        depth: number of layers.
        heads: number of heads.
        head_width: width of a head; `heads * head_width` may differ from the width of a token.
        feedforward_width: width of the feed-forward layer.
        dropout: dropout of both parts.
    """

    def __init__(
        self, width: int, *, depth: int, heads: int, head_width: int, feedforward_width: int, dropout: float
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.ModuleDict(
                {
                    "attention_norm": nn.LayerNorm(width),
                    "attention": SelfAttention(width, heads=heads, head_width=head_width, dropout=dropout),
                    "feedforward_norm": nn.LayerNorm(width),
                    "feedforward": feed_forward(width, feedforward_width, dropout),
                }
            )
            for _ in range(depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Pass tokens (B, N, D) through attention to the tokens of their video, and through the feed-forward layers."""
        for layer in self.layers:
            x = x + layer["attention"](layer["attention_norm"](x))  # type: ignore[index]
            x = x + layer["feedforward"](layer["feedforward_norm"](x))  # type: ignore[index]
        return x


class SelfAttention(nn.Module):
    """Attention of each token to all tokens of its video; queries, keys and values have no bias.

    Args:
        width: width D of a token.
        heads: number of heads.
        head_width: width of a head.
        dropout: dropout of the output.
    """

    def __init__(self, width: int, *, heads: int, head_width: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.queries_keys_values = nn.Linear(width, 3 * heads * head_width, bias=False)
        self.output = nn.Sequential(nn.Linear(heads * head_width, width), Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        """Attend: (B, N, D) -> (B, N, D)."""
        query, key, value = self.queries_keys_values(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        found: Tensor = self.output(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))
        return found


def averaged(videos: VideoBatch) -> tuple[Tensor, Tensor]:
    """Average the valid seconds of each modality: audio (B, Da) and visual (B, Dv).

    A modality that a video lacks becomes zeros (C: the published data has no such video).
    """
    return _averaged(videos.audio, videos.audio_mask), _averaged(videos.visual, videos.visual_mask)


def _averaged(x: Tensor, mask: Tensor) -> Tensor:
    present = mask.any(1, keepdim=True)
    if x.shape[1] == 1:
        return x[:, 0].where(present, 0.0)
    if x.shape[1] == 0:
        return x.new_zeros(len(x), x.shape[-1])
    counted = mask | ~present  # no division by 0; the result is not used
    return masked_mean(x.where(mask[..., None], 0.0), counted).where(present, 0.0)
