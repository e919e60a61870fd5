"""SeLaVi's networks without classifiers: R(2+1)D-18 (Tran et al. 2018, arXiv 1711.11248), and a ResNet for sound.

The tests compare them with torchvision's. Its blocks are not used here, because importing torchvision takes as long as
the rest of the start of an extraction.
"""

from collections import OrderedDict
from typing import cast

from torch import Tensor, nn

from extractors.selavi.options import SELAVI_WIDTH

_STEM_CHANNELS_AT_64 = 45  # between the spatial and the temporal convolution of the stem
_BLOCKS_PER_STAGE = 2


class VisualBlock(nn.Module):
    """A residual block of two convolutions, each in space and then in time.

    Args:
        in_channels: channels of the input.
        channels: channels of the output.
        stride: stride of the first convolution, in space and time.
        downsample: fits the input to the output for the sum; None if they have the same shape.
    """

    def __init__(
        self, in_channels: int, channels: int, *, stride: int = 1, downsample: nn.Module | None = None
    ) -> None:
        super().__init__()
        # As many parameters as a convolution in space and time at once (arXiv 1711.11248, section 3.5).
        between = in_channels * channels * 27 // (in_channels * 9 + 3 * channels)
        self.conv1 = nn.Sequential(
            _space_time_convolution(in_channels, between, channels, stride=stride),
            nn.BatchNorm3d(channels),
            nn.ReLU(inplace=True),
        )
        self.conv2 = nn.Sequential(_space_time_convolution(channels, between, channels), nn.BatchNorm3d(channels))
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the block: (N, C, frames, height, width) -> (N, C', frames', height', width')."""
        residual: Tensor = self.conv2(self.conv1(inputs))
        residual += inputs if self.downsample is None else self.downsample(inputs)
        output: Tensor = self.relu(residual)
        return output

    @property
    def last_norm(self) -> nn.BatchNorm3d:
        """The normalisation before the sum."""
        return cast("nn.BatchNorm3d", self.conv2[-1])


class AudioBlock(nn.Module):
    """A residual block of two convolutions of 3 x 3; the arguments are those of `VisualBlock`."""

    def __init__(
        self, in_channels: int, channels: int, *, stride: int = 1, downsample: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = downsample

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the block: (N, C, filters, frames) -> (N, C', filters', frames')."""
        residual: Tensor = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(inputs)))))
        residual += inputs if self.downsample is None else self.downsample(inputs)
        output: Tensor = self.relu(residual)
        return output

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The normalisation before the sum."""
        return self.bn2


def _space_time_convolution(in_channels: int, between: int, channels: int, *, stride: int = 1) -> nn.Sequential:
    space, time = (1, stride, stride), (stride, 1, 1)
    return nn.Sequential(
        nn.Conv3d(in_channels, between, kernel_size=(1, 3, 3), stride=space, padding=(0, 1, 1), bias=False),
        nn.BatchNorm3d(between),
        nn.ReLU(inplace=True),
        nn.Conv3d(between, channels, kernel_size=(3, 1, 1), stride=time, padding=(1, 0, 0), bias=False),
    )


def build_visual_network(width: int = SELAVI_WIDTH) -> nn.Sequential:
    """Build the visual network.

    At width 64, the parameters have the names and shapes of torchvision's `r2plus1d_18`.

    Args:
        width: channels of the first residual stage; the following stages have 2, 4 and 8 times as many.

    Returns:
        A network (N, 3, frames, height, width) -> (N, 8 * width), with the initial weights of PyTorch's layers.
    """
    return nn.Sequential(
        OrderedDict(
            stem=_stem(width),
            layer1=_visual_stage(width, width, stride=1),
            layer2=_visual_stage(width, 2 * width, stride=2),
            layer3=_visual_stage(2 * width, 4 * width, stride=2),
            layer4=_visual_stage(4 * width, 8 * width, stride=2),
            avgpool=nn.AdaptiveAvgPool3d(1),
            flatten=nn.Flatten(),
        )
    )


def _stem(width: int) -> nn.Sequential:
    between = max(1, _STEM_CHANNELS_AT_64 * width // SELAVI_WIDTH)
    return nn.Sequential(
        nn.Conv3d(3, between, kernel_size=(1, 7, 7), stride=(1, 2, 2), padding=(0, 3, 3), bias=False),
        nn.BatchNorm3d(between),
        nn.ReLU(inplace=True),
        nn.Conv3d(between, width, kernel_size=(3, 1, 1), padding=(1, 0, 0), bias=False),
        nn.BatchNorm3d(width),
        nn.ReLU(inplace=True),
    )


def _visual_stage(in_channels: int, channels: int, *, stride: int) -> nn.Sequential:
    """Build two residual blocks; the first one applies the stride in space and time."""
    shortcut = None
    if stride != 1:
        shortcut = nn.Sequential(
            nn.Conv3d(in_channels, channels, kernel_size=1, stride=stride, bias=False), nn.BatchNorm3d(channels)
        )
    first = VisualBlock(in_channels, channels, stride=stride, downsample=shortcut)
    others = (VisualBlock(channels, channels) for _ in range(_BLOCKS_PER_STAGE - 1))
    return nn.Sequential(first, *others)


def build_audio_network(width: int = 64) -> nn.Sequential:
    """Build the audio network.

    At width 64, the parameters have the names and shapes of torchvision's `ResNet(BasicBlock, [1, 1, 1, 1])` with a
    `conv1` of one channel.

    Args:
        width: channels of the first residual stage; the following stages have 2, 4 and 8 times as many.

    Returns:
        A network (N, 1, filters, frames) -> (N, 8 * width), with the initial weights of PyTorch's layers.
    """
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, width, kernel_size=7, stride=2, padding=3, bias=False),
            bn1=nn.BatchNorm2d(width),
            relu=nn.ReLU(inplace=True),
            maxpool=nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
            layer1=_audio_stage(width, width, stride=1),
            layer2=_audio_stage(width, 2 * width, stride=2),
            layer3=_audio_stage(2 * width, 4 * width, stride=2),
            layer4=_audio_stage(4 * width, 8 * width, stride=2),
            avgpool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
        )
    )


def _audio_stage(in_channels: int, channels: int, *, stride: int) -> nn.Sequential:
    """Build one residual block."""
    shortcut = None
    if stride != 1:
        shortcut = nn.Sequential(
            nn.Conv2d(in_channels, channels, kernel_size=1, stride=stride, bias=False), nn.BatchNorm2d(channels)
        )
    return nn.Sequential(AudioBlock(in_channels, channels, stride=stride, downsample=shortcut))
