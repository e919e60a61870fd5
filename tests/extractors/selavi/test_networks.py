"""extractors/selavi/networks.py and untrained.py: equal to torchvision's networks, and seeded random weights."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, ResNet
from torchvision.models.video import r2plus1d_18

from extractors.selavi.networks import build_audio_network, build_visual_network
from extractors.selavi.untrained import draw_clips, draw_sounds, initialise_untrained


def torchvision_visual_network() -> nn.Module:
    """Build the network that SeLaVi's authors used for pictures."""
    network = r2plus1d_18()
    network.fc = nn.Identity()
    return network


def torchvision_audio_network() -> nn.Module:
    """Build the network that SeLaVi's authors used for sound."""
    network = ResNet(BasicBlock, [1, 1, 1, 1])
    network.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
    network.fc = nn.Identity()
    return network


@pytest.mark.parametrize(
    ("ours", "theirs", "inputs"),
    [
        (build_visual_network, torchvision_visual_network, (2, 3, 6, 32, 32)),
        (build_audio_network, torchvision_audio_network, (2, 1, 257, 99)),
    ],
    ids=["visual", "audio"],
)
def test_at_width_64_the_network_equals_torchvisions(
    ours: Callable[[], nn.Module], theirs: Callable[[], nn.Module], inputs: tuple[int, ...]
) -> None:
    """Names, shapes and order of the parameters are the same, and so is the output with equal weights."""
    with torch.device("meta"):  # without initial weights, which take seconds
        network = ours()
    expected = theirs()
    shapes = {key: value.shape for key, value in network.state_dict().items()}
    assert list(shapes.items()) == [(key, value.shape) for key, value in expected.state_dict().items()]
    network.load_state_dict(expected.state_dict(), assign=True)
    given = torch.randn(inputs, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(network.eval()(given), expected.eval()(given))


@pytest.mark.parametrize("width", [1, 8, 24])
def test_features_are_eight_times_as_wide_as_the_first_stage(width: int) -> None:
    """Every residual stage scales with the width, down to a single channel."""
    with torch.no_grad():
        assert build_visual_network(width).eval()(torch.zeros(2, 3, 4, 16, 16)).shape == (2, 8 * width)
        assert build_audio_network(width).eval()(torch.zeros(2, 1, 65, 33)).shape == (2, 8 * width)


def untrained_audio_network(seed: int) -> tuple[nn.Module, Tensor]:
    """Build a narrow untrained network, and return it with its stimuli."""
    generator = torch.Generator().manual_seed(seed)
    stimuli = torch.randn(8, 1, 65, 33, generator=generator) * torch.linspace(0.1, 3, 8).reshape(8, 1, 1, 1)
    network = build_audio_network(8)
    initialise_untrained(network, stimuli, generator)
    return network, stimuli


def test_untrained_weights_depend_on_the_seed_only() -> None:
    """The same seed gives the same state bit for bit, for any state of the global generator."""
    torch.manual_seed(1)
    first = untrained_audio_network(0)[0].state_dict()
    before = torch.get_rng_state()
    network = build_audio_network(8)
    after_building = torch.get_rng_state()
    generator = torch.Generator().manual_seed(0)
    initialise_untrained(network, torch.randn(8, 1, 65, 33, generator=generator), generator)
    assert torch.equal(after_building, torch.get_rng_state())
    assert not torch.equal(before, after_building)
    second, other = untrained_audio_network(0)[0].state_dict(), untrained_audio_network(1)[0].state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])


def test_the_batch_statistics_of_an_untrained_network_are_those_of_its_stimuli() -> None:
    """The stimuli give the same features in evaluation mode as in training mode, which uses the batch's statistics."""
    network, stimuli = untrained_audio_network(0)
    assert not network.training
    with torch.no_grad():
        as_evaluated = network(stimuli)
        as_trained = network.train()(stimuli)
    torch.testing.assert_close(as_evaluated, as_trained, rtol=0.02, atol=0.02)


def test_synthetic_stimuli_are_varied() -> None:
    """Pictures in 0..1 are dark and bright, still and moving; sounds are faint and loud; the seed decides both."""
    clips, sounds = (draw(torch.Generator().manual_seed(3)) for draw in (draw_clips, lambda g: draw_sounds(8000, g)))
    assert clips.shape == (4, 30, 3, 112, 112)
    assert clips.min() >= 0
    assert clips.max() <= 1
    brightness = clips.mean(dim=(2, 3, 4))
    assert brightness.min() < 0.2
    assert brightness.max() > 0.8
    movement = (clips[:, 1:10] - clips[:, :9]).abs().mean(dim=(2, 3, 4))
    assert (movement == 0).any()
    assert (movement > 0.01).any()
    assert sounds.dtype == torch.int16
    peaks = sounds.abs().amax(dim=1)
    assert peaks.min() < 200
    assert peaks.max() > 5000
    assert torch.equal(clips, draw_clips(torch.Generator().manual_seed(3)))
