"""Tests of daan/modulation/csgm_rates.py against the formulas, computed pair by pair."""

import dataclasses
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from daan.batch import VideoBatch
from daan.config import DaanConfig
from daan.losses import Embeddings
from daan.modulation.csgm_rates import balance, have_both_modalities, modulation_rates, squashed

positive_numbers = st.floats(1e-30, 1e30)


def embeddings(pairs: int) -> Embeddings:
    """Make random embeddings in float64."""
    return Embeddings(*(torch.randn(pairs, 3, dtype=torch.float64) for _ in dataclasses.fields(Embeddings)))


def slow_balance(own: float, other: float, omega: float) -> float:
    """Compute N of daan/README.md."""
    scale = (own + other) / 2
    if scale == 0:
        return 1.0
    own, other = own + 1e-3 * scale, other + 1e-3 * scale
    return 2 * own**omega / (own**omega + other**omega)


def slow_deltas(positive: Embeddings, negative: Embeddings, modality: str, pair: int, margin: float) -> list[float]:
    """Compute the three deltas of eq. 6."""

    def distance(x: Tensor, y: Tensor) -> float:
        return math.dist(x[pair].tolist(), y[pair].tolist())

    theta, other = getattr(positive, f"theta_{modality}"), getattr(negative, f"theta_{modality}")
    near = distance(theta, positive.theta_w)
    apart = [distance(theta, other), distance(positive.theta_w, other), distance(theta, negative.theta_w)]
    return [max(near - one + margin, 0.0) for one in apart]


def slow_rates(
    positive: Embeddings, negative: Embeddings, gradient_ratio: Tensor, has_both: Tensor, config: DaanConfig
) -> Tensor:
    """Compute M (B, 2, 2) with loops over pairs, modalities and branches, for every reading."""
    pairs = len(gradient_ratio)
    margin = 0.0 if config.convergence == "batch" else config.margin
    deltas = [[slow_deltas(positive, negative, modality, pair, margin) for modality in "av"] for pair in range(pairs)]
    rates = torch.zeros(pairs, 2, 2, dtype=torch.float64)
    used = [pair for pair in range(pairs) if has_both[pair]]
    for pair in range(pairs):
        for m in range(2):
            for p in range(2):
                if pair not in used:
                    rates[pair, m, p] = max(1.0, config.gamma)
                    continue
                own, other = deltas[pair][m], deltas[pair][1 - m]
                if config.convergence == "sum":
                    v_c = slow_balance(sum(own), sum(other), config.omega)
                elif config.convergence == "product":
                    v_c = math.prod(slow_balance(a, b, config.omega) for a, b in zip(own, other, strict=True))
                else:
                    mean = sum(math.prod(deltas[one][m]) for one in used) / len(used)
                    v_c = math.tanh(config.omega * math.prod(own) / mean) if mean else 0.0
                r, r_other = float(gradient_ratio[pair, m, p]), float(gradient_ratio[pair, 1 - m, p])
                if config.optimisation == "batch":
                    mean = sum(float(gradient_ratio[one, m, p]) for one in used) / len(used)
                    v_o = math.tanh(config.omega * r / mean)
                elif config.optimisation == "own":
                    v_o = slow_balance(r, r_other, config.omega)
                else:
                    v_o = slow_balance(r_other, r, config.omega)
                rates[pair, m, p] = max(v_c * v_o, config.gamma)
    return rates


@pytest.mark.parametrize("convergence", ["sum", "product", "batch"])
@pytest.mark.parametrize("optimisation", ["other", "own", "batch"])
@pytest.mark.parametrize("pairs", [1, 6])
def test_rates_follow_the_formulas(convergence: Any, optimisation: Any, pairs: int) -> None:
    """This holds for every reading, also if one of several pairs lacks a modality."""
    config = DaanConfig(convergence=convergence, optimisation=optimisation, gamma=0.3, omega=1.3)
    positive, negative = embeddings(pairs), embeddings(pairs)
    gradient_ratio = torch.rand(pairs, 2, 2, dtype=torch.float64) * 1e-9
    has_both = torch.arange(pairs) != 2

    found = modulation_rates(positive, negative, gradient_ratio, has_both, config)

    expected = slow_rates(positive, negative, gradient_ratio, has_both, config)
    if "batch" in {convergence, optimisation}:
        expected[~has_both] = expected[has_both].mean(0)
    torch.testing.assert_close(found.modulation, expected, rtol=1e-10, atol=1e-12)
    product = found.convergence[..., None] * found.optimisation
    torch.testing.assert_close(found.modulation[has_both], product.clamp_min(0.3)[has_both], rtol=0, atol=0)


