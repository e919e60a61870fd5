"""The losses of DAAN (eq. 9 to 12) and their inputs.

Legend: B pairs, H hidden width, O output width, W width of a class embedding.
"""

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Embeddings:
    """The outputs of the network for B videos and their classes. Suffixes: a for audio, v for visual, w for text.

    The losses need `phi_rec` and `rho_w` of positives only. They are empty for negatives.
    """

    theta_a: Tensor  # (B, O) embedding in the shared space
    theta_v: Tensor  # (B, O)
    theta_w: Tensor  # (B, O)
    phi_a: Tensor  # (B, H) output of the encoder, eq. 4
    phi_v: Tensor  # (B, H)
    phi_rec_a: Tensor  # (B, H) reconstructed from theta
    phi_rec_v: Tensor  # (B, H)
    rho_a: Tensor  # (B, W) decoded from theta
    rho_v: Tensor  # (B, W)
    rho_w: Tensor  # (B, W)

    def float(self) -> "Embeddings":
        """Convert 16-bit embeddings to float32, for losses and rates."""
        return Embeddings(*(x.float() if x.element_size() < 4 else x for x in self._values()))

    def _values(self) -> list[Tensor]:
        return [getattr(self, field.name) for field in fields(self)]

    def split(self, first: int) -> tuple["Embeddings", "Embeddings"]:
        """Split into the embeddings of the first videos and of the rest.

        Args:
            first: number of videos in the first result.
        """
        return Embeddings(*(x[:first] for x in self._values())), Embeddings(*(x[first:] for x in self._values()))


def daan_losses(positive: Embeddings, negative: Embeddings, text: Tensor, *, margin: float) -> dict[str, Tensor]:
    """Compute the terms L_t, L_c and L_r, whose sum is the loss (DAAN paper, eq. 12).

    Args:
        positive: embeddings of B videos and their classes.
        negative: embeddings of B videos of other classes; row i is the negative of row i of `positive`.
        text: class embeddings (B, W) of the positives.
        margin: margin of the triplet terms.
    """
    return {
        "triplet": triplet_loss(positive, negative, margin),
        "composite": composite_loss(positive, negative, text, margin),
        "regularisation": regularisation_loss(positive),
    }


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
