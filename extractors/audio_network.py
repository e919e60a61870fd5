"""The sound network of SeLaVi: a ResNet of one block a stage over spectrograms, without its classifier."""

from collections import OrderedDict

from torch import nn
from torchvision.models.resnet import BasicBlock


def build_audio_network(width: int = 64) -> nn.Sequential:
    """Build the network from torchvision's blocks.

    At width 64 parameters are named and shaped as in its `ResNet(BasicBlock, [1, 1, 1, 1])` with a `conv1` of one
    channel.

    Args:
        width: channels of the first stage; the following have 2, 4 and 8 times as many.

    Returns:
        A network (N, 1, filters, frames) -> (N, 8 * width), its weights as PyTorch's layers set them.
    """
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, width, kernel_size=7, stride=2, padding=3, bias=False),
            bn1=nn.BatchNorm2d(width),
            relu=nn.ReLU(inplace=True),
            maxpool=nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
            layer1=_stage(width, width, stride=1),
            layer2=_stage(width, 2 * width, stride=2),
            layer3=_stage(2 * width, 4 * width, stride=2),
            layer4=_stage(4 * width, 8 * width, stride=2),
            avgpool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
        )
    )


def _stage(in_channels: int, channels: int, *, stride: int) -> nn.Sequential:
    """One residual block."""
    shortcut = None
    if stride != 1:
        shortcut = nn.Sequential(
            nn.Conv2d(in_channels, channels, kernel_size=1, stride=stride, bias=False), nn.BatchNorm2d(channels)
        )
    return nn.Sequential(BasicBlock(in_channels, channels, stride, shortcut))