def test_the_slower_modality_gets_the_larger_optimisation_rate() -> None:
    """With `other`, the modality with the larger gradient ratio gets the smaller rate; `own` does the opposite."""
    gradient_ratio = torch.tensor([[[4.0, 1.0], [1.0, 1.0]]])
    has_both = torch.ones(1, dtype=torch.bool)
    same = Embeddings(*(torch.zeros(1, 3) for _ in dataclasses.fields(Embeddings)))

    other, own = (
        modulation_rates(same, same, gradient_ratio, has_both, DaanConfig(gamma=0.0, optimisation=reading)).optimisation
        for reading in ("other", "own")
    )

    assert other[0, 0, 0] < 1 < other[0, 1, 0]
    assert own[0, 1, 0] < 1 < own[0, 0, 0]
    torch.testing.assert_close(other[0, :, 1], torch.ones(2))


def test_the_modality_farther_from_its_text_gets_the_larger_convergence_rate() -> None:
    """V_c is above 1 for the modality with larger deltas and below 1 for the other."""
    positive, negative = embeddings(1), embeddings(1)
    positive = dataclasses.replace(positive, theta_a=positive.theta_w + 5, theta_v=positive.theta_w)

    found = modulation_rates(positive, negative, None, torch.ones(1, dtype=torch.bool), DaanConfig(gamma=0.0))

    assert found.convergence[0, 0] > 1 > found.convergence[0, 1]
    torch.testing.assert_close(found.modulation, found.convergence[..., None].expand(-1, -1, 2), rtol=0, atol=0)


@pytest.mark.parametrize("reading", ["sum", "product", "batch"])
def test_a_pair_that_lacks_a_modality_is_not_modulated(reading: Any) -> None:
    """V_c, V_o and M are 1, because there is nothing to balance."""
    found = modulation_rates(
        embeddings(2),
        embeddings(2),
        torch.rand(2, 2, 2, dtype=torch.float64),
        torch.zeros(2, dtype=torch.bool),
        DaanConfig(convergence=reading, optimisation="batch" if reading == "batch" else "other"),
    )

    assert all(bool((rate == 1).all()) for rate in found)


@pytest.mark.parametrize("readings", [("batch", "batch"), ("sum", "batch"), ("batch", "other")])
def test_with_a_batch_reading_an_incomplete_pair_gets_the_mean_rate(readings: tuple[Any, Any]) -> None:
    """Otherwise it would get 1 and the other pairs about gamma, so that incomplete pairs would count most."""
    config = DaanConfig(convergence=readings[0], optimisation=readings[1], gamma=0.3)
    has_both = torch.tensor([True, False, True, True])

    found = modulation_rates(
        embeddings(4), embeddings(4), torch.rand(4, 2, 2, dtype=torch.float64), has_both, config
    ).modulation

    torch.testing.assert_close(found[1], found[has_both].mean(0))


@given(positive_numbers, positive_numbers, st.floats(0, 4))
def test_the_balances_of_both_modalities_add_up_to_two(first: float, second: float, omega: float) -> None:
    """Each is between 0 and 2, and the larger value gets more than 1, at every scale."""
    x = torch.tensor([[first, second]], dtype=torch.float64)

    found = balance(x, torch.ones(1, dtype=torch.bool), omega)[0].tolist()

    assert 0 <= min(found) <= max(found) <= 2
    assert sum(found) == pytest.approx(2)
    assert (found[0] >= found[1]) == (first >= second) or found[0] == pytest.approx(found[1])
    assert found[0] == pytest.approx(slow_balance(first, second, omega), rel=1e-9)


@given(positive_numbers)
def test_balance_of_equal_modalities_is_one(value: float) -> None:
    """This also holds if both are 0."""
    x = torch.tensor([[value, value], [0.0, 0.0]], dtype=torch.float64)

    assert torch.equal(balance(x, torch.ones(2, dtype=torch.bool), 1.15), torch.ones(2, 2, dtype=torch.float64))


def test_squashing_a_batch_of_zeros_gives_zeros() -> None:
    """In the printed form, pairs that have converged have a rate of 0, and M is gamma."""
    assert squashed(torch.zeros(3, 2), torch.ones(3, dtype=torch.bool), 1.0).tolist() == [[0, 0]] * 3


def test_a_pair_has_both_modalities_if_both_videos_have_them() -> None:
    """A pair with a silent positive or with a negative without picture is not marked."""
    features = torch.zeros(6, 2, 4)
    audio_mask, visual_mask = torch.ones(6, 2, dtype=torch.bool), torch.ones(6, 2, dtype=torch.bool)
    audio_mask[0] = False  # of the first positive
    visual_mask[5] = False  # of the last negative

    found = have_both_modalities(VideoBatch(features, features, audio_mask, visual_mask))

    assert found.tolist() == [False, True, False]
