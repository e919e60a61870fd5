"""Tests of daan/losses.py against loops over pairs that follow equations 9 to 12."""

import dataclasses

import pytest
import torch
from torch import Tensor

from daan.losses import Embeddings, composite_loss, daan_losses, regularisation_loss, triplet_loss

PAIRS = 3


def embeddings() -> Embeddings:
    """Make random float64 embeddings that require gradients: theta 5 wide, phi 4, rho 6."""
    widths = {"theta": 5, "phi": 4, "rho": 6}
    names = [field.name for field in dataclasses.fields(Embeddings)]
    return Embeddings(
        **{
            name: torch.randn(PAIRS, widths[name.split("_")[0]], dtype=torch.float64, requires_grad=True)
            for name in names
        }
    )


def t(x: Tensor, y: Tensor, z: Tensor, margin: float) -> float:
    """Compute the triplet term of one pair."""
    near = sum((a - b) ** 2 for a, b in zip(x.tolist(), y.tolist(), strict=True)) ** 0.5
    far = sum((a - b) ** 2 for a, b in zip(x.tolist(), z.tolist(), strict=True)) ** 0.5
    return max(near - far + margin, 0)


def d(x: Tensor, y: Tensor) -> float:
    """Compute the mean squared error over all entries."""
    differences = [(a - b) ** 2 for a, b in zip(x.flatten().tolist(), y.flatten().tolist(), strict=True)]
    return sum(differences) / len(differences)


@pytest.mark.parametrize("margin", [0.0, 1.0])
def test_the_losses_follow_their_equations(margin: float) -> None:
    """Each loss is the mean of its triplet terms plus its squared errors, and the total is their sum."""
    p, n, text = embeddings(), embeddings(), torch.randn(PAIRS, 6, dtype=torch.float64)
    triplet = decoded = crossed = 0.0
    for i in range(PAIRS):
        a, v, w = p.theta_a[i], p.theta_v[i], p.theta_w[i]
        a_, v_, w_ = n.theta_a[i], n.theta_v[i], n.theta_w[i]
        triplet += t(a, w, a_, margin) + t(v, w, v_, margin) + t(w, a, w_, margin) + t(w, v, w_, margin)
        decoded += t(p.rho_w[i], p.rho_a[i], n.rho_a[i], margin) + t(p.rho_w[i], p.rho_v[i], n.rho_v[i], margin)
        crossed += t(w, a, a_, margin) + t(w, v, v_, margin) + t(a, w, w_, margin) + t(v, w, w_, margin)
    reconstruction = d(p.rho_a, text) + d(p.rho_v, text) + d(p.rho_w, text)
    composite = reconstruction + (decoded + crossed) / PAIRS
    regularisation = (
        d(p.phi_rec_a, p.phi_a) + d(p.phi_rec_v, p.phi_v) + d(p.theta_a, p.theta_w) + d(p.theta_v, p.theta_w)
    )

    losses = daan_losses(p, n, text, margin=margin)

    assert losses["triplet"].item() == pytest.approx(triplet / PAIRS)
    assert losses["composite"].item() == pytest.approx(composite)
    assert losses["regularisation"].item() == pytest.approx(regularisation)
    assert list(losses) == ["triplet", "composite", "regularisation"]


def test_each_loss_has_gradients_for_its_own_embeddings_only() -> None:
    """L_t reaches theta only, L_r the positives only, and L_c everything except phi."""
    reached = {}
    for name, loss in {
        "triplet": lambda p, n: triplet_loss(p, n, 10.0),
        "composite": lambda p, n: composite_loss(p, n, torch.zeros(PAIRS, 6, dtype=torch.float64), 10.0),
        "regularisation": lambda p, _: regularisation_loss(p),
    }.items():
        p, n = embeddings(), embeddings()
        loss(p, n).backward()
        reached[name] = {
            f"{field.name}{sign}"
            for sign, side in (("", p), ("-", n))
            for field in dataclasses.fields(side)
            if getattr(side, field.name).grad is not None
        }

    theta = {"theta_a", "theta_v", "theta_w"}
    assert reached["triplet"] == theta | {"theta_a-", "theta_v-", "theta_w-"}
    assert reached["composite"] == reached["triplet"] | {"rho_a", "rho_v", "rho_w", "rho_a-", "rho_v-"}
    assert reached["regularisation"] == theta | {"phi_a", "phi_v", "phi_rec_a", "phi_rec_v"}


def test_gradients_are_finite_at_distance_zero() -> None:
    """If all embeddings are equal, every norm is 0 and every gradient is finite."""
    p = Embeddings(*(torch.zeros(PAIRS, 5, requires_grad=True) for _ in dataclasses.fields(Embeddings)))

    losses = daan_losses(p, p, torch.zeros(PAIRS, 5), margin=1.0)
    sum(losses.values()).backward()

    assert losses["triplet"].item() == 4
    for field in dataclasses.fields(p):
        gradient = getattr(p, field.name).grad
        assert torch.isfinite(gradient).all(), field.name
