"""One step of training: it takes a batch, updates the weights and returns the terms of the loss."""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from daan.gradients import Gradients, part_norms, total
from daan.method import Method, TrainingBatch
from daan.modulation.csgm import CsgmGradients
from daan.network import Daan

Precision = Literal["float32", "bfloat16"]


class PartNorms(NamedTuple):
    """Euclidean norms (K,) by part of the method; NaN for a part without layers."""

    gradient: Tensor  # norms of the gradients for the optimiser, before noise and clipping
    parameter: Tensor  # norms of the parameters before the step


@dataclass(frozen=True)
class Step:
    """The results of a training step, on the network's device and without a graph."""

    terms: dict[str, Tensor]  # terms of the batch's loss by name
    norms: PartNorms  # norms of the method's parts
    rates: dict[str, Tensor]  # name -> what a modulation knows about each pair and part (B, K); empty without one

    @property
    def loss(self) -> Tensor:
        """The sum of the terms."""
        return total(self.terms)


def training_step(
    method: Method,
    optimizer: torch.optim.Optimizer,
    batch: TrainingBatch,
    *,
    clip_norm: float = 0.0,
    precision: Precision = "float32",
    micro_batches: int = 1,
) -> Step:
    """Do one forward pass, one backward pass, and one step of the optimiser.

    A modulation changes the gradients of the method's parts. Noise is added once, to the whole gradient, and clipping
    comes last. Every random choice comes from torch's own generator.

    Args:
        method: the method, in training mode.
        optimizer: the optimiser of the method's parameters.
        batch: the batch.
        clip_norm: largest norm of the whole gradient; 0 for no limit.
        precision: precision of the network's products; bfloat16 uses autocast, and weights and losses stay float32.
        micro_batches: number of micro-batches of the batch; their gradients are added. More of them need less memory,
            but batch statistics and the rates of a modulation are then computed per micro-batch.

    Returns:
        The terms, norms and rates.

    Raises:
        ValueError: numbers of micro-batches, or widths, that do not fit.
    """
    if not 1 <= micro_batches <= batch.pairs:
        raise ValueError(
            f"{micro_batches} micro-batches of {batch.pairs} pairs: give each micro-batch at least one pair"
        )
    optimizer.zero_grad(set_to_none=True)
    gradients = _gradients_of(method)
    found = [
        gradients.add(part, weight=part.pairs / batch.pairs, autocast=_autocast(precision, batch.text.device))
        for part in _micro_batches(batch, micro_batches)
    ]
    rates = gradients.complete()
    norms = PartNorms(part_norms(method.parts, gradients=True), gradients.parameter_norms)
    gradients.disturb()
    if clip_norm > 0:
        nn.utils.clip_grad_norm_(method.parameters(), clip_norm)
    with gradients.updating():
        optimizer.step()
    terms = {name: sum((each[name] for each in found[1:]), start=first) for name, first in found[0].items()}
    return Step(terms, norms, rates)


def _gradients_of(method: Method) -> Gradients:
    """Choose what modulates the gradients of a method."""
    return CsgmGradients(method) if isinstance(method, Daan) and method.config.modulates else Gradients(method)


def _autocast(precision: Precision, device: torch.device) -> torch.autocast | nullcontext[None]:
    return torch.autocast(device.type, torch.bfloat16) if precision == "bfloat16" else nullcontext()


def _micro_batches(batch: TrainingBatch, count: int) -> list[TrainingBatch]:
    """Split a batch into micro-batches of nearly equal sizes."""
    if count == 1:
        return [batch]
    edges = [batch.pairs * number // count for number in range(1, count)]
    return [batch.select(rows) for rows in torch.arange(batch.pairs, device=batch.text.device).tensor_split(edges)]
