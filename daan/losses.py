"""The losses of DAAN (eq. 9 to 12). Legend: B pairs, O output width, W width of a class embedding."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from daan.network import Embeddings


@dataclass(frozen=True)
class Losses:
    """The losses of one batch, as scalars."""

    total: Tensor
    triplet: Tensor  # L_t
    composite: Tensor  # L_c
    regularisation: Tensor  # L_r

    def detach(self) -> "Losses":
        """Return the same values without their graph."""
        return self._each(Tensor.detach)

    def scaled(self, factor: float) -> "Losses":
        """Multiply every loss by a factor; at 1 return the same object."""
        return self if factor == 1 else self._each(lambda value: value * factor)

    def __add__(self, other: "Losses") -> "Losses":
        """Add two sets of losses, each loss to its counterpart."""
        return Losses(*(getattr(self, entry.name) + getattr(other, entry.name) for entry in fields(self)))

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Losses":
        return Losses(*(change(getattr(self, entry.name)) for entry in fields(self)))


def daan_losses(positive: Embeddings, negative: Embeddings, text: Tensor, *, margin: float) -> Losses:
    """Compute L = L_t + L_c + L_r (DAAN paper, eq. 12).

    Args:
        positive: embeddings of B videos and their classes.
        negative: embeddings of B videos of other classes; row i is the negative of row i of `positive`.
        text: class embeddings (B, W) of the positives.
        margin: margin of the triplet terms.
    """
    triplet = triplet_loss(positive, negative, margin)
    composite = composite_loss(positive, negative, text, margin)
    regularisation = regularisation_loss(positive)
    return Losses(triplet + composite + regularisation, triplet, composite, regularisation)


def triplet_loss(positive: Embeddings, negative: Embeddings, margin: float) -> Tensor:
    """Compute L_t (DAAN paper, eq. 9).

    It compares text with the videos of another class, and videos with the text of another class.
    """
    p, n = positive, negative
    return (
        _triplet(p.theta_a, p.theta_w, n.theta_a, margin)
        + _triplet(p.theta_v, p.theta_w, n.theta_v, margin)
        + _triplet(p.theta_w, p.theta_a, n.theta_w, margin)
        + _triplet(p.theta_w, p.theta_v, n.theta_w, margin)
    )


def composite_loss(positive: Embeddings, negative: Embeddings, text: Tensor, margin: float) -> Tensor:
    """Compute L_c = l_rec + l_ct + l_w (DAAN paper, eq. 10); `text` (B, W) belongs to the positives."""
    p, n = positive, negative
    reconstruction = F.mse_loss(p.rho_a, text) + F.mse_loss(p.rho_v, text) + F.mse_loss(p.rho_w, text)
    decoded = _triplet(p.rho_w, p.rho_a, n.rho_a, margin) + _triplet(p.rho_w, p.rho_v, n.rho_v, margin)
    crossed = (
        _triplet(p.theta_w, p.theta_a, n.theta_a, margin)
        + _triplet(p.theta_w, p.theta_v, n.theta_v, margin)
        + _triplet(p.theta_a, p.theta_w, n.theta_w, margin)
        + _triplet(p.theta_v, p.theta_w, n.theta_w, margin)
    )
    return reconstruction + decoded + crossed


def regularisation_loss(positive: Embeddings) -> Tensor:
    """Compute L_r (DAAN paper, eq. 11)."""
    p = positive
    reconstructed = F.mse_loss(p.phi_rec_a, p.phi_a) + F.mse_loss(p.phi_rec_v, p.phi_v)
    return reconstructed + F.mse_loss(p.theta_a, p.theta_w) + F.mse_loss(p.theta_v, p.theta_w)


def _triplet(x: Tensor, y: Tensor, z: Tensor, margin: float) -> Tensor:
    """Compute the mean over B of max(|x - y| - |x - z| + margin, 0) for x, y, z of shape (B, K)."""
    # At distance 0 the gradient of vector_norm is 0; a square root of a sum of squares would give infinity times 0.
    near, far = torch.linalg.vector_norm(x - y, dim=-1), torch.linalg.vector_norm(x - z, dim=-1)
    return F.relu(near - far + margin).mean()
