"""Resize a picture with antialiasing, in whole numbers: bit for bit as torchvision resizes bytes.

Decoding processes do not import torch, which takes seconds and much memory in each of them. Pillow's result differs
from torchvision's by one grey level in 0.5 % of the pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from extractors.base import PictureInput
from extractors.decoding.pictures.cropping import cropped, resized_sides

_LARGEST_WEIGHT = 1 << 15  # weights have 16 bits
_MOST_BITS = 22
_CUBIC = -0.5  # the coefficient a of Keys' cubic convolution (1981), as in Pillow


def resize_antialiased(rgb: NDArray[np.uint8], out: NDArray[np.uint8], wanted: PictureInput) -> None:
    """Resize a picture and cut out the middle of S x S pixels.

    Args:
        rgb: (H, W, 3) picture of any size from 1 x 1.
        out: (3, S, S), overwritten.
        wanted: sizes and interpolation of the result.
    """
    height, width, _ = rgb.shape
    sides = resized_sides(height, width, wanted)
    middles = tuple(
        slice(start, start + wanted.side_pixels)
        for start in (cropped(length, wanted.side_pixels, wanted.crop_rounding) for length in sides)
    )
    name = wanted.interpolation.partition("-")[0]
    rows, columns = _taps(height, sides[0], name)[middles[0]], _taps(width, sides[1], name)[middles[1]]
    # First along the rows, then along the columns: both steps round, so the order counts.
    first, last = int(rows.positions.min()), int(rows.positions.max()) + 1
    lines = rgb[first:last] if sides[1] == width else _weighted(rgb[first:last], columns, axis=1)
    if sides[1] == width:
        lines = lines[:, middles[1]]
    if sides[0] == height:
        square = lines[middles[0].start - first : middles[0].stop - first]
    else:
        square = _weighted(lines, rows.moved(-first), axis=0)
    out[...] = square.transpose(2, 0, 1)


@dataclass(frozen=True)
class _Taps:
    """The pixels that each of n resized pixels is a weighted sum of.

    Attributes:
        positions: (n, K) indices of source pixels.
        weights: (n, K) whole numbers; 2 ** bits is 1.
        bits: the number of bits after the point.
    """

    positions: NDArray[np.intp]
    weights: NDArray[np.int32]
    bits: int

    def __getitem__(self, rows: slice) -> "_Taps":
        return _Taps(self.positions[rows], self.weights[rows], self.bits)

    def moved(self, by: int) -> "_Taps":
        """Count the source pixels from another one."""
        return _Taps(self.positions + by, self.weights, self.bits)


def _weighted(picture: NDArray[np.uint8], taps: _Taps, *, axis: int) -> NDArray[np.uint8]:
    """Resize one axis: sum the weighted pixels, round, and keep 0..255."""
    shape = [1, 1, 1]
    shape[axis] = -1
    total: NDArray[np.int32] | None = None
    for positions, weights in zip(taps.positions.T, taps.weights.T, strict=True):
        pixels = np.take(picture, positions, axis=axis).astype(np.int32)
        pixels *= weights.reshape(shape)
        total = pixels if total is None else np.add(total, pixels, out=total)
    assert total is not None  # noqa: S101 - a resized pixel has at least one source pixel
    total += 1 << (taps.bits - 1)
    total >>= taps.bits
    return np.clip(total, 0, 255, out=total).astype(np.uint8)


@lru_cache(maxsize=8)
def _taps(source: int, target: int, name: str) -> _Taps:
    """Compute the taps of every pixel of a resized side.

    Source:
        Pillow's two-pass resampling; the 16 bits of the weights are torch's, which takes as many bits after the
        point as the largest weight leaves.
    """
    curve, reach = _CURVES[name]
    scale = source / target
    stretch = max(scale, 1.0)
    centres = scale * (np.arange(target) + 0.5)
    first = np.maximum((centres - reach * stretch + 0.5).astype(np.intp), 0)
    end = np.minimum((centres + reach * stretch + 0.5).astype(np.intp), source)
    steps = np.arange(int((end - first).max()))
    positions = first[:, None] + steps
    weights = curve((positions - centres[:, None] + 0.5) / stretch)
    weights[steps >= (end - first)[:, None]] = 0
    weights /= weights.sum(1, keepdims=True)
    bits, largest = 0, float(weights.max())
    while bits < _MOST_BITS and int(0.5 + largest * (1 << (bits + 1))) < _LARGEST_WEIGHT:
        bits += 1
    whole = np.trunc(weights * (1 << bits) + np.where(weights < 0, -0.5, 0.5)).astype(np.int32)
    return _Taps(np.minimum(positions, source - 1), whole, bits)


def _triangle(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    weights: NDArray[np.float64] = np.maximum(1 - np.abs(distance), 0)
    return weights


def _cubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute Keys' cubic convolution (1981, eq. 15) with a = -0.5."""
    x, a = np.abs(distance), _CUBIC
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    weights: NDArray[np.float64] = np.where(x < 1, near, np.where(x < 2, far, 0.0))
    return weights


# Name -> the weight of a pixel at a distance, and the largest distance.
_CURVES: dict[str, tuple[Callable[[NDArray[np.float64]], NDArray[np.float64]], float]] = {
    "bilinear": (_triangle, 1.0),
    "bicubic": (_cubic, 2.0),
}
