"""CSGM, contrastive sample-level gradient modulation (DAAN paper, eq. 5 to 8): gradients of one batch of pairs.

One forward and one backward pass: autograd is asked for the gradients at the outputs of QDMA's layers, not at their
weights; the weights' modulated gradients are then one product a layer.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from daan.modulation.csgm_rates import Rates, modulation_rates
from daan.modulation.pair_gradients import Passage, squared_norms, weighted_gradients
from daan.network import Daan, Embeddings


class PartNorms(NamedTuple):
    """Euclidean norms (2, 2) by modality (audio, visual) and part (attention, bypass); NaN where there is no part."""

    gradient: Tensor  # as it goes to the optimiser, without the noise
    parameter: Tensor


def add_modulated_gradients(
    network: Daan,
    loss: Tensor,
    passages: Mapping[nn.Linear, Passage],
    positive: Embeddings,
    negative: Embeddings,
    comparable: Tensor,
) -> Rates:
    """Add the gradients of a batch's loss to `.grad`, those of QDMA modulated pair by pair (eq. 8 without its noise).

    Args:
        network: whose forward pass was recorded.
        loss: of B pairs.
        passages: of all layers of the network's parts.
        positive: embeddings of the B positives.
        negative: of the B negatives.
        comparable: (B,) whether a pair's videos have both modalities.

    Returns:
        The rates by which the gradients were modulated.
    """
    layers = list(passages)
    outputs = [passages[layer].y for layer in layers]
    modulated = {id(parameter) for layer in layers for parameter in layer.parameters()}
    others = [each for each in network.parameters() if each.requires_grad and id(each) not in modulated]
    found = torch.autograd.grad(loss, [*outputs, *others], allow_unused=True)
    with torch.no_grad():
        d = dict(zip(layers, found[: len(layers)], strict=True))
        greed = _greed(network, passages, d) if network.config.csgm == "full" else None
        rates = modulation_rates(positive, negative, greed, comparable, network.config)
        for parameter, gradient in zip(others, found[len(layers) :], strict=True):
            _add(parameter, gradient)
        for modality, parts in enumerate(network.parts):
            for part, part_layers in enumerate(parts):
                for layer in part_layers:
                    weights = rates.modulation[:, modality, part]
                    gradients = weighted_gradients(layer, passages[layer].x, d[layer], weights)
                    for parameter, gradient in zip(layer.parameters(), gradients, strict=True):
                        _add(parameter, gradient)
    return rates


def _greed(network: Daan, passages: Mapping[nn.Linear, Passage], d: Mapping[nn.Linear, Tensor]) -> Tensor:
    """How greedy each pair, modality and part is: r = |g|^2 / |Theta|^2 (B, 2, 2) (DAAN paper, eq. 7)."""

    def squares(layer: nn.Linear) -> Tensor:
        return squared_norms(passages[layer].x, d[layer], has_bias=layer.bias is not None)

    by_part = [
        [torch.stack([squares(layer) for layer in layers]).sum(0) for layers in parts] for parts in network.parts
    ]
    share = torch.stack([torch.stack(both, dim=1) for both in by_part], dim=1)
    return share / _norms(network, gradients=False).square().clamp_min(torch.finfo(share.dtype).tiny)


def _add(parameter: nn.Parameter, gradient: Tensor | None) -> None:
    if gradient is not None:
        parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient


def part_norms(network: Daan) -> PartNorms:
    """Norms of each part's gradient and parameters, as they stand."""
    return PartNorms(_norms(network, gradients=True), _norms(network, gradients=False))


@torch.no_grad()
def _norms(network: Daan, *, gradients: bool) -> Tensor:
    """(2, 2) norm of each part's parameters, or of their gradients."""
    nothing = torch.full_like(network.absent_audio[0], torch.nan)

    def norm(layers: tuple[nn.Linear, ...]) -> Tensor:
        parameters = [parameter for layer in layers for parameter in layer.parameters()]
        tensors = [parameter.grad if gradients else parameter for parameter in parameters]
        norms = [torch.linalg.vector_norm(tensor) for tensor in tensors if tensor is not None]
        return torch.linalg.vector_norm(torch.stack(norms)) if norms else nothing

    return torch.stack([torch.stack([norm(layers) for layers in parts]) for parts in network.parts])


@torch.no_grad()
def add_noise(network: Daan) -> None:
    """Add eps ~ N(0, (noise * std(G))^2) to every gradient G of QDMA's parts (DAAN paper, eq. 8).

    C: one standard deviation a tensor, as OGM-GE has it.
    """
    if network.config.noise == 0:
        return
    for parts in network.parts:
        for layers in parts:
            for layer in layers:
                for parameter in layer.parameters():
                    if parameter.grad is not None:
                        deviation = network.config.noise * parameter.grad.std(correction=0)
                        parameter.grad.addcmul_(torch.randn_like(parameter.grad), deviation)
