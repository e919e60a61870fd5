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
from torch import Tensor, nn

from daan.qdma import Layer

_NUMBERS_AT_ONCE = 1 << 24  # size limit of an intermediate result; 64 MiB of float32


class Activation(NamedTuple):
    """The input and output of one layer in a forward pass."""

    x: Tensor  # input (2B, T, D), detached; for a convolution the concatenated taps that it read
    y: Tensor  # output (2B, T, H), with its graph


@contextmanager
def recorded(layers: Iterable[Layer]) -> Iterator[dict[Layer, Activation]]:
    """Record the activation of each layer whose forward pass runs inside the `with` block.

    A layer that does not run is not in the dict: its gradient is zero.

    Args:
        layers: layers to record.

    Yields:
        The activations by layer; the dict fills during the block.
    """
    activations: dict[Layer, Activation] = {}

    def keep(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(layer, Layer)  # noqa: S101 - hooks are set on these layers only; for mypy
        activations[layer] = Activation(inputs[0].detach(), output)

    handles = [layer.register_forward_hook(keep) for layer in layers]
    try:
        yield activations
    finally:
        for handle in handles:
            handle.remove()


def squared_norms(layer: Layer, x: Tensor, grad_output: Tensor) -> list[Tensor]:
    """Compute the squared Frobenius norm of each pair gradient of a layer's matrices.

    The norms come from Gram matrices or from the pair gradients themselves, whichever takes fewer multiplications.
    Pairs are processed in chunks, so that memory stays bounded for long videos.

    Args:
        layer: the layer.
        x: input (2B, T, D) of the layer.
        grad_output: gradient (2B, T, H) of the loss at the layer's output.

    Returns:
        Squared norms (B,) of the weight and, if there is one, of the bias.
    """
    (seconds, width), out = x.shape[1:], grad_output.shape[-1]
    by_gram = 3 * seconds**2 * (width + out) <= 2 * seconds * width * out
    norms, numbers = (_norms_by_gram, 3 * seconds**2) if by_gram else (_norms_by_products, 2 * width * out)
    pairs_at_once = max(1, _NUMBERS_AT_ONCE // numbers)
    by_pair = _by_pair(grad_output)
    chunks = zip(*(torch.split(each, pairs_at_once, dim=1) for each in (_by_pair(x), by_pair)), strict=True)
    of_weight = torch.cat([norms(x_chunk, output_chunk) for x_chunk, output_chunk in chunks])
    return [of_weight] if layer.bias is None else [of_weight, by_pair.sum((0, 2)).square().sum(-1)]


def _by_pair(x: Tensor) -> Tensor:
    """Reshape (2B, T, D) to (2, B, T, D); convert 16-bit values to float32, because squares are summed in float32."""
    x = x.view(2, -1, *x.shape[1:])
    return x.float() if x.dtype in {torch.bfloat16, torch.float16} else x


def _norms_by_gram(x: Tensor, grad_output: Tensor) -> Tensor:
    """Compute norms (B,) without forming g: |g|^2 = sum over r, s of (d_r . d_s)(x_r . x_s).

    Args:
        x: input (2, B, T, D).
        grad_output: gradient d (2, B, T, H) at the output.
    """
    if x.shape[2] == 1:  # one product per second, not a batch of products of single rows
        lengths = torch.linalg.vector_norm(x, dim=-1) * torch.linalg.vector_norm(grad_output, dim=-1)
        within: Tensor = lengths.square().sum((0, 2))
        across: Tensor = (torch.linalg.vecdot(x[0], x[1]) * torch.linalg.vecdot(*grad_output.unbind())).sum(-1)
    else:
        within = ((x @ x.mT) * (grad_output @ grad_output.mT)).sum((0, -2, -1))
        across = ((x[0] @ x[1].mT) * (grad_output[0] @ grad_output[1].mT)).sum((-2, -1))
    return (within + 2 * across).clamp_min(0)  # rounding can give a negative number if a pair gradient is 0


def _norms_by_products(x: Tensor, grad_output: Tensor) -> Tensor:
    """Compute norms (B,) from the pair gradients themselves; arguments as for `_norms_by_gram`."""
    return (grad_output.mT @ x).sum(0).square().sum((1, 2))


def weighted_gradients(layer: Layer, x: Tensor, grad_output: Tensor, weights: Tensor) -> list[Tensor]:
    """Compute the weighted sum of the pair gradients of each matrix, as one product with a scaled grad_output.

    Args:
        layer: the layer.
        x: input (2B, T, D) of the layer.
        grad_output: gradient (2B, T, H) of the loss at the layer's output.
        weights: weights (B,) of the pairs.

    Returns:
        The gradients of the weight (H, D) and, if there is one, of the bias (H,).
    """
    scaled = (grad_output * weights.to(grad_output.dtype).repeat(2)[:, None, None]).flatten(0, 1)
    of_weight = scaled.mT @ x.flatten(0, 1).to(grad_output.dtype)
    return [of_weight] if layer.bias is None else [of_weight, scaled.sum(0)]


def matrices_of(layer: Layer, width: int | None = None) -> list[list[Tensor]]:
    """List the matrices of a layer, each as the parameters that make it up.

    The weight of a convolution is one matrix (H, D), the concatenation of its taps.

    Args:
        layer: the layer.
        width: width D of an input (..., D), for only the taps that it reads; None for all taps.

    Returns:
        The parameters of the weight and, if there is one, of the bias.
    """
    if isinstance(layer, nn.Linear):
        weight: list[Tensor] = [layer.weight]
    else:
        weight = list(layer.taps if width is None else layer.taps_read(width))
    return [weight] if layer.bias is None else [weight, [layer.bias]]
