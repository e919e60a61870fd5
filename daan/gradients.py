"""The gradients of a step, and what changes them. A modulation derives from `Gradients`. Legend: B pairs, K parts."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from daan.method import Method, Part, TrainingBatch


class Gradients:
    """Adds the gradients of a method's loss to `.grad`, without any modulation.

    Args:
        method: the method, in training mode.

    Attributes:
        parameter_norms: (K,) norms of the parts' parameters before the step; NaN for a part without layers.
    """

    def __init__(self, method: Method) -> None:
        self.parameter_norms = part_norms(method.parts, gradients=False)
        self._method = method

    def add(
        self, batch: TrainingBatch, *, weight: float, autocast: AbstractContextManager[object]
    ) -> dict[str, Tensor]:
        """Add the gradients of `weight` times the loss of a batch; return the weighted terms without their graph."""
        with autocast:
            terms = weighted(self._method.losses(batch), weight)
        total(terms).backward()  # type: ignore[no-untyped-call]  # torch leaves Tensor.backward untyped
        return detached(terms)

    def complete(self) -> dict[str, Tensor]:
        """Finish the gradients of a step after its last batch.

        Returns:
            What is known about each pair and part (B, K), by name: rates as numbers, or flags; nothing by default.
        """
        return {}

    def disturb(self) -> None:
        """Add noise to the complete gradients, if the modulation has noise."""

    def updating(self) -> AbstractContextManager[None]:
        """Return the context in which the optimiser updates the parameters."""
        return nullcontext()


def total(terms: Mapping[str, Tensor]) -> Tensor:
    """Add the terms of a loss."""
    first, *others = terms.values()
    for term in others:
        first = first + term
    return first


def weighted(terms: Mapping[str, Tensor], weight: float) -> dict[str, Tensor]:
    """Multiply every term by a weight."""
    return dict(terms) if weight == 1 else {name: term * weight for name, term in terms.items()}


def detached(terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the same values without their graph."""
    return {name: term.detach() for name, term in terms.items()}


@torch.no_grad()
def part_norms(parts: Sequence[Part], *, gradients: bool) -> Tensor:
    """Compute the norm (K,) of the parameters of each part, or of their gradients; NaN where there is none.

    Args:
        parts: the parts.
        gradients: true for the gradients, false for the parameters.
    """
    of_parts = [[parameter for layer in part.layers for parameter in layer.parameters()] for part in parts]
    known = next((parameter for parameters in of_parts for parameter in parameters), None)
    if known is None:
        return torch.zeros(0)
    missing = torch.full((), torch.nan, dtype=known.dtype, device=known.device)

    def norm(parameters: Sequence[Tensor]) -> Tensor:
        tensors = [parameter.grad if gradients else parameter for parameter in parameters]
        norms = [torch.linalg.vector_norm(tensor) for tensor in tensors if tensor is not None]
        return torch.linalg.vector_norm(torch.stack(norms)) if norms else missing

    return torch.stack([norm(parameters) for parameters in of_parts])
