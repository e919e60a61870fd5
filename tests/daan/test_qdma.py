"""Tests of daan/qdma.py: equations 2 to 4 (attention and bypass have separate tests)."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from daan.config import DaanConfig
from daan.qdma import AveragedMlp, Qdma

CONFIG = DaanConfig(hidden_width=16, heads=2, beta=0.3, dropout=0.0, tcn_gap=2)


def trained(encoder: nn.Module) -> nn.Module:
    """Convert the encoder to float64 and change its running statistics from the initial ones."""
    encoder.double()
    for name, buffer in encoder.named_buffers():
        if "running" in name:
            buffer.uniform_(0.5, 1.5)
    return encoder


@settings(deadline=None, max_examples=25)
@given(lengths=st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_phi_is_the_mean_of_o3_plus_the_last_second_of_the_bypass(lengths: list[int]) -> None:
    """Each video of a padded batch follows equations 2 to 4, and the mean of its sequence is phi."""
    qdma = trained(Qdma(5, CONFIG)).eval()
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
        phi = sum(o3) / length + qdma.bypass(alone[None], torch.ones(1, length, dtype=torch.bool))[0]
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
        torch.testing.assert_close(other.grad, one.grad, msg=name)
    torch.testing.assert_close(long.norm.running_variance, short.norm.running_variance)


def test_the_encoder_without_qdma_reads_the_mean_of_the_valid_seconds() -> None:
    """Without QDMA a video is encoded as one second: the MLP of its average."""
    encoder = trained(AveragedMlp(5, CONFIG)).eval()
    x, mask = torch.randn(2, 3, 5, dtype=torch.float64), torch.tensor([[True, True, False], [True, True, True]])

    encoded = encoder(x, mask)

    torch.testing.assert_close(encoded.phi, encoder.layers(torch.stack((x[0, :2].mean(0), x[1].mean(0)))))
    assert torch.equal(encoded.seconds, encoded.phi[:, None])
    assert encoded.mask.tolist() == [[True], [True]]
