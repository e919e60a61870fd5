"""Causal convolutions over the seconds: QDMA's temporal bypass (DAAN paper, eq. 3).

Eq. 4 needs the bypass only at the last valid second of each video. Each convolution is therefore computed only at the
seconds on which this output depends. Such a second is given by its age, the number of seconds before the last one.
With a dilation of 3 and two dilated convolutions, the entry convolution is computed at the ages 0, 3, 6, 9, 12 and the
first dilated one at 0, 3, 6, for videos of any length.
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from daan.dropout import Dropout


class CausalConvolution(nn.Module):
    """A convolution that reads the seconds t, t - gap, t - 2 gap, ...; seconds before the clip are zeros.

    It is a linear layer over its concatenated taps, with the tap of the present second first. Each tap has a matrix of
    its own. A tap that only reads seconds before the clip is omitted. It then has no gradient, and so neither noise nor
    weight decay moves it.

    Args:
        input_width: width D of the input.
        output_width: width H of the output.
        kernel: number of taps.
        gap: seconds from one tap to the next (the dilation).
    """

    def __init__(self, input_width: int, output_width: int, *, kernel: int, gap: int) -> None:
        super().__init__()
        self.input_width, self.kernel, self.gap = input_width, kernel, gap
        self.taps = nn.ParameterList(torch.empty(output_width, input_width) for _ in range(kernel))
        self.bias = nn.Parameter(torch.empty(output_width))
        bound = (kernel * input_width) ** -0.5  # the default initialisation of nn.Conv1d
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, taps: Tensor) -> Tensor:
        """Compute outputs (..., H) from concatenated taps (..., K * D), with K at most `kernel`."""
        first, *others = self.taps_read(taps.shape[-1])
        weight = torch.cat((first, *others), dim=1) if others else first
        return F.linear(taps, weight, self.bias)

    def taps_read(self, width: int) -> list[nn.Parameter]:
        """Return the matrices of the taps that an input of width K * D reads."""
        return list(self.taps)[: width // self.input_width]


class Reading(NamedTuple):
    """The inputs of a convolution: K taps for each of its A outputs."""

    ages: Tensor  # (A, K) seconds before the last second of the video
    indices: Tensor  # (A, K) index of that age in the convolution's input


class TemporalBypass(nn.Module):
    """A causal convolution C, then dilated ones D, with a residual connection around them (DAAN paper, eq. 3).

    Each dilated convolution is followed by ReLU and dropout, as in the temporal convolutional network of
    arXiv 1803.01271 (C: the paper names neither).

    Args:
        input_width: width D of the input.
        hidden_width: width H of the output.
        kernel: number of taps of each convolution.
        gaps: dilation in seconds of each dilated convolution.
        dropout: probability to drop a value.
        adds_input: true for D(C(x)) + x, the form of the paper, which needs D = H; false for D(C(x)) + C(x).
    """

    def __init__(
        self,
        input_width: int,
        hidden_width: int,
        *,
        kernel: int,
        gaps: Sequence[int],
        dropout: float,
        adds_input: bool,
    ) -> None:
        super().__init__()
        self.gaps, self.kernel, self.adds_input = tuple(gaps), kernel, adds_input
        self.entry = CausalConvolution(input_width, hidden_width, kernel=kernel, gap=1)
        self.dilated = nn.ModuleList(
            CausalConvolution(hidden_width, hidden_width, kernel=kernel, gap=gap) for gap in gaps
        )
        self.dropout = Dropout(dropout)

    @property
    def layers(self) -> tuple[CausalConvolution, ...]:
        """All convolutions, with the entry first."""
        return self.entry, *(layer for layer in self.dilated if isinstance(layer, CausalConvolution))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Compute the bypass (B, H) at the last valid second of each video.

        Args:
            x: features (B, T, D), zeros at invalid seconds.
            mask: valid seconds (B, T), at least one per video.
        """
        videos, seconds, width = x.shape
        if seconds == 1:
            return self._of_one_second(x)
        last = torch.where(mask, torch.arange(seconds, device=x.device), 0).amax(1)[:, None, None]  # (B, 1, 1)
        entry, *dilated = readings((1, *self.gaps), self.kernel, seconds, x.device)
        first_rows = torch.arange(0, videos * seconds, seconds, device=x.device)[:, None, None]
        rows = first_rows + (last - entry.ages).clamp_min(0)  # (B, A, K) row indices of the concatenated videos
        taps = x.flatten(0, 1).index_select(0, rows.flatten()).view(*rows.shape, width)
        inner = entered = self.entry(_inside(taps, entry, last))
        for convolution, reading in zip(self.dilated, dilated, strict=True):
            taps = inner.index_select(1, reading.indices.flatten()).view(videos, *reading.indices.shape, -1)
            inner = self.dropout(convolution(_inside(taps, reading, last)).relu())
        # Age 0 comes first; x at the last second is the row of the present tap.
        added = x.flatten(0, 1).index_select(0, rows[:, 0, 0]) if self.adds_input else entered[:, 0]
        out: Tensor = inner[:, 0] + added  # DAAN paper, eq. 3: R(D(C(x)))
        return out

    def _of_one_second(self, x: Tensor) -> Tensor:
        """Compute the bypass (B, H) of videos (B, 1, D), where each convolution reads its present tap alone."""
        inner = entered = self.entry(x)
        for convolution in self.dilated:
            inner = self.dropout(convolution(inner).relu())
        out: Tensor = (inner + (x if self.adds_input else entered))[:, 0]
        return out


def _inside(taps: Tensor, reading: Reading, last: Tensor) -> Tensor:
    """Concatenate taps (B, A, K, D) to (B, A, K * D), with zeros for seconds before the clip."""
    return (taps * (reading.ages <= last)[..., None]).flatten(2)


@cache
def readings(gaps: tuple[int, ...], kernel: int, seconds: int, device: torch.device) -> tuple[Reading, ...]:
    """List the inputs that each convolution of a stack needs for the output of the last one at age 0.

    The result is cached, because otherwise a GPU would wait for these tables in every step.

    Args:
        gaps: dilation in seconds of each convolution, in their order.
        kernel: number of taps of each convolution.
        seconds: length T of the padded videos; ages of T and more are before every clip and are not computed.
        device: device of the tables.

    Returns:
        One reading per convolution, in their order.
    """
    wanted, found = [0], []
    for gap in reversed(gaps):
        shifts = [shift for shift in range(0, kernel * gap, gap) if shift < seconds]
        ages = [[age + shift for shift in shifts] for age in wanted]
        wanted = sorted({age for row in ages for age in row if age < seconds})
        index_of = {age: index for index, age in enumerate(wanted)}
        indices = [[index_of.get(age, 0) for age in row] for row in ages]  # any index is right for a tap set to zero
        with torch.inference_mode(mode=False):  # training can use the tables even if inference made them
            found.append(Reading(torch.tensor(ages, device=device), torch.tensor(indices, device=device)))
    return tuple(reversed(found))
