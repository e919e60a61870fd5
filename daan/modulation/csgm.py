"""CSGM, contrastive sample-level gradient modulation, for one batch of pairs (DAAN paper, eq. 5 to 8).

It takes one forward and one backward pass. Autograd computes the gradients at the outputs of QDMA's layers, not at
their weights. The modulated gradient of the weights is then one product per layer.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor

from daan.gradients import Gradients, detached, total, weighted
from daan.losses import Embeddings
from daan.method import TrainingBatch
from daan.modulation.csgm_rates import Rates, have_both_modalities, modulation_rates
from daan.modulation.noise import PairSquares, add_noise
from daan.modulation.pair_gradients import Activation, matrices_of, recorded, squared_norms, weighted_gradients
from daan.network import Daan
from daan.qdma import Layer


class CsgmGradients(Gradients):
    """Gradients whose parts in QDMA are modulated pair by pair.

    Args:
        network: DAAN, in training mode.
    """

    def __init__(self, network: Daan) -> None:
        super().__init__(network)
        config = network.config
        self._network = network
        self._squares = PairSquares(wanted=config.noise > 0 and config.noise_scale == "sgd")
        self._rates: list[Rates] = []
        self._mean_rates: Tensor | None = None  # (2, 2), if the rates scale updates

    def add(
        self, batch: TrainingBatch, *, weight: float, autocast: AbstractContextManager[object]
    ) -> dict[str, Tensor]:
        """Add the gradients of `weight` times the loss; modulate those of QDMA (eq. 8 without its noise)."""
        network = self._network
        videos = network.shown(batch.videos)
        with recorded([layer for _, _, layer in network.branch_layers]) as activations, autocast:
            positive, negative = network.embed_pairs(batch, videos)
        terms = weighted(network.losses_of(positive, negative, batch), weight)
        rates = add_modulated_gradients(
            network,
            total(terms),
            activations,
            positive,
            negative,
            have_both_modalities(videos),
            self.parameter_norms.view(2, 2),
            self._squares,
        )
        self._rates.append(rates)
        return detached(terms)

    def complete(self) -> dict[str, Tensor]:
        """Return the rates M, V_c and, if it is used, V_o (B, 4), and whether M has its lowest value."""
        config = self._network.config
        rates = Rates(*(torch.cat(values) for values in zip(*self._rates, strict=True)))
        if config.csgm_apply == "update":
            self._mean_rates = rates.modulation.mean(0)
            divide_gradients(self._network, self._squares, self._mean_rates)
        values = {
            "M": rates.modulation,
            "V_c": rates.convergence[..., None].expand_as(rates.modulation),
            "V_o": rates.optimisation,
            "at_gamma": rates.modulation <= config.gamma,
        }
        if config.csgm != "full":
            del values["V_o"]
        return {name: value.flatten(1) for name, value in values.items()}

    def disturb(self) -> None:
        """Add the noise of eq. 8, once to the whole gradient."""
        add_noise(self._network, self._squares, sum(len(rates.modulation) for rates in self._rates))

    def updating(self) -> AbstractContextManager[None]:
        """Scale the updates by the mean rates, if the configuration says so."""
        return nullcontext() if self._mean_rates is None else updates_scaled(self._network, self._mean_rates)


def add_modulated_gradients(
    network: Daan,
    loss: Tensor,
    activations: Mapping[Layer, Activation],
    positive: Embeddings,
    negative: Embeddings,
    has_both: Tensor,
    parameter_norms: Tensor,
    squares: PairSquares,
) -> Rates:
    """Add the gradients of a batch's loss to `.grad`; modulate those of QDMA pair by pair (eq. 8 without its noise).

    A parameter that the forward pass did not read keeps its `.grad`, so that the optimiser leaves it as it is.

    Args:
        network: network whose forward pass was recorded.
        loss: loss of B pairs.
        activations: activations of the layers of the network's branches that ran.
        positive: embeddings of the B positives.
        negative: embeddings of the B negatives.
        has_both: flags (B,), true if both videos of the pair have both modalities.
        parameter_norms: norms (2, 2) of the branches' parameters.
        squares: receives the squared norms of the modulated pair gradients if noise has the scale `sgd`.

    Returns:
        The rates by which the gradients were modulated.
    """
    config, layers = network.config, list(activations)
    outputs = [activations[layer].y for layer in layers]
    modulated = {id(parameter) for _, _, layer in network.branch_layers for parameter in layer.parameters()}
    others = [each for each in network.parameters() if each.requires_grad and id(each) not in modulated]
    found = torch.autograd.grad(loss, [*outputs, *others], allow_unused=True)
    with torch.no_grad():
        grad_outputs = dict(zip(layers, found[: len(layers)], strict=True))
        needs_norms = config.csgm == "full" or squares.wanted
        norms = {
            layer: squared_norms(layer, activations[layer].x, grad_outputs[layer])
            for layer in (layers if needs_norms else ())
        }
        ratios = _gradient_ratios(network, norms, parameter_norms, len(has_both)) if config.csgm == "full" else None
        rates = modulation_rates(positive, negative, ratios, has_both, config)
        for parameter, gradient in zip(others, found[len(layers) :], strict=True):
            _add(parameter, gradient)
        for modality, branch, layer in network.branch_layers:
            if layer not in activations:
                continue
            weights, x = rates.modulation[:, modality, branch], activations[layer].x
            matrices = matrices_of(layer, x.shape[-1])
            gradients = weighted_gradients(layer, x, grad_outputs[layer], weights)
            for parameters, gradient in zip(matrices, gradients, strict=True):
                _add_to_matrix(parameters, gradient)
            if squares.wanted:
                for parameters, squared in zip(matrices, norms[layer], strict=True):
                    squares.add(parameters[0], (weights.square() * squared).sum())
    return rates


def _gradient_ratios(network: Daan, norms: Mapping[Layer, list[Tensor]], parameter_norms: Tensor, pairs: int) -> Tensor:
    """Compute r = |g|^2 / |Theta|^2 (B, 2, 2) of each pair, modality and branch (DAAN paper, eq. 7)."""
    nothing = torch.zeros(pairs, dtype=network.absent_audio.dtype, device=network.absent_audio.device)

    def squares(layers: tuple[Layer, ...]) -> Tensor:
        found = [each for layer in layers if layer in norms for each in norms[layer]]
        return torch.stack(found).sum(0) if found else nothing

    by_branch = [torch.stack([squares(layers) for layers in branches], dim=1) for branches in network.branches]
    squared = torch.stack(by_branch, dim=1)
    parameters = parameter_norms.nan_to_num().square()
    return squared / parameters.clamp_min(torch.finfo(squared.dtype).tiny)


def _add_to_matrix(parameters: list[Tensor], gradient: Tensor) -> None:
    """Add the gradient of a matrix to the parameters that make it up."""
    for parameter, of_parameter in zip(parameters, gradient.chunk(len(parameters), dim=-1), strict=True):
        _add(parameter, of_parameter.contiguous())


def _add(parameter: Tensor, gradient: Tensor | None) -> None:
    if gradient is not None:
        gradient = gradient.to(parameter.dtype)
        parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient


@torch.no_grad()
def divide_gradients(network: Daan, squares: PairSquares, mean_rates: Tensor) -> None:
    """Divide the gradients of each branch by its mean rate, so that rates only weigh the pairs.

    Args:
        network: network whose gradients were modulated.
        squares: the squared norms of the modulated pair gradients, which are divided likewise.
        mean_rates: mean M (2, 2) of each modality and branch.
    """
    factors = mean_rates.clamp_min(torch.finfo(mean_rates.dtype).tiny).reciprocal()
    for modality, branch, layer in network.branch_layers:
        for parameter in layer.parameters():
            squares.scale(parameter, factors[modality, branch].square())
            if parameter.grad is not None:
                parameter.grad *= factors[modality, branch]


@contextmanager
def updates_scaled(network: Daan, mean_rates: Tensor) -> Iterator[None]:
    """Scale the update that an optimiser makes to each branch inside the `with` block by the branch's mean rate.

    Args:
        network: network whose parameters are updated.
        mean_rates: mean M (2, 2) of each modality and branch.
    """
    before = [
        (parameter, parameter.detach().clone(), mean_rates[modality, branch])
        for modality, branch, layer in network.branch_layers
        for parameter in layer.parameters()
        if parameter.grad is not None
    ]
    yield
    with torch.no_grad():
        for parameter, old, rate in before:
            parameter.copy_(torch.lerp(old, parameter, rate.to(old.dtype)))
