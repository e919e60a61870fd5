"""daan/masked.py against torch's BatchNorm on the valid seconds laid end to end."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from daan.masked import MaskedBatchNorm


@settings(deadline=None, max_examples=25)
@given(
    lengths=st.lists(st.integers(0, 4), min_size=1, max_size=5).filter(lambda lengths: sum(lengths) > 1),
    seed=st.integers(0, 1000),
)
def test_training_sees_valid_seconds_only(lengths: list[int], seed: int) -> None:
    """Outputs, gradients and running statistics equal those of BatchNorm1d on the concatenated valid seconds."""
    torch.manual_seed(seed)
    mask = torch.arange(4) < torch.tensor(lengths)[:, None]
    x = (3 + 2 * torch.randn(len(lengths), 4, 6, dtype=torch.float64)).requires_grad_()
    rows = x.detach()[mask].requires_grad_()
    ours, plain = MaskedBatchNorm(6).double(), nn.BatchNorm1d(6).double()
    with torch.no_grad():
        for norm in (ours, plain):
            norm.weight.copy_(torch.linspace(0.5, 2, 6))
            norm.bias.copy_(torch.linspace(-1, 1, 6))

    expected, actual = plain(rows), ours(x, mask)[mask]
    expected.sin().sum().backward()
    actual.sin().sum().backward()

    torch.testing.assert_close(actual, expected)
    assert x.grad is not None
    torch.testing.assert_close(x.grad[mask], rows.grad)
    assert not x.grad[~mask].any()
    torch.testing.assert_close(ours.weight.grad, plain.weight.grad)
    torch.testing.assert_close(ours.running_mean, plain.running_mean)
    torch.testing.assert_close(ours.running_variance, plain.running_var)
    torch.testing.assert_close(ours.eval()(x, mask)[mask], plain.eval()(rows))


def test_a_single_valid_second_becomes_the_bias() -> None:
    """One value has no variance: the output is the bias, and the running statistics stay."""
    norm = MaskedBatchNorm(2)
    nn.init.constant_(norm.bias, 0.25)

    out = norm(torch.tensor([[[5.0, -3.0], [9.0, 9.0]]]), torch.tensor([[True, False]]))

    assert out[0, 0].tolist() == [0.25, 0.25]
    assert norm.running_mean.tolist() == [0.0, 0.0]
    assert norm.running_variance.tolist() == [1.0, 1.0]
