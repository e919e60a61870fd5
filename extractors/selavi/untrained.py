"""Draw random weights with which features still depend on the input: seeded, and on the CPU for any device.

A deep network with random weights amplifies the difference between an input and the stimuli that set its batch
normalisations. With plain stimuli, the features of real clips were 700 times too large and almost equal. Two measures,
both tested on real clips, prevent that: stimuli as varied as real clips, and residual blocks that change their input
little.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from extractors.selavi.networks import AudioBlock, VisualBlock
from extractors.selavi.options import FRAME_SIDE_PIXELS

_RESIDUAL_WEIGHT = 0.25
_CLIPS = 4
_SHOTS_PER_CLIP = 3
_SHOT_FRAMES = 10
_SPEEDS_PIXELS = (0, 1, 3, 8)  # per frame
_OCTAVES = 6
_SOUNDS = 16
_FULL_SCALE = 32767


def initialise_untrained(network: nn.Module, stimuli: Tensor, generator: torch.Generator) -> None:
    """Draw a network's weights, and set the statistics of its batch normalisations to those of `stimuli`.

    Args:
        network: network of this folder; changed in place and left in evaluation mode.
        stimuli: (N, ...) inputs of the network, preprocessed and as long as real inputs.
        generator: source of the random weights; the global generator is not used.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        elif isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            module.reset_parameters()
            module.momentum = None  # running statistics are plain averages: here, those of a single batch
    for module in network.modules():
        if isinstance(module, AudioBlock | VisualBlock):
            nn.init.constant_(module.last_norm.weight, _RESIDUAL_WEIGHT)
    network.train()
    with torch.no_grad():
        network(stimuli)
    network.eval()


def draw_clips(generator: torch.Generator) -> Tensor:
    """Draw clips of still and moving coloured noise, in shots from nearly black to nearly white in random order.

    Returns:
        (4, 30, 3, 112, 112) float32 in 0..1.
    """
    shots = [
        _draw_shot(brightness=(shot + 0.5) / (_CLIPS * _SHOTS_PER_CLIP), speed_pixels=speed_pixels, generator=generator)
        for shot, speed_pixels in enumerate(_SPEEDS_PIXELS * _SHOTS_PER_CLIP)
    ]
    order = torch.randperm(len(shots), generator=generator)
    return torch.stack(shots)[order].reshape(
        _CLIPS, _SHOTS_PER_CLIP * _SHOT_FRAMES, 3, FRAME_SIDE_PIXELS, FRAME_SIDE_PIXELS
    )


def _draw_shot(*, brightness: float, speed_pixels: int, generator: torch.Generator) -> Tensor:
    """Draw a moving picture of spots and gradients of many sizes: (10, 3, 112, 112)."""
    steepness, colourfulness, contrast = torch.rand(3, generator=generator).tolist()
    picture = torch.zeros(3, FRAME_SIDE_PIXELS, FRAME_SIDE_PIXELS)
    for octave in range(1, _OCTAVES + 1):
        grains = torch.rand(1, 3, 2**octave, 2**octave, generator=generator) - 0.5
        mode = "bilinear" if torch.rand(1, generator=generator).item() < 0.5 else "nearest"
        layer = F.interpolate(grains, size=(FRAME_SIDE_PIXELS, FRAME_SIDE_PIXELS), mode=mode)[0]
        picture += layer * 2 ** (-1.5 * steepness * octave)
    grey = picture.mean(0, keepdim=True)
    picture = grey + colourfulness * (picture - grey)
    tint = 0.2 * (torch.rand(3, 1, 1, generator=generator) - 0.5)
    picture = (brightness + tint + 0.5 * contrast * picture / picture.std()).clamp(0, 1)
    down, right = (speed_pixels * torch.randint(-1, 2, (2,), generator=generator)).tolist()
    return torch.stack([picture.roll((frame * down, frame * right), dims=(1, 2)) for frame in range(_SHOT_FRAMES)])


def draw_sounds(rate_hz: int, generator: torch.Generator) -> Tensor:
    """Draw sounds of one second: tones in noise, from near silence to full scale, each starting at a random time.

    Returns:
        (16, rate_hz) int16.
    """
    seconds = torch.arange(rate_hz) / rate_hz
    sounds = []
    for _ in range(_SOUNDS):
        loudness, noisiness, pitch, start_seconds = torch.rand(4, generator=generator).tolist()
        tone = torch.sin(2 * torch.pi * 50 * 2 ** (8 * pitch) * seconds)  # 50 to 12800 Hz
        noise = torch.rand(rate_hz, generator=generator) * 2 - 1
        after_seconds = seconds - start_seconds
        envelope = 0.1 + 0.9 * torch.exp(-4 * after_seconds.clamp(min=0)) * (after_seconds >= 0)
        amplitude = 10 ** (4 * loudness - 4)  # -80 dB to 0 dB of full scale
        sounds.append(amplitude * envelope * (noisiness * noise + (1 - noisiness) * tone))
    return (torch.stack(sounds) * _FULL_SCALE).to(torch.int16)
