"""CSGM's rates: the factor of each pair gradient in each branch of QDMA (DAAN paper, eq. 5 to 7).

Legend: B pairs; modalities in the order audio, visual; branches in the order attention (p = 1), temporal bypass
(p = 2). Rates have no gradient of their own. The paper does not say how V_c and V_o are "normalised under the
regulation of a weight parameter". daan/README.md defines the readings implemented here and compares them.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from daan.batch import VideoBatch
from daan.config import DaanConfig
from daan.losses import Embeddings


class Rates(NamedTuple):
    """The rates of a batch, per pair, modality and branch."""

    modulation: Tensor  # M (B, 2, 2)
    convergence: Tensor  # V_c (B, 2)
    optimisation: Tensor  # V_o (B, 2, 2); ones if it is not used


def modulation_rates(
    positive: Embeddings, negative: Embeddings, gradient_ratio: Tensor | None, has_both: Tensor, config: DaanConfig
) -> Rates:
    """Compute M = max(V_c V_o, gamma) (DAAN paper, eq. 5).

    Args:
        positive: embeddings of the B positives, detached or not.
        negative: embeddings of their B negatives.
        gradient_ratio: r (B, 2, 2) of eq. 7; None for a V_o of 1.
        has_both: flags (B,), true if both videos of the pair have both modalities. The other pairs have V_c = V_o = 1.
            With a reading `batch` they have the mean M of the batch.
        config: options; gamma, omega and the two readings are used.
    """
    with torch.no_grad():
        convergence = convergence_rates(positive, negative, has_both, config)
        if gradient_ratio is None:
            optimisation = torch.ones_like(convergence)[..., None].expand(-1, -1, 2)
        else:
            optimisation = optimisation_rates(gradient_ratio, has_both, config)
        modulation = (convergence[..., None] * optimisation).clamp_min(config.gamma)  # DAAN paper, eq. 5
        if config.convergence == "batch" or (gradient_ratio is not None and config.optimisation == "batch"):
            modulation = _with_mean(modulation, _along(has_both, modulation))
        return Rates(modulation, convergence, optimisation)


def convergence_rates(positive: Embeddings, negative: Embeddings, has_both: Tensor, config: DaanConfig) -> Tensor:
    """Compute V_c (B, 2), which measures how far a modality is from convergence (DAAN paper, eq. 6).

    C: V_c is a balance between the two modalities. The product as printed in the paper is 0 for nearly every pair, so
    that M would be the constant gamma. The reading `batch` is the printed form. The other readings add the margin
    inside the deltas, so that a delta is positive as long as its triplet loss still has a gradient.
    """
    deltas = torch.stack(
        [
            _deltas(positive.theta_a, positive.theta_w, negative.theta_a, negative.theta_w, config),
            _deltas(positive.theta_v, positive.theta_w, negative.theta_v, negative.theta_w, config),
        ],
        dim=1,
    )  # (B, 2, 3)
    if config.convergence == "batch":
        return squashed(deltas.prod(-1), has_both, config.omega)
    if config.convergence == "product":
        return balance(deltas, has_both, config.omega).prod(-1)
    return balance(deltas.sum(-1), has_both, config.omega)


def optimisation_rates(gradient_ratio: Tensor, has_both: Tensor, config: DaanConfig) -> Tensor:
    """Compute V_o (B, 2, 2) from the gradient ratio r = |g|^2 / |Theta|^2 (DAAN paper, eq. 7, after Wu et al. 2022).

    C: by default a modality's rate rises with the other modality's r ("the same module under different modalities").
    The slower modality gets the larger rate, the faster one the smaller rate.

    Args:
        gradient_ratio: r (B, 2, 2).
        has_both: flags (B,), true if both videos of the pair have both modalities.
        config: options; omega and the reading are used.
    """
    if config.optimisation == "batch":
        return squashed(gradient_ratio, has_both, config.omega)
    return balance(gradient_ratio.flip(1) if config.optimisation == "other" else gradient_ratio, has_both, config.omega)


def balance(x: Tensor, has_both: Tensor, omega: float) -> Tensor:
    """Compute N = 2 x_m^omega / (x_m^omega + x_o^omega), between 0 and 2 (C).

    N is 1 if the modalities m and o are equal, or if `has_both` is false. A thousandth of the pair's mean is added to
    both, so that a modality at 0 does not keep a rate of 0 for ever.

    Args:
        x: values (B, 2, ...), none negative, with the modalities along dimension 1.
        has_both: flags (B,), true if both videos of the pair have both modalities.
        omega: exponent.
    """
    scale = x.mean(1, keepdim=True)
    raised = x + 1e-3 * scale
    # The sigmoid of the logarithm of the ratio is used, because powers of tiny numbers would become 0.
    found = 2 * torch.sigmoid(omega * (raised.log() - raised.flip(1).log()))
    return torch.where((scale > 0) & _along(has_both, x), found, 1.0)


def squashed(x: Tensor, has_both: Tensor, omega: float) -> Tensor:
    """Compute tanh(omega x / mean of x over the batch) for x (B, ...) (C).

    Pairs with `has_both` false get the mean result of the others, or 1 if there are no others.
    """
    counted = _along(has_both, x)
    mean = torch.where(counted, x, 0.0).sum(0) / counted.sum(0).clamp_min(1)
    return _with_mean(torch.tanh(omega * x / mean.clamp_min(torch.finfo(x.dtype).tiny)), counted)


def _with_mean(x: Tensor, counted: Tensor) -> Tensor:
    """Replace the values of x (B, ...) that are not counted by the mean of those that are; by 1 if none is."""
    mean = torch.where(counted, x, 0.0).sum(0) / counted.sum(0).clamp_min(1)
    return torch.where(counted, x, torch.where(counted.any(0), mean, 1.0))


def have_both_modalities(videos: VideoBatch) -> Tensor:
    """Find the pairs of which both videos have both modalities.

    Args:
        videos: 2B videos: B positives, then their negatives.

    Returns:
        Flags (B,).
    """
    has_both = videos.audio_mask.any(1) & videos.visual_mask.any(1)
    return has_both.view(2, -1).all(0)


def _along(flags: Tensor, x: Tensor) -> Tensor:
    """Reshape flags (B,) to (B, 1, ...), so that they broadcast with x (B, ...)."""
    return flags.reshape(-1, *([1] * (x.ndim - 1)))


def _deltas(theta: Tensor, text: Tensor, theta_negative: Tensor, text_negative: Tensor, config: DaanConfig) -> Tensor:
    """Compute the three deltas (B, 3) of one modality (DAAN paper, eq. 6).

    C: the margin is added inside each delta, except in the printed form `batch`.
    """
    margin = 0.0 if config.convergence == "batch" else config.margin
    near = torch.linalg.vector_norm(theta - text, dim=-1)
    apart = [
        torch.linalg.vector_norm(x - z, dim=-1)
        for x, z in ((theta, theta_negative), (text, theta_negative), (theta, text_negative))
    ]
    return F.relu(torch.stack([near - far + margin for far in apart], dim=-1))
