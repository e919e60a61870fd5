"""Causal convolutions over the seconds: QDMA's temporal bypass (DAAN paper, eq. 3).

Eq. 4 wants the bypass at each video's last valid second alone. So every convolution is computed only at the seconds
that this one output hangs on, counted back from the last: their ages. With a dilation of 3 and two dilated convolutions
these are the ages 0, 3, 6, 9, 12 of the entry and 0, 3, 6 of the first dilated one, however long the video is.
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class CausalConvolution(nn.Linear):
    """A convolution that reads second t, t - gap, t - 2 gap, ...; before the clip there are zeros.

    It is a linear layer over its taps laid side by side, the present second's first; taps that are left out at the end
    count as zeros.

    Args:
        input_width: D.
        output_width: H.
        kernel: number of taps.
        gap: seconds from tap to tap (the dilation).
    """

    def __init__(self, input_width: int, output_width: int, *, kernel: int, gap: int) -> None:
        # Same fan-in, hence the same default initialisation, as nn.Conv1d.
        super().__init__(kernel * input_width, output_width)
        self.kernel, self.gap = kernel, gap

    def forward(self, taps: Tensor) -> Tensor:
        """(..., H) of (..., K * D), K at most `kernel`."""
        return F.linear(taps, self.weight[:, : taps.shape[-1]], self.bias)


class Reading(NamedTuple):
    """What a convolution reads: for each of its A outputs, K taps."""

    ages: Tensor  # (A, K) seconds before the video's last
    places: Tensor  # (A, K) where in its input that age stands


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
        self.gaps, self.kernel = tuple(gaps), kernel
        self.entry = CausalConvolution(input_width, hidden_width, kernel=kernel, gap=1)
        self.dilated = nn.ModuleList(
            CausalConvolution(hidden_width, hidden_width, kernel=kernel, gap=gap) for gap in gaps
        )
        self.dropout = nn.Dropout(dropout)

    @property
    def layers(self) -> tuple[CausalConvolution, ...]:
        """All convolutions, the entry first."""
        return self.entry, *(layer for layer in self.dilated if isinstance(layer, CausalConvolution))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, H) at the last valid second of (B, T, D) under a mask (B, T) with a valid second per video."""
        videos, seconds, width = x.shape
        last = torch.where(mask, torch.arange(seconds, device=x.device), 0).amax(1)[:, None, None]  # (B, 1, 1)
        entry, *dilated = readings((1, *self.gaps), self.kernel, seconds, x.device)
        first_rows = torch.arange(0, videos * seconds, seconds, device=x.device)[:, None, None]
        rows = first_rows + (last - entry.ages).clamp_min(0)  # (B, A, K) of the videos laid end to end
        taps = x.flatten(0, 1).index_select(0, rows.flatten()).view(*rows.shape, width)
        inner = entered = self.entry(_inside(taps, entry, last))
        for convolution, reading in zip(self.dilated, dilated, strict=True):
            taps = inner.index_select(1, reading.places.flatten()).view(videos, *reading.places.shape, -1)
            inner = self.dropout(convolution(_inside(taps, reading, last)).relu())
        out: Tensor = entered[:, 0] + inner[:, 0]  # DAAN paper, eq. 3; age 0 comes first
        return out


def _inside(taps: Tensor, reading: Reading, last: Tensor) -> Tensor:
    """(B, A, K, D) taps side by side, (B, A, K * D), with zeros before the clip."""
    return (taps * (reading.ages <= last)[..., None]).flatten(2)


@cache
def readings(gaps: tuple[int, ...], kernel: int, seconds: int, device: torch.device) -> tuple[Reading, ...]:
    """What each of a stack of convolutions reads, so that the last one is known at age 0.

    Kept, because a GPU would have to wait for the tables at every step.

    Args:
        gaps: of the convolutions, the first one's first.
        kernel: taps of each.
        seconds: T; ages from T on lie before every clip and are not computed.
        device: of the tables.
    """
    wanted, found = [0], []
    for gap in reversed(gaps):
        shifts = [shift for shift in range(0, kernel * gap, gap) if shift < seconds]
        ages = [[age + shift for shift in shifts] for age in wanted]
        wanted = sorted({age for row in ages for age in row if age < seconds})
        place_of = {age: place for place, age in enumerate(wanted)}
        places = [[place_of.get(age, 0) for age in row] for row in ages]  # any place does for what is zeroed
        with torch.inference_mode(mode=False):  # whatever mode asked first, training can use them too
            found.append(Reading(torch.tensor(ages, device=device), torch.tensor(places, device=device)))
    return tuple(reversed(found))
