"""Tests of daan/modulation/pair_gradients.py against autograd with one pair at a time.

For one pair, the grad_output of all other pairs is set to zero.
"""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from daan.modulation import pair_gradients
from daan.modulation.pair_gradients import matrices_of, recorded, squared_norms, weighted_gradients
from daan.temporal_convolution import CausalConvolution

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}


@dataclass
class Pass:
    """A layer with its input (2B, T, D), its output and a random grad_output."""

    layer: nn.Linear | CausalConvolution
    x: Tensor
    y: Tensor
    grad_output: Tensor

    @property
    def norms(self) -> Tensor:
        """The squared norms that are tested, (B, matrices)."""
        return torch.stack(squared_norms(self.layer, self.x, self.grad_output), dim=1)

    def pair_gradients(self) -> list[list[Tensor]]:
        """Compute the pair gradients of each matrix with autograd."""
        pairs = len(self.grad_output) // 2
        found = []
        for pair in range(pairs):
            kept = torch.zeros_like(self.grad_output)
            kept[[pair, pairs + pair]] = self.grad_output[[pair, pairs + pair]]
            found.append(self.gradients(kept))
        return found

    def gradients(self, grad_output: Tensor) -> list[Tensor]:
        """Compute the gradient of each matrix with autograd."""
        return [
            torch.cat(torch.autograd.grad(self.y, matrix, grad_output, retain_graph=True), dim=-1)
            for matrix in matrices_of(self.layer, self.x.shape[-1])
        ]


def passed(kind: str, pairs: int, seconds: int, width: int, out: int, dtype: torch.dtype = torch.float64) -> Pass:
    """Run a linear layer, or a convolution with the first two of its three taps, on videos of different lengths."""
    layer = (
        CausalConvolution(width, out, kernel=3, gap=2)
        if kind == "convolution"
        else nn.Linear(width, out, bias=kind == "biased")
    ).to(dtype)
    mask = torch.arange(seconds) < torch.randint(1, seconds + 1, (2 * pairs, 1))
    taps = 2 if kind == "convolution" else 1
    x = torch.randn(2 * pairs, seconds, taps * width, dtype=dtype) * mask[..., None]
    with recorded([layer]) as activations:
        y = layer(x)
    assert activations[layer].y is y
    return Pass(layer, activations[layer].x, y, torch.randn_like(y) * mask[..., None])


KINDS = ["plain", "biased", "convolution"]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("pairs", "seconds"), [(1, 1), (1, 6), (5, 1), (4, 7), (3, 40)])
@pytest.mark.parametrize(("width", "out"), [(3, 5), (40, 64)])
def test_norms_and_weighted_sums_equal_a_loop_over_pairs(
    kind: str, pairs: int, seconds: int, width: int, out: int, dtype: torch.dtype
) -> None:
    """This holds for all layers, one or many seconds, one or many pairs, and both methods to compute norms."""
    through = passed(kind, pairs, seconds, width, out, dtype)
    weights = torch.rand(pairs, dtype=dtype)

    by_pair = through.pair_gradients()
    norms = torch.stack([torch.stack([gradient.square().sum() for gradient in one]) for one in by_pair])
    torch.testing.assert_close(through.norms, norms, rtol=TOLERANCE[dtype], atol=0)
    for index, gradient in enumerate(weighted_gradients(through.layer, through.x, through.grad_output, weights)):
        expected = sum(weight * one[index] for weight, one in zip(weights, by_pair, strict=True))
        torch.testing.assert_close(gradient, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@given(st.integers(1, 4), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_gram_matrices_and_explicit_pair_gradients_give_the_same_norms(pairs: int, seconds: int, seed: int) -> None:
    """The choice of method changes only the speed."""
    torch.manual_seed(seed)
    x, grad_output = (torch.randn(2, pairs, seconds, width, dtype=torch.float64) for width in (4, 3))

    by_gram = pair_gradients._norms_by_gram(x, grad_output)

    by_products = pair_gradients._norms_by_products(x, grad_output)
    torch.testing.assert_close(by_gram, by_products, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("seconds", [2, 30])
def test_chunks_of_pairs_give_the_same_norms(monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    """The norms are the same if each chunk contains one pair."""
    through = passed("convolution", 5, seconds, 6, 5)
    whole = through.norms

    monkeypatch.setattr(pair_gradients, "_NUMBERS_AT_ONCE", 1)

    torch.testing.assert_close(through.norms, whole, rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_one_give_the_gradient_of_autograd(kind: str) -> None:
    """The sum of all pair gradients is the gradient of the batch, up to rounding."""
    through = passed(kind, 4, 5, 6, 5, torch.float64)

    expected = through.gradients(through.grad_output)

    found = weighted_gradients(through.layer, through.x, through.grad_output, torch.ones(4, dtype=torch.float64))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_norms_of_16_bit_values_are_summed_in_float32() -> None:
    """They equal the norms of the same values in float32, up to rounding."""
    layer, x, grad_output = nn.Linear(32, 48), torch.randn(6, 4, 32).bfloat16(), torch.randn(6, 4, 48).bfloat16()

    found = squared_norms(layer, x, grad_output)

    assert {norms.dtype for norms in found} == {torch.float32}
    expected = squared_norms(layer, x.float(), grad_output.float())
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)


def test_nothing_is_recorded_outside_the_block() -> None:
    """The hooks are removed, also after an error."""
    layer = nn.Linear(2, 2)
    with pytest.raises(RuntimeError, match="inside"), recorded([layer]) as activations:
        raise RuntimeError("inside")

    layer(torch.zeros(2, 1, 2))

    assert not activations
