"""Each pair's own share of a batch's gradient, from one backward pass (daan.md, section 6).

Legend: B pairs, T seconds, D and H widths of a layer's input and output, K taps. A pair is a positive and a negative
video: rows i and B + i of every tensor.

Each layer here sums its weight's gradient over seconds: G = sum_i sum_r d_r x_r^T, over the seconds r of pair i's two
videos, with d the gradient of the loss at the layer's output. Pair i's share g_i is the inner sum. Whatever couples the
videos, such as batch normalisation, does so through d, so the shares always add up to what autograd would give.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from daan.temporal_convolution import CausalConvolution

Layer = nn.Linear | CausalConvolution

_NUMBERS_AT_ONCE = 1 << 24  # of an intermediate result; 64 MiB of float32


@dataclass(frozen=True)
class Passage:
    """What one layer read and wrote in a forward pass."""

    layer: Layer
    x: Tensor  # (2B, T, D), detached
    y: Tensor  # (2B, T, H), of the graph

    @property
    def weight(self) -> Tensor:
        """(H, K * D), the present second's columns first."""
        return self._linear.weight

    @property
    def bias(self) -> Tensor | None:
        """(H,), where the layer has one."""
        return self._linear.bias

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Weight, and bias where there is one."""
        return list(self._linear.parameters())

    @property
    def shifts(self) -> list[int]:
        """How many seconds back each tap reads, those that reach no second left out; a linear layer reads the present.

        What is left out comes last.
        """
        if isinstance(self.layer, nn.Linear):
            return [0]
        shifts = [tap * self.layer.gap for tap in range(self.layer.kernel)]
        return [shift for shift in shifts if shift < self.x.shape[1]]

    @property
    def _linear(self) -> nn.Linear:
        return self.layer if isinstance(self.layer, nn.Linear) else self.layer.taps


@contextmanager
def recorded(layers: Iterable[Layer]) -> Iterator[dict[Layer, Passage]]:
    """Fills a dict with the forward pass that each layer makes inside the block."""
    passages: dict[Layer, Passage] = {}

    def keep(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(layer, Layer)  # noqa: S101 - what it is hooked on; tells mypy
        passages[layer] = Passage(layer, inputs[0].detach(), output)

    handles = [layer.register_forward_hook(keep) for layer in layers]
    try:
        yield passages
    finally:
        for handle in handles:
            handle.remove()


def squared_norms(passage: Passage, d: Tensor) -> Tensor:
    """(B,) squared Frobenius norm of each pair's share of the gradient of weight and bias.

    By Gram matrices or by the shares themselves, whichever takes fewer multiplications; in chunks of pairs, so that
    long videos do not take memory without bound.

    Args:
        passage: of the layer.
        d: (2B, T, H) gradient of the loss at its output.
    """
    (seconds, width), out, taps = passage.x.shape[1:], d.shape[-1], len(passage.shifts)
    by_gram = 3 * seconds**2 * (width + out) <= 2 * seconds * taps * width * out
    numbers = 3 * seconds**2 if by_gram else 2 * width * out
    pairs_at_once = max(1, _NUMBERS_AT_ONCE // numbers)
    chunks = zip(*(torch.split(_by_pair(each), pairs_at_once, dim=1) for each in (passage.x, d)), strict=True)
    norms = _norms_by_gram if by_gram else _norms_by_products
    return torch.cat([norms(x, e, passage.shifts, has_bias=passage.bias is not None) for x, e in chunks])


def _by_pair(x: Tensor) -> Tensor:
    """(2, B, T, D) of (2B, T, D); 16-bit values as float32, in which squares are added up."""
    x = x.view(2, -1, *x.shape[1:])
    return x.float() if x.dtype in {torch.bfloat16, torch.float16} else x


def _norms_by_gram(x: Tensor, d: Tensor, shifts: list[int], *, has_bias: bool) -> Tensor:
    """(B,) without forming g: |g|^2 = sum over rows r, s of (d_r . d_s)(x_r . x_s), from (2, B, T, D) and (2, B, T, H).

    A tap reads the rows of x some seconds late, so its Gram matrix is x's own, moved along the diagonal. A bias reads a
    constant 1.
    """

    def summed(gram_x: Tensor, gram_d: Tensor) -> Tensor:
        seconds = gram_x.shape[-1]
        taps = [(gram_d[..., s:, s:] * gram_x[..., : seconds - s, : seconds - s]).sum((-2, -1)) for s in shifts]
        return sum(taps, start=gram_d.sum((-2, -1)) if has_bias else torch.zeros_like(taps[0]))

    within = summed(x @ x.mT, d @ d.mT).sum(0)
    across = summed(x[0] @ x[1].mT, d[0] @ d[1].mT)
    return (within + 2 * across).clamp_min(0)  # rounding can leave less than nothing where a share is 0


def _norms_by_products(x: Tensor, d: Tensor, shifts: list[int], *, has_bias: bool) -> Tensor:
    """(B,) from the shares g themselves, tap by tap, of (2, B, T, D) and (2, B, T, H)."""
    seconds = x.shape[2]
    norms = d.sum((0, 2)).square().sum(-1) if has_bias else d.new_zeros(d.shape[1])
    for shift in shifts:
        share = (d[:, :, shift:].mT @ x[:, :, : seconds - shift]).sum(0)  # (B, H, D)
        norms = norms + share.square().sum((1, 2))
    return norms


def weighted_gradients(passage: Passage, d: Tensor, weights: Tensor) -> list[Tensor]:
    """Sum over pairs of weight times share, for each of the layer's `parameters`: one product with d scaled.

    Args:
        passage: of the layer.
        d: (2B, T, H) gradient of the loss at its output.
        weights: (B,).
    """
    seconds, width = passage.x.shape[1:]
    scaled = d * weights.to(d.dtype).repeat(2)[:, None, None]
    taps = [
        scaled[:, shift:].flatten(0, 1).mT @ passage.x[:, : seconds - shift].flatten(0, 1).to(d.dtype)
        for shift in passage.shifts
    ]  # (H, D) each
    missing = passage.weight.shape[1] - len(taps) * width  # columns of taps that reach no second
    gradient = torch.cat([*taps, scaled.new_zeros(d.shape[-1], missing)], dim=1)
    gradients = [gradient] if passage.bias is None else [gradient, scaled.sum((0, 1))]
    return [found.to(parameter.dtype) for found, parameter in zip(gradients, passage.parameters, strict=True)]
