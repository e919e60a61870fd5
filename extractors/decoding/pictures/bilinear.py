"""Resize a picture from its four nearest pixels, as `torch.nn.functional.interpolate` does, and cut out the middle."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from extractors.base import CropRounding, PictureInput
from extractors.decoding.pictures.cropping import cropped, resized_sides

# Shorter rows are read whole, which is faster; from longer rows, the needed bytes are picked out first.
_SHORT_ROW_BYTES = 1100


def resize_bilinear(rgb: NDArray[np.uint8], out: NDArray[Any], wanted: PictureInput) -> None:
    """Resize a picture and cut out the middle of S x S pixels.

    The result equals bilinear `torch.nn.functional.interpolate` (align_corners=False, no antialiasing) of the whole
    picture followed by a crop. Only the needed pixels, at most 2S x 2S, are read.

    Args:
        rgb: (H, W, 3) picture of any size from 1 x 1.
        out: (3, S, S), overwritten with float32 in 0..1, or with rounded uint8.
        wanted: sizes and type of the result.
    """
    height, width, _ = rgb.shape
    side = wanted.side_pixels
    sides = resized_sides(height, width, wanted)
    if sides == (height, width):
        top, left = (cropped(length, side, wanted.crop_rounding) for length in sides)
        middle = rgb[top : top + side, left : left + side].transpose(2, 0, 1)
        if wanted.is_float:
            np.divide(middle, np.float32(255), out=out)
        else:
            out[...] = middle
        return
    plan = _plan(height, width, sides, side, wanted.crop_rounding)
    # (2S, n): the upper neighbours of the S rows, followed by the lower neighbours.
    if plan.taps is None:
        neighbours = rgb.reshape(height, width * 3)[plan.rows, plan.span].astype(np.float32)
    else:
        neighbours = np.take(rgb.reshape(-1), plan.taps).astype(np.float32)
    lines = _blend(neighbours[:side], neighbours[side:], plan.row_weights)
    blended = _blend(lines[:, plan.left], lines[:, plan.right], plan.column_weights)
    square = blended.reshape(side, 3, -1).transpose(1, 0, 2)
    if wanted.is_float:
        np.divide(square, np.float32(255), out=out)
    else:
        np.rint(square, out=out, casting="unsafe")


def _blend(
    near: NDArray[np.float32], far: NDArray[np.float32], weight_of_far: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Calculate near + (far - near) * weight_of_far in place: allocating memory costs more than the arithmetic."""
    far -= near
    far *= weight_of_far
    near += far
    return near


@dataclass(frozen=True)
class _Plan:
    """The source pixels and weights of the result, for pictures of one size with rows of (width * 3,) bytes."""

    rows: NDArray[np.intp]  # (2S,)
    span: slice  # the bytes of a row from the first to the last that is needed
    taps: NDArray[np.intp] | None  # (2S, 6S) positions of the needed bytes; None if the spans are read whole
    left: NDArray[np.intp] | slice  # (3S,) positions in a row of the left neighbours, channel by channel
    right: NDArray[np.intp] | slice  # (3S,) positions in a row of the right neighbours
    row_weights: NDArray[np.float32]  # (S, 1) weight of the lower neighbour
    column_weights: NDArray[np.float32]  # (3 * S,) weight of the right neighbour


@lru_cache(maxsize=4)
def _plan(height: int, width: int, sides: tuple[int, int], side: int, rounding: CropRounding) -> _Plan:
    rows, row_weights = _bilinear_taps(height, sides[0], side, rounding)
    columns, column_weights = _bilinear_taps(width, sides[1], side, rounding)
    # (3S,) each: positions of bytes in a row.
    left, right = ((columns_of * 3 + np.arange(3)[:, None]).ravel() for columns_of in np.split(columns, 2))
    weights = {"row_weights": row_weights[:, None], "column_weights": np.tile(column_weights, 3)}
    span = slice(int(left.min()), int(right.max()) + 1)
    if span.stop - span.start < _SHORT_ROW_BYTES:
        return _Plan(rows=rows, span=span, taps=None, left=left - span.start, right=right - span.start, **weights)
    taps = (rows * width * 3)[:, None] + np.concatenate([left, right])
    return _Plan(rows=rows, span=span, taps=taps, left=slice(0, left.size), right=slice(left.size, None), **weights)


def _bilinear_taps(
    source: int, target: int, side: int, rounding: CropRounding
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Choose the source pixels that the middle S of `target` pixels are interpolated from.

    Returns:
        Indices (2S,): the neighbours with the lower index, followed by those with the higher index; and the weights
        (S,) of the latter.
    """
    offset = cropped(target, side, rounding)
    # Pixel centres are at half integers; torch clamps positions before the first centre to it. float32 as in torch.
    scale = np.float32(source / target)
    wanted = np.arange(offset, offset + side, dtype=np.float32)
    position = np.maximum(scale * (wanted + np.float32(0.5)) - np.float32(0.5), np.float32(0))
    lower = np.minimum(position.astype(np.intp), source - 1)
    weight = np.clip(position - lower, 0, 1).astype(np.float32)
    return np.concatenate([lower, np.minimum(lower + 1, source - 1)]), weight
