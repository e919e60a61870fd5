"""Tests of daan/qdma.py: equations 2 to 4 (attention and bypass have separate tests)."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from daan.config import DaanConfig
from daan.qdma import AveragedMlp, Qdma

CONFIG = DaanConfig(hidden_width=16, heads=2, beta=0.3, encoder_dropout=0.0, tcn_gap=2)


def trained(encoder: nn.Module) -> nn.Module:
    """Convert the encoder to float64 and change its running statistics from the initial ones."""
    encoder.double()
    for name, buffer in encoder.named_buffers():
        if "running" in name:
            buffer.uniform_(0.5, 1.5)
    return encoder


@settings(deadline=None, max_examples=25)
@given(lengths=st.lists(st.integers(1, 5), min_size=1, max_size=4), reads=st.sampled_from(["refined", "features"]))
def test_phi_is_the_mean_of_o3_plus_the_last_second_of_the_bypass(lengths: list[int], reads: Any) -> None:
    """Each video of a padded batch follows equations 2 to 4, and the mean of its sequence is phi.

    By default the bypass reads o3; as an option it reads the features.
    """
    qdma = trained(Qdma(5, replace(CONFIG, bypass_input=reads))).eval()
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    x = torch.randn(*mask.shape, 5, dtype=torch.float64) * mask[..., None]

    encoded = qdma(x, mask)

    for video, length in enumerate(lengths):
        alone = x[video, :length]
        o1 = qdma.attention(alone[None], torch.ones(1, length, dtype=torch.bool))[0]
        norm = qdma.norm
        o3 = []
        for second in o1:
            linear = (1 - 0.3) * (qdma.refinement.weight @ second)
            normed = (linear - norm.running_mean) / (norm.running_variance + 1e-5).sqrt() * norm.weight + norm.bias
            o3.append(normed.clamp(min=0))
        bypassed = torch.stack(o3) if reads == "refined" else alone
        phi = sum(o3) / length + qdma.bypass(bypassed[None], torch.ones(1, length, dtype=torch.bool))[0]
        torch.testing.assert_close(encoded.phi[video], phi)
        torch.testing.assert_close(encoded.seconds[video, :length].mean(0), phi)
        torch.testing.assert_close(encoded.seconds[video, 0] - o3[0], phi - sum(o3) / length)


def test_batch_statistics_use_valid_seconds_only() -> None:
    """In training, more padding changes no output, no gradient and no running statistic."""
    torch.manual_seed(1)
    short, long = Qdma(5, CONFIG).double(), Qdma(5, CONFIG).double()
    long.load_state_dict(short.state_dict())
    x, mask = torch.randn(3, 2, 5, dtype=torch.float64), torch.tensor([[True, True], [True, False], [True, True]])
    x = x * mask[..., None]
    padded, padded_mask = nn.functional.pad(x, (0, 0, 0, 4)), nn.functional.pad(mask, (0, 4))

    expected, actual = short(x, mask).phi, long(padded, padded_mask).phi
    expected.square().sum().backward()
    actual.square().sum().backward()

    torch.testing.assert_close(actual, expected)
    for (name, one), (_, other) in zip(short.named_parameters(), long.named_parameters(), strict=True):
        # A tap that reads only padding has a gradient of zeros; one that is not needed at all has none.
        expected_gradient = torch.zeros_like(other.grad) if one.grad is None else one.grad
        torch.testing.assert_close(other.grad, expected_gradient, msg=name)
    torch.testing.assert_close(long.norm.running_variance, short.norm.running_variance)


@pytest.mark.parametrize("width", [6, 7])
def test_chunks_take_the_place_of_seconds(width: int) -> None:
    """The mean over the seconds is cut into chunks; QDMA reads them as it reads seconds. Zeros fill the last chunk."""
    qdma = trained(Qdma(width, replace(CONFIG, tokens="chunks", chunks=3))).eval()
    x, mask = torch.randn(2, 3, width, dtype=torch.float64), torch.tensor([[True, True, False], [True, True, True]])
    x = x * mask[..., None]

    encoded = qdma(x, mask)

    for video, length in enumerate((2, 3)):
        mean = torch.cat((x[video].sum(0) / length, torch.zeros(-width % 3, dtype=torch.float64)))
        chunks = mean.view(1, 3, -1)
        o3 = qdma.refine(chunks, torch.ones(1, 3, dtype=torch.bool))
        bypassed = qdma.bypass(o3, torch.ones(1, 3, dtype=torch.bool))
        torch.testing.assert_close(encoded.phi[video], o3[0].mean(0) + bypassed[0])
    assert encoded.mask.shape == (2, 3)
    assert encoded.mask.all()


def test_without_bypass_phi_is_the_mean_of_o3() -> None:
    """The encoder then has one branch."""
    qdma = trained(Qdma(5, replace(CONFIG, bypass="off"))).eval()
    x, mask = torch.randn(2, 3, 5, dtype=torch.float64), torch.ones(2, 3, dtype=torch.bool)

    torch.testing.assert_close(qdma(x, mask).phi, qdma.refine(x, mask).mean(1))
    assert qdma.branches.bypass == ()


def test_the_encoder_without_qdma_reads_the_mean_of_the_valid_seconds() -> None:
    """Without QDMA a video is encoded as one second: the MLP of its average."""
    encoder = trained(AveragedMlp(5, CONFIG)).eval()
    x, mask = torch.randn(2, 3, 5, dtype=torch.float64), torch.tensor([[True, True, False], [True, True, True]])

    encoded = encoder(x, mask)

    torch.testing.assert_close(encoded.phi, encoder.layers(torch.stack((x[0, :2].mean(0), x[1].mean(0)))))
    assert torch.equal(encoded.seconds, encoded.phi[:, None])
    assert encoded.mask.tolist() == [[True], [True]]
