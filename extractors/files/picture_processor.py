"""What the picture processors of transformers have in common: how they resize and how they normalise."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from extractors.base import Interpolation

# Numbers of Pillow's resampling filters.
INTERPOLATIONS: Mapping[int, Interpolation] = {2: "bilinear-antialiased", 3: "bicubic-antialiased"}


class BytesNormaliser:
    """Normalises pictures in bytes, with the mean and deviation of bytes, so that they need not be scaled first.

    Args:
        mean: mean of red, green and blue in 0..1.
        deviation: standard deviation of the three.
        device: device of the pictures.
    """

    def __init__(self, mean: Sequence[float], deviation: Sequence[float], device: torch.device) -> None:
        self._mean = (torch.tensor(mean) * 255).reshape(3, 1, 1).to(device)
        self._deviation = (torch.tensor(deviation) * 255).reshape(3, 1, 1).to(device)

    def __call__(self, pixels: Tensor) -> Tensor:
        """Normalise pictures (N, 3, H, W) of 0..255; the result is float32."""
        return pixels.float().sub(self._mean).div_(self._deviation)
