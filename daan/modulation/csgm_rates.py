"""CSGM's rates: how much of each pair's gradient reaches each part of QDMA (DAAN paper, eq. 5 to 7).

Legend: B pairs, modalities in the order audio, visual, parts in the order attention (p = 1), temporal bypass (p = 2).
No rate has a gradient of its own. The paper leaves open how V_c and V_o are "normalised under the regulation of a
weight parameter"; the readings here are those of daan.md, section 6, and daan/README.md compares them.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from daan.batch import VideoBatch
from daan.config import DaanConfig
from daan.network import Embeddings

MODALITY_AXIS = ("audio", "visual")  # order of the modality axis
BRANCH_AXIS = ("attention", "bypass")  # order of the branch axis; p = 1 and p = 2 of the paper


class Rates(NamedTuple):
    """What modulates a batch, per pair, modality and part."""

    modulation: Tensor  # M (B, 2, 2)
    convergence: Tensor  # V_c (B, 2)
    optimisation: Tensor  # V_o (B, 2, 2); ones where it takes no part


def modulation_rates(
    positive: Embeddings, negative: Embeddings, gradient_ratio: Tensor | None, has_both: Tensor, config: DaanConfig
) -> Rates:
    """M = max(V_c V_o, gamma) (DAAN paper, eq. 5).

    Args:
        positive: of the B videos, detached or not.
        negative: of their B negatives.
        gradient_ratio: (B, 2, 2) r of eq. 7; None: V_o is 1.
        has_both: (B,) whether the pair's two videos have both modalities; for the others V_c and V_o are 1.
        config: gamma, omega, and the readings.
    """
    with torch.no_grad():
        convergence = convergence_rates(positive, negative, has_both, config)
        if gradient_ratio is None:
            optimisation = torch.ones_like(convergence)[..., None].expand(-1, -1, 2)
        else:
            optimisation = optimisation_rates(gradient_ratio, has_both, config)
        modulation = (convergence[..., None] * optimisation).clamp_min(config.gamma)  # DAAN paper, eq. 5
        return Rates(modulation, convergence, optimisation)


def convergence_rates(positive: Embeddings, negative: Embeddings, has_both: Tensor, config: DaanConfig) -> Tensor:
    """V_c (B, 2) (DAAN paper, eq. 6): how far a modality still is from converged.

    C: balanced against the other modality, for the product as printed is 0 for nearly every pair, and M the constant
    gamma. `batch` is the printed form. In the others the margin stands inside the deltas, which says what the triplet
    losses still pull at.
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
    """V_o (B, 2, 2) of r (B, 2, 2) = |g|^2 / |Theta|^2 (DAAN paper, eq. 7, after Wu et al. 2022).

    C: by default a modality's rate rises with the other's r ("the same module under different modalities"): the slower
    one is let through, the faster one held back.
    """
    if config.optimisation == "batch":
        return squashed(gradient_ratio, has_both, config.omega)
    return balance(gradient_ratio.flip(1) if config.optimisation == "other" else gradient_ratio, has_both, config.omega)


def balance(x: Tensor, has_both: Tensor, omega: float) -> Tensor:
    """N = 2 x_m^omega / (x_m^omega + x_o^omega), between 0 and 2, of x (B, 2, ...) without a negative number (C).

    1 where the modalities m and o are even, or the pair (B,) is not has_both. A thousandth of the pair's mean is
    added to both, so that a modality at 0 does not silence itself for good.
    """
    scale = x.mean(1, keepdim=True)
    raised = x + 1e-3 * scale
    # The sigmoid of the ratio's logarithm: powers of tiny numbers would vanish.
    found = 2 * torch.sigmoid(omega * (raised.log() - raised.flip(1).log()))
    return torch.where((scale > 0) & _along(has_both, x), found, 1.0)


def squashed(x: Tensor, has_both: Tensor, omega: float) -> Tensor:
    """tanh(omega x / mean of x over the batch), of x (B, ...); 1 where the pair (B,) is not has_both (C)."""
    counted = _along(has_both, x)
    mean = torch.where(counted, x, 0.0).sum(0) / counted.sum(0).clamp_min(1)
    return torch.where(counted, torch.tanh(omega * x / mean.clamp_min(torch.finfo(x.dtype).tiny)), 1.0)


def have_both_modalities(videos: VideoBatch) -> Tensor:
    """(B,) whether both videos of each pair have both modalities.

    Args:
        videos: 2B videos: B positives, then their negatives.
    """
    has_both = videos.audio_mask.any(1) & videos.visual_mask.any(1)
    return has_both.view(2, -1).all(0)


def _along(flags: Tensor, x: Tensor) -> Tensor:
    """(B,) as (B, 1, ...), to go with x (B, ...)."""
    return flags.reshape(-1, *([1] * (x.ndim - 1)))


def _deltas(theta: Tensor, text: Tensor, theta_negative: Tensor, text_negative: Tensor, config: DaanConfig) -> Tensor:
    """The three deltas (B, 3) of one modality (DAAN paper, eq. 6), with the margin inside unless as printed (C)."""
    margin = 0.0 if config.convergence == "batch" else config.margin
    near = torch.linalg.vector_norm(theta - text, dim=-1)
    apart = [
        torch.linalg.vector_norm(x - z, dim=-1)
        for x, z in ((theta, theta_negative), (text, theta_negative), (theta, text_negative))
    ]
    return F.relu(torch.stack([near - far + margin for far in apart], dim=-1))
