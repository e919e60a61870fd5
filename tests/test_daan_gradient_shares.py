"""daan/gradient_shares.py against autograd, a pair at a time with all other pairs' gradients zeroed."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from daan import gradient_shares
from daan.gradient_shares import Layer, Passage, recorded, squared_norms, weighted_gradients
from daan.temporal_convolution import CausalConvolution

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}


def layer(kind: str, width: int, out: int) -> Layer:
    """A linear layer with or without bias, or a dilated causal convolution."""
    if kind == "convolution":
        return CausalConvolution(width, out, kernel=3, gap=2)
    return nn.Linear(width, out, bias=kind == "biased")


def passed(layer: Layer, pairs: int, seconds: int, width: int, dtype: torch.dtype) -> tuple[Passage, Tensor]:
    """A forward pass over ragged random videos, and a random d that is 0 behind each one's end."""
    layer.to(dtype)
    mask = torch.arange(seconds) < torch.randint(1, seconds + 1, (2 * pairs, 1))
    x = torch.randn(2 * pairs, seconds, width, dtype=dtype) * mask[..., None]
    with recorded([layer]) as passages:
        y = layer(x)
    return passages[layer], torch.randn_like(y) * mask[..., None]


def shares(passage: Passage, d: Tensor) -> list[list[Tensor]]:
    """Every pair's share of the gradient of each parameter, by autograd."""
    found = []
    for pair in range(len(d) // 2):
        kept = torch.zeros_like(d)
        for video in (pair, len(d) // 2 + pair):
            kept[video] = d[video]
        found.append(list(torch.autograd.grad(passage.y, passage.parameters, kept, retain_graph=True)))
    return found


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("kind", ["plain", "biased", "convolution"])
@pytest.mark.parametrize(("pairs", "seconds"), [(1, 1), (1, 6), (5, 1), (4, 7), (3, 40)])
@pytest.mark.parametrize(("width", "out"), [(3, 5), (40, 64)])
def test_norms_and_weighted_sums_are_those_of_a_loop_over_pairs(
    kind: str, pairs: int, seconds: int, width: int, out: int, dtype: torch.dtype
) -> None:
    """Linear layers and convolutions, one second and many, one pair and several, either way of taking norms."""
    passage, d = passed(layer(kind, width, out), pairs, seconds, width, dtype)
    weights = torch.rand(pairs, dtype=dtype)

    by_pair = shares(passage, d)
    norms = torch.stack([sum(share.square().sum() for share in one) for one in by_pair])
    torch.testing.assert_close(squared_norms(passage, d), norms, rtol=TOLERANCE[dtype], atol=0)
    for place, gradient in enumerate(weighted_gradients(passage, d, weights)):
        expected = sum(weight * one[place] for weight, one in zip(weights, by_pair, strict=True))
        torch.testing.assert_close(gradient, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@given(
    st.sampled_from(["plain", "biased", "convolution"]), st.integers(1, 4), st.integers(1, 9), st.integers(0, 2**32 - 1)
)
def test_gram_matrices_and_the_shares_themselves_give_the_same_norms(
    kind: str, pairs: int, seconds: int, seed: int
) -> None:
    """Which of the two is taken is a matter of speed alone."""
    torch.manual_seed(seed)
    passage, d = passed(layer(kind, 4, 3), pairs, seconds, 4, torch.float64)
    x, e = passage.x.view(2, pairs, seconds, 4), d.view(2, pairs, seconds, 3)
    both = [
        norms(x, e, passage.shifts, has_bias=passage.bias is not None)
        for norms in (gradient_shares._norms_by_gram, gradient_shares._norms_by_products)
    ]
    torch.testing.assert_close(both[0], both[1], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("seconds", [2, 30])
def test_chunks_of_pairs_change_nothing(monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    """With room for one pair at a time the norms are the same."""
    passage, d = passed(layer("convolution", 6, 5), 5, seconds, 6, torch.float64)
    whole = squared_norms(passage, d)

    monkeypatch.setattr(gradient_shares, "_NUMBERS_AT_ONCE", 1)

    torch.testing.assert_close(squared_norms(passage, d), whole, rtol=1e-12, atol=0)


def test_weights_of_one_give_autograds_gradient_to_the_bit() -> None:
    """The sum of all shares is the gradient of the batch."""
    for kind in ("plain", "biased", "convolution"):
        passage, d = passed(layer(kind, 6, 5), 4, 5, 6, torch.float32)

        expected = torch.autograd.grad(passage.y, passage.parameters, d, retain_graph=True)

        found = weighted_gradients(passage, d, torch.ones(4))
        assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True)), kind


def test_norms_of_16_bit_values_are_added_up_in_float32() -> None:
    """As near to the float32 norms of the same values as float32 can be."""
    passage, d = passed(layer("biased", 32, 48), 3, 4, 32, torch.float32)
    half = Passage(passage.layer, passage.x.bfloat16(), passage.y)
    again = Passage(passage.layer, half.x.float(), passage.y)

    found = squared_norms(half, d.bfloat16())

    assert found.dtype == torch.float32
    torch.testing.assert_close(found, squared_norms(again, d.bfloat16().float()), rtol=1e-6, atol=0)


def test_nothing_is_recorded_outside_the_block() -> None:
    """The hooks are gone, also after an error."""
    recorder = layer("plain", 2, 2)
    with pytest.raises(RuntimeError, match="inside"), recorded([recorder]) as passages:
        raise RuntimeError("inside")

    recorder(torch.zeros(2, 1, 2))

    assert not passages
