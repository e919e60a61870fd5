"""Causal convolutions over the seconds: QDMA's temporal bypass (DAAN paper, eq. 3)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class CausalConvolution(nn.Module):
    """A convolution over the seconds that reads second t, t - gap, t - 2 gap, ...; before the clip there are zeros.

    It is one linear layer over its taps laid side by side: `taps.weight` is (H, kernel * D), the present second's D
    columns first. So its gradient per sample is that of a linear layer. It is computed tap by tap, on the seconds that
    the tap reaches: no copy of the input is laid out, and a short clip costs little.

    Args:
        input_width: D.
        output_width: H.
        kernel: number of taps.
        gap: seconds from tap to tap (the dilation).
    """

    def __init__(self, input_width: int, output_width: int, *, kernel: int, gap: int) -> None:
        super().__init__()
        self.input_width, self.kernel, self.gap = input_width, kernel, gap
        # Same fan-in, hence the same default initialisation, as nn.Conv1d.
        self.taps = nn.Linear(kernel * input_width, output_width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) to (B, T, H)."""
        seconds = x.shape[1]
        present, *past = torch.split(self.taps.weight, self.input_width, dim=1)
        y = F.linear(x, present, self.taps.bias)
        for tap, weight in enumerate(past, start=1):
            shift = tap * self.gap
            if shift < seconds:
                y = y + F.pad(F.linear(x[:, : seconds - shift], weight), (0, 0, shift, 0))
        return y


class TemporalBypass(nn.Module):
    """A causal convolution, then dilated ones with a residual connection around them.

    Each dilated convolution is followed by ReLU and dropout, as in the temporal convolutional network of
    arXiv 1803.01271 (C: the paper names neither).

    Args:
        input_width: D.
        hidden_width: H.
        kernel: taps of each convolution.
        gaps: dilation in seconds of each dilated convolution.
        dropout: chance to drop a value.
    """

    def __init__(
        self, input_width: int, hidden_width: int, *, kernel: int, gaps: Sequence[int], dropout: float
    ) -> None:
        super().__init__()
        self.entry = CausalConvolution(input_width, hidden_width, kernel=kernel, gap=1)
        self.dilated = nn.ModuleList(
            CausalConvolution(hidden_width, hidden_width, kernel=kernel, gap=gap) for gap in gaps
        )
        self.dropout = nn.Dropout(dropout)

    @property
    def convolutions(self) -> tuple[CausalConvolution, ...]:
        """All of them, the entry first."""
        return self.entry, *self._dilated

    @property
    def _dilated(self) -> list[CausalConvolution]:
        return [layer for layer in self.dilated if isinstance(layer, CausalConvolution)]

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) to (B, T, H); second t depends on no later one, so padding behind a video needs no mask."""
        inner = entered = self.entry(x)
        for convolution in self._dilated:
            inner = self.dropout(convolution(inner).relu())
        out: Tensor = entered + inner  # DAAN paper, eq. 3
        return out
