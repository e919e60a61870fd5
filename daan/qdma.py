"""QDMA: quality-discrepancy mitigation attention, the encoder of one modality (DAAN paper, eq. 1 to 4)."""

from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from daan.attention import DifferentialAttention
from daan.config import DaanConfig
from daan.dropout import Dropout
from daan.masked import Encoded, MaskedBatchNorm, RowBatchNorm, masked_mean
from daan.temporal_convolution import CausalConvolution, TemporalBypass

Layer = nn.Linear | CausalConvolution  # a layer that CSGM can modulate
BRANCH_AXIS = ("attention", "bypass")  # order of the branch axis; p = 1 and p = 2 of the paper


class Branches(NamedTuple):
    """The layers of an encoder that CSGM modulates: all except normalisation layers (C).

    C: the paper does not say what its parts p = 1 and p = 2 are.
    """

    attention: tuple[Layer, ...]  # p = 1: attention and refinement
    bypass: tuple[Layer, ...]  # p = 2: the temporal bypass; empty without it


class Qdma(nn.Module):
    """Differential attention with its refinement, and a temporal bypass of the refined features.

    In the paper, cross-attention reads the vector phi. Here it reads a sequence (C): o3 at each second, plus the last
    output of the bypass. The mean of this sequence is exactly phi; with one second the sequence is phi.

    Args:
        input_width: width D of the modality.
        config: options of the network.
    """

    def __init__(self, input_width: int, config: DaanConfig) -> None:
        super().__init__()
        width = config.hidden_width
        self.chunks = config.chunks if config.tokens == "chunks" else 0
        token_width = -(-input_width // self.chunks) if self.chunks else input_width
        self.attention = DifferentialAttention(token_width, width, heads=config.heads, beta=config.beta)
        # No bias: the normalisation after it would cancel it, and under Adam it would drift with rounding errors.
        self.refinement = nn.Linear(width, width, bias=False)
        self.norm = MaskedBatchNorm(width)
        self.dropout = Dropout(config.encoder_dropout)
        self.reads_refined = config.bypass_input == "refined"
        self.bypass: TemporalBypass | None = None
        if config.bypass == "on":
            self.bypass = TemporalBypass(
                width if self.reads_refined else token_width,
                width,
                kernel=config.tcn_kernel,
                gaps=config.tcn_gaps,
                dropout=config.encoder_dropout,
                adds_input=self.reads_refined,
            )

    @property
    def branches(self) -> Branches:
        """The layers that CSGM modulates."""
        attention = self.attention
        refined = (attention.query, attention.key, attention.value, self.refinement)
        return Branches(refined, self.bypass.layers if self.bypass is not None else ())

    def forward(self, x: Tensor, mask: Tensor) -> Encoded:
        """Encode the seconds of B videos.

        Args:
            x: features (B, T, D), zeros at invalid seconds.
            mask: valid seconds (B, T), at least one per video.
        """
        if self.chunks:
            x, mask = chunks_of_mean(x, mask, self.chunks)
        refined = self.refine(x, mask)
        if self.bypass is None:
            return Encoded(phi=masked_mean(refined, mask), seconds=refined, mask=mask)
        if not self.reads_refined:
            read = x
        elif x.shape[1] == 1:  # each video has a valid second, so no second is padding
            read = refined
        else:
            read = torch.where(mask[..., None], refined, 0.0)
        bypassed = self.bypass(read, mask)
        phi = masked_mean(refined, mask) + bypassed  # DAAN paper, eq. 4
        return Encoded(phi=phi, seconds=refined + bypassed[:, None], mask=mask)

    def refine(self, x: Tensor, mask: Tensor) -> Tensor:
        """Compute o3 (B, T, H) of features (B, T, D) under a mask (B, T)."""
        attended = self.attention(x, mask)
        # DAAN paper, eq. 2: o3 = Dropout(ReLU(BatchNorm((1 - beta) Linear(GroupNorm(o1))))). Batch normalisation
        # cancels the factor 1 - beta.
        scaled = (1 - self.attention.beta) * self.refinement(attended)
        refined: Tensor = self.dropout(self.norm(scaled, mask).relu())
        return refined


def chunks_of_mean(x: Tensor, mask: Tensor, chunks: int) -> tuple[Tensor, Tensor]:
    """Average the valid seconds of each video, and cut the average into chunks, which take the place of seconds (C).

    This is what the paper's "o3 is reshaped" can mean if a video is one vector. If D is not a multiple of n, zeros fill
    the last chunk.

    Args:
        x: features (B, T, D).
        mask: valid seconds (B, T), at least one per video.
        chunks: number n of chunks.

    Returns:
        Chunks (B, n, ceil(D / n)) and a mask (B, n) of True.
    """
    mean = masked_mean(x, mask)
    mean = F.pad(mean, (0, -mean.shape[1] % chunks))
    cut = mean.view(len(mean), chunks, -1)
    return cut, torch.ones(cut.shape[:2], dtype=torch.bool, device=x.device)


class AveragedMlp(nn.Module):
    """The encoder without QDMA, the base of the paper's ablation: the two-layer MLP of AVCA over the averaged seconds.

    Args:
        input_width: width D of the modality.
        config: options of the network.
    """

    def __init__(self, input_width: int, config: DaanConfig) -> None:
        super().__init__()
        widths, dropout = (input_width, config.hidden_width, config.hidden_width), config.encoder_dropout
        self.layers = nn.Sequential(
            *(
                layer
                for before, after in pairwise(widths)
                # No bias: the normalisation after it would cancel it.
                for layer in (nn.Linear(before, after, bias=False), RowBatchNorm(after), nn.ReLU(), Dropout(dropout))
            )
        )

    @property
    def branches(self) -> Branches:
        """The linear layers, all in the attention branch; the bypass branch is empty."""
        return Branches(tuple(layer for layer in self.layers if isinstance(layer, nn.Linear)), ())

    def forward(self, x: Tensor, mask: Tensor) -> Encoded:
        """Encode the average of each video as one second.

        Args:
            x: features (B, T, D), zeros at invalid seconds.
            mask: valid seconds (B, T), at least one per video.
        """
        phi = self.layers(masked_mean(x, mask))
        return Encoded(phi=phi, seconds=phi[:, None], mask=mask.any(1, keepdim=True))
