"""Tests of daan/dropout.py: it has the distribution of torch's dropout."""

import pytest
import torch

from daan.dropout import Dropout


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_values_are_dropped_with_the_probability_and_scaled(probability: float) -> None:
    """Kept values and their gradients are divided by the probability to be kept; the others are 0."""
    x = torch.full((400, 500), 3.0, requires_grad=True)

    out = Dropout(probability)(x)
    out.sum().backward()

    kept = out != 0
    assert float(kept.double().mean()) == pytest.approx(1 - probability, abs=0.005)
    torch.testing.assert_close(out[kept], torch.full_like(out[kept], 3 / (1 - probability)), rtol=1e-3, atol=0)
    torch.testing.assert_close(x.grad, out / 3)


def test_nothing_is_dropped_in_evaluation_or_with_probability_0() -> None:
    """The input is returned, and no random number is drawn."""
    x, state = torch.randn(3, 4), torch.get_rng_state()

    assert torch.equal(Dropout(0.5).eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)
    assert torch.equal(torch.get_rng_state(), state)
