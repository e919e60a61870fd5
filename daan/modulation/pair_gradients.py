"""Pair gradients: the contribution of each pair to a batch's gradient, from one backward pass (daan/README.md).

Legend: B pairs, T seconds, D and H widths of a layer's input and output. A pair is a positive and a negative video,
rows i and B + i of every tensor.

Each layer is a linear layer over seconds; a convolution is a linear layer over its concatenated taps. Its weight
gradient is G = sum_i sum_r d_r x_r^T. Here r runs over the seconds of pair i's two videos, x is the layer's input, and
d is grad_output, the gradient of the loss at the layer's output. The pair gradient g_i is the inner sum. Batch
normalisation and other operations connect the videos only through d. The pair gradients therefore always add up to
the gradient that autograd would give.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_NUMBERS_AT_ONCE = 1 << 24  # size limit of an intermediate result; 64 MiB of float32


class Activation(NamedTuple):
    """The input and output of one layer in a forward pass."""

    x: Tensor  # input (2B, T, D), detached; if narrower than the layer's weight, the rest counts as zeros
    y: Tensor  # output (2B, T, H), with its graph


@contextmanager
def recorded(layers: Iterable[nn.Linear]) -> Iterator[dict[nn.Linear, Activation]]:
    """Record the activation of each layer whose forward pass runs inside the `with` block.

    Args:
        layers: layers to record.

    Yields:
        The activations by layer; the dict fills during the block.
    """
    activations: dict[nn.Linear, Activation] = {}

    def keep(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(layer, nn.Linear)  # noqa: S101 - hooks are set on linear layers only; for mypy
        activations[layer] = Activation(inputs[0].detach(), output)

    handles = [layer.register_forward_hook(keep) for layer in layers]
    try:
        yield activations
    finally:
        for handle in handles:
            handle.remove()


def squared_norms(x: Tensor, grad_output: Tensor, *, has_bias: bool) -> Tensor:
    """Compute the squared Frobenius norm of each pair gradient of a layer's weight and bias.

    The norms come from Gram matrices or from the pair gradients themselves, whichever takes fewer multiplications.
    Pairs are processed in chunks, so that memory stays bounded for long videos.

    Args:
        x: input (2B, T, D) of the layer.
        grad_output: gradient (2B, T, H) of the loss at the layer's output.
        has_bias: true if the layer has a bias.

    Returns:
        Squared norms (B,).
    """
    (seconds, width), out = x.shape[1:], grad_output.shape[-1]
    by_gram = 3 * seconds**2 * (width + out) <= 2 * seconds * width * out
    norms, numbers = (_norms_by_gram, 3 * seconds**2) if by_gram else (_norms_by_products, 2 * width * out)
    pairs_at_once = max(1, _NUMBERS_AT_ONCE // numbers)
    chunks = zip(*(torch.split(_by_pair(each), pairs_at_once, dim=1) for each in (x, grad_output)), strict=True)
    return torch.cat([norms(x_chunk, output_chunk, has_bias=has_bias) for x_chunk, output_chunk in chunks])


def _by_pair(x: Tensor) -> Tensor:
    """Reshape (2B, T, D) to (2, B, T, D); convert 16-bit values to float32, because squares are summed in float32."""
    x = x.view(2, -1, *x.shape[1:])
    return x.float() if x.dtype in {torch.bfloat16, torch.float16} else x


def _norms_by_gram(x: Tensor, grad_output: Tensor, *, has_bias: bool) -> Tensor:
    """Compute norms (B,) without forming g: |g|^2 = sum over r, s of (d_r . d_s)(x_r . x_s).

    Args:
        x: input (2, B, T, D).
        grad_output: gradient d (2, B, T, H) at the output.
        has_bias: true if the layer has a bias.
    """

    def summed(gram_x: Tensor, gram_output: Tensor) -> Tensor:
        return ((gram_x + 1 if has_bias else gram_x) * gram_output).sum((-2, -1))  # the input of a bias is 1

    within = summed(x @ x.mT, grad_output @ grad_output.mT).sum(0)
    across = summed(x[0] @ x[1].mT, grad_output[0] @ grad_output[1].mT)
    return (within + 2 * across).clamp_min(0)  # rounding can give a negative number if a pair gradient is 0


def _norms_by_products(x: Tensor, grad_output: Tensor, *, has_bias: bool) -> Tensor:
    """Compute norms (B,) from the pair gradients themselves; arguments as for `_norms_by_gram`."""
    norms = (grad_output.mT @ x).sum(0).square().sum((1, 2))
    return norms + grad_output.sum((0, 2)).square().sum(-1) if has_bias else norms


def weighted_gradients(layer: nn.Linear, x: Tensor, grad_output: Tensor, weights: Tensor) -> list[Tensor]:
    """Compute the weighted sum of the pair gradients of each parameter, as one product with a scaled grad_output.

    Args:
        layer: layer whose gradients are computed.
        x: input (2B, T, D) of the layer.
        grad_output: gradient (2B, T, H) of the loss at the layer's output.
        weights: weights (B,) of the pairs.

    Returns:
        One gradient per parameter, in the order of `layer.parameters()`.
    """
    scaled = (grad_output * weights.to(grad_output.dtype).repeat(2)[:, None, None]).flatten(0, 1)
    weight_gradient = scaled.mT @ x.flatten(0, 1).to(grad_output.dtype)
    weight_gradient = F.pad(weight_gradient, (0, layer.in_features - x.shape[-1]))
    gradients = [weight_gradient] if layer.bias is None else [weight_gradient, scaled.sum(0)]
    return [found.to(parameter.dtype) for found, parameter in zip(gradients, layer.parameters(), strict=True)]
