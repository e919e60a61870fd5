"""daan/temporal_convolution.py against sums over taps (eq. 3)."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from daan.temporal_convolution import CausalConvolution, TemporalBypass


def slow_convolution(layer: CausalConvolution, x: Tensor) -> Tensor:
    """(T, H) of one video (T, D)."""
    taps = layer.taps.weight.chunk(layer.kernel, dim=1)
    rows = []
    for t in range(len(x)):
        row = layer.taps.bias.clone()
        for tap, weight in enumerate(taps):
            if t - tap * layer.gap >= 0:
                row = row + weight @ x[t - tap * layer.gap]
        rows.append(row)
    return torch.stack(rows)


@settings(deadline=None, max_examples=25)
@given(seconds=st.integers(1, 7), kernel=st.integers(1, 4), gap=st.integers(1, 4))
def test_a_convolution_sums_its_taps(seconds: int, kernel: int, gap: int) -> None:
    """Every second is the sum over the taps that reach into the clip, clips shorter than the reach included."""
    layer = CausalConvolution(3, 4, kernel=kernel, gap=gap).double()
    x = torch.randn(2, seconds, 3, dtype=torch.float64)

    torch.testing.assert_close(layer(x), torch.stack([slow_convolution(layer, video) for video in x]))


def test_a_convolution_is_torchs_with_padding_before_the_clip() -> None:
    """The taps are Conv1d's kernel from its last place to its first."""
    layer = CausalConvolution(3, 4, kernel=3, gap=2)
    x = torch.randn(2, 6, 3)
    kernel = torch.stack(layer.taps.weight.chunk(3, dim=1)[::-1], dim=2)
    padded = nn.functional.pad(x.transpose(1, 2), (4, 0))

    expected = nn.functional.conv1d(padded, kernel, layer.taps.bias, dilation=2).transpose(1, 2)

    torch.testing.assert_close(layer(x), expected)


@settings(deadline=None, max_examples=25)
@given(seconds=st.integers(1, 6), gaps=st.lists(st.integers(1, 3), max_size=3))
def test_the_bypass_adds_the_dilated_layers_to_its_entry(seconds: int, gaps: list[int]) -> None:
    """A causal convolution, dilated ones each followed by ReLU, and a residual connection around them."""
    bypass = TemporalBypass(3, 4, kernel=3, gaps=gaps, dropout=0.5).double().eval()
    x = torch.randn(1, seconds, 3, dtype=torch.float64)
    entered = slow_convolution(bypass.entry, x[0])
    inner = entered
    for layer in bypass.dilated:
        inner = slow_convolution(layer, inner).clamp(min=0)

    torch.testing.assert_close(bypass(x)[0], entered + inner)


@settings(deadline=None, max_examples=25)
@given(changed=st.integers(1, 7))
def test_no_second_depends_on_a_later_one(changed: int) -> None:
    """Changing second t leaves all seconds before it as they were, to the bit."""
    bypass = TemporalBypass(3, 4, kernel=3, gaps=(3, 3), dropout=0.0)
    x = torch.randn(1, 8, 3)
    other = x.clone()
    other[:, changed] += 1

    before, after = bypass(x), bypass(other)

    assert torch.equal(before[:, :changed], after[:, :changed])
    assert not torch.equal(before[:, changed], after[:, changed])
