"""Tests of daan/temporal_convolution.py against whole sequences, convolved tap by tap (eq. 3)."""

from collections.abc import Sequence

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from daan.temporal_convolution import CausalConvolution, TemporalBypass


def slow_convolution(layer: CausalConvolution, x: Tensor) -> Tensor:
    """Convolve one video (T, D) to (T, H)."""
    rows = []
    for t in range(len(x)):
        row = layer.bias.clone()
        for tap, weight in enumerate(layer.taps):
            if t - tap * layer.gap >= 0:
                row = row + weight @ x[t - tap * layer.gap]
        rows.append(row)
    return torch.stack(rows)


def slow_bypass(bypass: TemporalBypass, x: Tensor) -> Tensor:
    """Compute the bypass (H,) at the last second of one video (T, D).

    It consists of the entry, dilated layers that are each followed by ReLU, and the residual: the input, or the entry.
    """
    inner = entered = slow_convolution(bypass.entry, x)
    for layer in bypass.dilated:
        inner = slow_convolution(layer, inner).clamp(min=0)
    return ((x if bypass.adds_input else entered) + inner)[-1]


def bypass(gaps: Sequence[int], kernel: int = 3, *, adds_input: bool = True) -> TemporalBypass:
    """Make a bypass in evaluation mode, so that its dropout does nothing."""
    return TemporalBypass(3, 3, kernel=kernel, gaps=gaps, dropout=0.5, adds_input=adds_input).double().eval()


@settings(deadline=None, max_examples=60)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    gaps=st.lists(st.integers(1, 4), max_size=3),
    kernel=st.integers(1, 4),
    padding=st.integers(0, 3),
    adds_input=st.booleans(),
)
def test_the_last_second_equals_that_of_the_whole_sequence(
    lengths: list[int], gaps: list[int], kernel: int, padding: int, adds_input: bool
) -> None:
    """Values and gradients agree for every video of a padded batch, also for clips shorter than the taps reach."""
    layers = bypass(gaps, kernel, adds_input=adds_input)
    mask = torch.arange(max(lengths) + padding) < torch.tensor(lengths)[:, None]
    x = torch.randn(*mask.shape, 3, dtype=torch.float64).requires_grad_()

    found = layers(x, mask)
    expected = torch.stack([slow_bypass(layers, video[:length]) for video, length in zip(x, lengths, strict=True)])

    torch.testing.assert_close(found, expected)
    direction = torch.randn_like(found)
    wanted = [x, *layers.parameters()]
    options = {"allow_unused": True, "materialize_grads": True}
    slow = torch.autograd.grad(expected, wanted, direction, **options)
    for one, other in zip(torch.autograd.grad(found, wanted, direction, **options), slow, strict=True):
        torch.testing.assert_close(one, other)


def test_a_tap_that_only_reads_seconds_before_the_clip_has_no_gradient() -> None:
    """For one second only the tap of the present second is read; an optimiser leaves the others as they are."""
    layers = bypass((3, 3))

    layers(torch.randn(4, 1, 3, dtype=torch.float64), torch.ones(4, 1, dtype=torch.bool)).square().sum().backward()

    for layer in layers.layers:
        assert [tap.grad is None for tap in layer.taps] == [False, True, True]


def test_a_convolution_starts_with_the_weights_of_torch() -> None:
    """The bounds of its random weights are those of nn.Conv1d."""
    layer, torchs = CausalConvolution(30, 400, kernel=3, gap=1), nn.Conv1d(30, 400, 3)

    for ours, theirs in ((torch.cat(list(layer.taps)), torchs.weight), (layer.bias, torchs.bias)):
        torch.testing.assert_close(ours.abs().max(), theirs.abs().max(), rtol=0.02, atol=0)
        torch.testing.assert_close(ours.std(), theirs.std(), rtol=0.05, atol=0)


def test_the_loop_equals_the_dilated_convolution_of_torch() -> None:
    """With padding before the clip, the taps are Conv1d's kernel in reverse order."""
    layer = CausalConvolution(3, 4, kernel=3, gap=2)
    x = torch.randn(6, 3)
    kernel = torch.stack(list(layer.taps)[::-1], dim=2)
    padded = nn.functional.pad(x.T[None], (4, 0))

    expected = nn.functional.conv1d(padded, kernel, layer.bias, dilation=2)[0].T

    torch.testing.assert_close(slow_convolution(layer, x), expected)


@settings(deadline=None, max_examples=25)
@given(changed=st.integers(1, 7))
def test_no_second_depends_on_a_later_second(changed: int) -> None:
    """At second t the bypass ignores all later seconds, also NaN, and uses second t itself."""
    layers = bypass((3, 3))
    x = torch.randn(1, 8, 3, dtype=torch.float64)
    other = x.clone()
    other[:, changed] += 1
    later = x.clone()
    later[:, changed + 1 :] = torch.nan
    until = torch.arange(8)[None] <= changed

    assert torch.equal(layers(x, until), layers(later, until))
    assert not torch.equal(layers(x, until), layers(other, until))
    earlier = torch.arange(8)[None] < changed
    assert torch.equal(layers(x, earlier), layers(other, earlier))


def test_a_bypass_can_be_trained_after_it_ran_in_inference_mode() -> None:
    """The tables that inference cached can be used in training."""
    layers = bypass((2,), kernel=2)
    x, mask = torch.randn(2, 5, 3, dtype=torch.float64), torch.ones(2, 5, dtype=torch.bool)
    with torch.inference_mode():
        layers(x, mask)

    layers(x, mask).sum().backward()

    assert layers.entry.taps[0].grad is not None
