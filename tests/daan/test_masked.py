"""Tests of daan/masked.py against torch's BatchNorm on the concatenated valid seconds."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from daan.masked import MaskedBatchNorm, RowBatchNorm, masked_mean, with_stand_in

masks = st.integers(1, 5).flatmap(
    lambda seconds: st.lists(
        st.lists(st.booleans(), min_size=seconds, max_size=seconds).filter(any), min_size=1, max_size=4
    )
)


@settings(deadline=None, max_examples=25)
@given(
    lengths=st.lists(st.integers(0, 4), min_size=1, max_size=5).filter(lambda lengths: sum(lengths) > 1),
    seed=st.integers(0, 1000),
)
def test_batch_normalisation_uses_valid_seconds_only(lengths: list[int], seed: int) -> None:
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
    """One value has no variance: the output is the bias, and the running statistics do not change."""
    norm = MaskedBatchNorm(2)
    nn.init.constant_(norm.bias, 0.25)

    out = norm(torch.tensor([[[5.0, -3.0], [9.0, 9.0]]]), torch.tensor([[True, False]]))

    assert out[0, 0].tolist() == [0.25, 0.25]
    assert norm.running_mean.tolist() == [0.0, 0.0]
    assert norm.running_variance.tolist() == [1.0, 1.0]


@settings(deadline=None, max_examples=25)
@given(rows=masks)
def test_the_mean_uses_the_valid_seconds_only(rows: list[list[bool]]) -> None:
    """For every mask, also with gaps, the result is the mean of the video's own valid seconds."""
    mask = torch.tensor(rows)
    x = torch.randn(*mask.shape, 3, dtype=torch.float64)
    kept: list[Tensor] = [video[valid] for video, valid in zip(x, mask, strict=True)]

    torch.testing.assert_close(masked_mean(x, mask), torch.stack([video.mean(0) for video in kept]))


def test_the_stand_in_fills_only_the_first_second_of_an_absent_sequence() -> None:
    """A present sequence keeps its seconds, an absent one has the stand-in at one valid second; padding is zero."""
    x = torch.tensor([[[1.0], [float("nan")]], [[float("inf")], [float("nan")]]])
    mask = torch.tensor([[True, False], [False, False]])

    filled, valid = with_stand_in(x, mask, torch.tensor([7.0]))

    assert filled.tolist() == [[[1.0], [0.0]], [[7.0], [0.0]]]
    assert valid.tolist() == [[True, False], [True, False]]


def test_a_batch_without_seconds_gets_the_stand_in() -> None:
    """For T = 0 the result is one second with the stand-in."""
    filled, valid = with_stand_in(torch.zeros(2, 0, 1), torch.zeros(2, 0, dtype=torch.bool), torch.tensor([7.0]))

    assert filled.tolist() == [[[7.0]], [[7.0]]]
    assert valid.tolist() == [[True], [True]]


def test_the_stand_in_is_learned_from_absent_videos_only() -> None:
    """Its gradient comes from the video that lacks the modality, and no gradient is NaN."""
    stand_in = torch.zeros(2, requires_grad=True)
    mask = torch.tensor([[True], [False]])

    filled, _ = with_stand_in(torch.full((2, 1, 2), float("nan")), mask, stand_in)
    (filled * torch.tensor([3.0, 5.0])[:, None, None]).nan_to_num().sum().backward()

    assert stand_in.grad is not None
    assert stand_in.grad.tolist() == [5.0, 5.0]


def test_without_an_absent_modality_the_features_need_no_gradient() -> None:
    """The stand-in has no effect and no gradient, so an optimiser leaves it as it is."""
    stand_in = nn.Parameter(torch.ones(3))
    x, mask = torch.randn(2, 2, 3), torch.tensor([[True, False], [True, True]])

    complete, _ = with_stand_in(x, mask, stand_in)
    incomplete, _ = with_stand_in(x, mask & torch.tensor([[True], [False]]), stand_in)

    assert not complete.requires_grad
    assert incomplete.requires_grad
    assert torch.equal(complete[1], x[1])
    assert not complete[0, 1].any()


def test_rows_are_normalised_as_by_torch() -> None:
    """Several rows have the result of nn.BatchNorm1d; a single row in training gives the bias."""
    ours, torchs, x = RowBatchNorm(3), nn.BatchNorm1d(3), torch.randn(4, 3)
    nn.init.normal_(ours.bias)
    torchs.load_state_dict(ours.state_dict())

    assert torch.equal(ours(x), torchs(x))
    before = ours.running_mean.clone()
    assert torch.equal(ours(x[:1]), ours.bias[None])
    assert torch.equal(ours.running_mean, before)
    assert torch.equal(ours.eval()(x[:1]), torchs.eval()(x[:1]))
