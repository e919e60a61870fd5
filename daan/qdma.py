"""QDMA: quality-discrepancy mitigation attention, the encoder of one modality (DAAN paper, eq. 1 to 4)."""

from typing import NamedTuple

from torch import Tensor, nn

from daan.attention import DifferentialAttention
from daan.config import DaanConfig
from daan.masked import Encoded, MaskedBatchNorm, masked_mean
from daan.temporal_convolution import TemporalBypass


class Branches(NamedTuple):
    """Layers of an encoder; all its weights but those of normalisation, which CSGM leaves as they are (C)."""

    attention: tuple[nn.Linear, ...]  # p = 1: attention and refinement
    bypass: tuple[nn.Linear, ...]  # p = 2: the temporal bypass


class Qdma(nn.Module):
    """Differential attention and its refinement, beside a temporal bypass.

    The cross-attention wants a sequence where the paper has the vector phi. It gets o3 at each second plus the bypass's
    last output (C), whose mean is phi exactly; with one second it is phi.

    Args:
        input_width: D of the modality.
        config: the network's options.
    """

    def __init__(self, input_width: int, config: DaanConfig) -> None:
        super().__init__()
        width = config.hidden_width
        self.attention = DifferentialAttention(input_width, width, heads=config.heads, beta=config.beta)
        # No bias: the normalisation behind it would cancel it, and Adam would let it drift on rounding noise.
        self.refinement = nn.Linear(width, width, bias=False)
        self.norm = MaskedBatchNorm(width)
        self.dropout = nn.Dropout(config.dropout)
        self.bypass = TemporalBypass(
            input_width, width, kernel=config.tcn_kernel, gaps=config.tcn_gaps, dropout=config.dropout
        )

    @property
    def branches(self) -> Branches:
        """What CSGM modulates."""
        return Branches((self.attention.query_key_value, self.refinement), self.bypass.layers)

    def forward(self, x: Tensor, mask: Tensor) -> Encoded:
        """Encode (B, T, D), zeros at invalid seconds, under a mask (B, T) with a valid second per video."""
        refined = self.refine(x, mask)
        bypassed = self.bypass(x, mask)
        phi = masked_mean(refined, mask) + bypassed  # DAAN paper, eq. 4
        return Encoded(phi=phi, seconds=refined + bypassed[:, None], mask=mask)

    def refine(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, H) o3 of (B, T, D)."""
        attended = self.attention(x, mask)
        # DAAN paper, eq. 2: o3 = Dropout(ReLU(BatchNorm((1 - beta) Linear(GroupNorm(o1)))))
        scaled = (1 - self.attention.beta) * self.refinement(attended)
        refined: Tensor = self.dropout(self.norm(scaled, mask).relu())
        return refined


class AveragedMlp(nn.Module):
    """The encoder without QDMA, the base of the paper's ablation: an MLP over the averaged seconds.

    Args:
        input_width: D of the modality.
        config: the network's options.
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
        """Its linear layers; there is no bypass."""
        return Branches(tuple(layer for layer in self.layers if isinstance(layer, nn.Linear)), ())

    def forward(self, x: Tensor, mask: Tensor) -> Encoded:
        """Encode (B, T, D) under a mask (B, T) with a valid second per video, as one second."""
        phi = self.layers(masked_mean(x, mask))
        return Encoded(phi=phi, seconds=phi[:, None], mask=mask.any(1, keepdim=True))
