"""QDMA: quality-discrepancy mitigation attention, the encoder of one modality (DAAN paper, eq. 1 to 4)."""

from typing import NamedTuple

from torch import Tensor, nn

from daan.attention import DifferentialAttention
from daan.config import DaanConfig
from daan.masked import Encoded, MaskedBatchNorm, masked_mean
from daan.temporal_convolution import TemporalBypass


class Branches(NamedTuple):
    """The layers of an encoder that CSGM modulates: all except normalisation layers (C)."""

    attention: tuple[nn.Linear, ...]  # p = 1: attention and refinement
    bypass: tuple[nn.Linear, ...]  # p = 2: the temporal bypass


class Qdma(nn.Module):
    """Differential attention with its refinement, and a temporal bypass next to them.

    In the paper, cross-attention reads the vector phi. Here it reads a sequence (C): o3 at each second, plus the last
    output of the bypass. The mean of this sequence is exactly phi; with one second the sequence is phi.

    Args:
        input_width: width D of the modality.
        config: options of the network.
    """

    def __init__(self, input_width: int, config: DaanConfig) -> None:
        super().__init__()
        width = config.hidden_width
        self.attention = DifferentialAttention(input_width, width, heads=config.heads, beta=config.beta)
        # No bias: the normalisation after it would cancel it, and under Adam it would drift with rounding errors.
        self.refinement = nn.Linear(width, width, bias=False)
        self.norm = MaskedBatchNorm(width)
        self.dropout = nn.Dropout(config.dropout)
        self.bypass = TemporalBypass(
            input_width, width, kernel=config.tcn_kernel, gaps=config.tcn_gaps, dropout=config.dropout
        )

    @property
    def branches(self) -> Branches:
        """The layers that CSGM modulates."""
        return Branches((self.attention.query_key_value, self.refinement), self.bypass.layers)

    def forward(self, x: Tensor, mask: Tensor) -> Encoded:
        """Encode the seconds of B videos.

        Args:
            x: features (B, T, D), zeros at invalid seconds.
            mask: valid seconds (B, T), at least one per video.
        """
        refined = self.refine(x, mask)
        bypassed = self.bypass(x, mask)
        phi = masked_mean(refined, mask) + bypassed  # DAAN paper, eq. 4
        return Encoded(phi=phi, seconds=refined + bypassed[:, None], mask=mask)

    def refine(self, x: Tensor, mask: Tensor) -> Tensor:
        """Compute o3 (B, T, H) of features (B, T, D) under a mask (B, T)."""
        attended = self.attention(x, mask)
        # DAAN paper, eq. 2: o3 = Dropout(ReLU(BatchNorm((1 - beta) Linear(GroupNorm(o1)))))
        scaled = (1 - self.attention.beta) * self.refinement(attended)
        refined: Tensor = self.dropout(self.norm(scaled, mask).relu())
        return refined


class AveragedMlp(nn.Module):
    """The encoder without QDMA, the base of the paper's ablation: an MLP over the averaged seconds.

    Args:
        input_width: width D of the modality.
        config: options of the network.
    """

    def __init__(self, input_width: int, config: DaanConfig) -> None:
        super().__init__()
        width = config.hidden_width
        self.layers = nn.Sequential(
            nn.Linear(input_width, width, bias=False),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(width, width),
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
