"""Each pair's own share of a batch's gradient, from one backward pass (daan.md, section 6).

Legend: B pairs, T seconds, D and H widths of a layer's input and output. A pair is a positive and a negative video,
rows i and B + i of every tensor.

Each layer is linear over seconds, a convolution over its taps laid side by side, and sums its weight's gradient over
them: G = sum_i sum_r d_r x_r^T, over the seconds r of pair i's two videos, with d the gradient of the loss at the
layer's output. Pair i's share g_i is the inner sum. Whatever couples the videos, such as batch normalisation, does so
through d, so the shares always add up to what autograd would give.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_NUMBERS_AT_ONCE = 1 << 24  # of an intermediate result; 64 MiB of float32


class Activation(NamedTuple):
    """What one layer read and wrote in a forward pass."""

    x: Tensor  # (2B, T, D), detached; narrower than the layer's weight where the rest counts as zeros
    y: Tensor  # (2B, T, H), of the graph


@contextmanager
def recorded(layers: Iterable[nn.Linear]) -> Iterator[dict[nn.Linear, Activation]]:
    """Fills a dict with the forward pass that each layer makes inside the block."""
    activations: dict[nn.Linear, Activation] = {}

    def keep(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(layer, nn.Linear)  # noqa: S101 - what it is hooked on; tells mypy
        activations[layer] = Activation(inputs[0].detach(), output)

    handles = [layer.register_forward_hook(keep) for layer in layers]
    try:
        yield activations
    finally:
        for handle in handles:
            handle.remove()


def squared_norms(x: Tensor, grad_output: Tensor, *, has_bias: bool) -> Tensor:
    """(B,) squared Frobenius norm of each pair's share of the gradient of a layer's weight and bias.

    By Gram matrices or by the shares themselves, whichever takes fewer multiplications; in chunks of pairs, so that
    long videos do not take memory without bound.

    Args:
        x: (2B, T, D) the layer's input.
        grad_output: (2B, T, H) gradient of the loss at its output.
        has_bias: whether the layer has one.
    """
    (seconds, width), out = x.shape[1:], grad_output.shape[-1]
    by_gram = 3 * seconds**2 * (width + out) <= 2 * seconds * width * out
    norms, numbers = (_norms_by_gram, 3 * seconds**2) if by_gram else (_norms_by_products, 2 * width * out)
    pairs_at_once = max(1, _NUMBERS_AT_ONCE // numbers)
    chunks = zip(*(torch.split(_by_pair(each), pairs_at_once, dim=1) for each in (x, grad_output)), strict=True)
    return torch.cat([norms(of_x, of_output, has_bias=has_bias) for of_x, of_output in chunks])


def _by_pair(x: Tensor) -> Tensor:
    """(2, B, T, D) of (2B, T, D); 16-bit values as float32, in which squares are added up."""
    x = x.view(2, -1, *x.shape[1:])
    return x.float() if x.dtype in {torch.bfloat16, torch.float16} else x


def _norms_by_gram(x: Tensor, grad_output: Tensor, *, has_bias: bool) -> Tensor:
    """(B,) of (2, B, T, D) and (2, B, T, H) without forming g: |g|^2 = sum over r, s of (d_r . d_s)(x_r . x_s)."""

    def summed(gram_x: Tensor, gram_output: Tensor) -> Tensor:
        return ((gram_x + 1 if has_bias else gram_x) * gram_output).sum((-2, -1))  # a bias reads a constant 1

    within = summed(x @ x.mT, grad_output @ grad_output.mT).sum(0)
    across = summed(x[0] @ x[1].mT, grad_output[0] @ grad_output[1].mT)
    return (within + 2 * across).clamp_min(0)  # rounding can leave less than nothing where a share is 0


def _norms_by_products(x: Tensor, grad_output: Tensor, *, has_bias: bool) -> Tensor:
    """(B,) from the shares g themselves, of (2, B, T, D) and (2, B, T, H)."""
    norms = (grad_output.mT @ x).sum(0).square().sum((1, 2))
    return norms + grad_output.sum((0, 2)).square().sum(-1) if has_bias else norms


def weighted_gradients(layer: nn.Linear, x: Tensor, grad_output: Tensor, weights: Tensor) -> list[Tensor]:
    """Sum over pairs of weight times share, for each of the layer's parameters: one product with d scaled.

    Args:
        layer: the layer.
        x: (2B, T, D) its input.
        grad_output: (2B, T, H) gradient of the loss at its output.
        weights: (B,).
    """
    scaled = (grad_output * weights.to(grad_output.dtype).repeat(2)[:, None, None]).flatten(0, 1)
    of_weight = scaled.mT @ x.flatten(0, 1).to(grad_output.dtype)
    of_weight = F.pad(of_weight, (0, layer.in_features - x.shape[-1]))
    gradients = [of_weight] if layer.bias is None else [of_weight, scaled.sum(0)]
    return [found.to(parameter.dtype) for found, parameter in zip(gradients, layer.parameters(), strict=True)]
