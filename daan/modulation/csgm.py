"""CSGM, contrastive sample-level gradient modulation, for one batch of pairs (DAAN paper, eq. 5 to 8).

It takes one forward and one backward pass. Autograd computes the gradients at the outputs of QDMA's layers, not at
their weights. The modulated gradient of the weights is then one product per layer.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from daan.modulation.csgm_rates import Rates, modulation_rates
from daan.modulation.pair_gradients import Activation, squared_norms, weighted_gradients
from daan.network import Daan, Embeddings


class BranchNorms(NamedTuple):
    """Euclidean norms (2, 2) by modality (audio, visual) and branch (attention, bypass); NaN for a missing branch."""

    gradient: Tensor  # norms of the gradients for the optimiser, before noise and clipping
    parameter: Tensor  # norms of the parameters


def add_modulated_gradients(
    network: Daan,
    loss: Tensor,
    activations: Mapping[nn.Linear, Activation],
    positive: Embeddings,
    negative: Embeddings,
    has_both: Tensor,
) -> Rates:
    """Add the gradients of a batch's loss to `.grad`; modulate those of QDMA pair by pair (eq. 8 without its noise).

    Args:
        network: network whose forward pass was recorded.
        loss: loss of B pairs.
        activations: activations of all layers of the network's branches.
        positive: embeddings of the B positives.
        negative: embeddings of the B negatives.
        has_both: flags (B,), true if both videos of the pair have both modalities.

    Returns:
        The rates by which the gradients were modulated.
    """
    layers = list(activations)
    outputs = [activations[layer].y for layer in layers]
    modulated = {id(parameter) for layer in layers for parameter in layer.parameters()}
    others = [each for each in network.parameters() if each.requires_grad and id(each) not in modulated]
    found = torch.autograd.grad(loss, [*outputs, *others], allow_unused=True)
    with torch.no_grad():
        grad_outputs = dict(zip(layers, found[: len(layers)], strict=True))
        gradient_ratio = _gradient_ratios(network, activations, grad_outputs) if network.config.csgm == "full" else None
        rates = modulation_rates(positive, negative, gradient_ratio, has_both, network.config)
        for parameter, gradient in zip(others, found[len(layers) :], strict=True):
            _add(parameter, gradient)
        for modality, branches in enumerate(network.branches):
            for branch, branch_layers in enumerate(branches):
                for layer in branch_layers:
                    weights = rates.modulation[:, modality, branch]
                    gradients = weighted_gradients(layer, activations[layer].x, grad_outputs[layer], weights)
                    for parameter, gradient in zip(layer.parameters(), gradients, strict=True):
                        _add(parameter, gradient)
    return rates


def _gradient_ratios(
    network: Daan, activations: Mapping[nn.Linear, Activation], grad_outputs: Mapping[nn.Linear, Tensor]
) -> Tensor:
    """Compute r = |g|^2 / |Theta|^2 (B, 2, 2) of each pair, modality and branch (DAAN paper, eq. 7)."""

    def squares(layer: nn.Linear) -> Tensor:
        return squared_norms(activations[layer].x, grad_outputs[layer], has_bias=layer.bias is not None)

    by_branch = [
        [torch.stack([squares(layer) for layer in layers]).sum(0) for layers in branches]
        for branches in network.branches
    ]
    squared = torch.stack([torch.stack(both, dim=1) for both in by_branch], dim=1)
    return squared / _norms(network, gradients=False).square().clamp_min(torch.finfo(squared.dtype).tiny)


def _add(parameter: nn.Parameter, gradient: Tensor | None) -> None:
    if gradient is not None:
        parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient


def branch_norms(network: Daan) -> BranchNorms:
    """Compute the norms of the current gradients and parameters of each branch."""
    return BranchNorms(_norms(network, gradients=True), _norms(network, gradients=False))


@torch.no_grad()
def _norms(network: Daan, *, gradients: bool) -> Tensor:
    """Compute the norm (2, 2) of each branch's parameters, or of their gradients."""
    missing = torch.full_like(network.absent_audio[0], torch.nan)

    def norm(layers: tuple[nn.Linear, ...]) -> Tensor:
        parameters = [parameter for layer in layers for parameter in layer.parameters()]
        tensors = [parameter.grad if gradients else parameter for parameter in parameters]
        norms = [torch.linalg.vector_norm(tensor) for tensor in tensors if tensor is not None]
        return torch.linalg.vector_norm(torch.stack(norms)) if norms else missing

    return torch.stack([torch.stack([norm(layers) for layers in branches]) for branches in network.branches])


@torch.no_grad()
def add_noise(network: Daan) -> None:
    """Add eps ~ N(0, (noise * std(G))^2) to every gradient G of QDMA's branches (DAAN paper, eq. 8).

    C: one standard deviation per tensor, as in OGM-GE.
    """
    if network.config.noise == 0:
        return
    for branches in network.branches:
        for layers in branches:
            for layer in layers:
                for parameter in layer.parameters():
                    if parameter.grad is not None:
                        deviation = network.config.noise * parameter.grad.std(correction=0)
                        parameter.grad.addcmul_(torch.randn_like(parameter.grad), deviation)
