"""Convert a picture for SeLaVi's visual network: upright, short side scaled to 112 pixels, centre crop."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

FRAME_SIDE_PIXELS = 112
# Shorter rows are read whole, which is faster; from longer rows, the needed bytes are picked out first.
_SHORT_ROW_BYTES = 1100


def resize_and_crop(rgb: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
    """Scale the short side to 112 pixels and crop the middle of the long side.

    The result equals bilinear `torch.nn.functional.interpolate` (align_corners=False, no antialiasing) of the whole
    picture followed by a crop. Only the needed pixels, at most 224 x 224, are read.

    Args:
        rgb: (H, W, 3) picture of any size from 1 x 1.
        out: (3, 112, 112), overwritten with values in 0..1.
    """
    height, width, _ = rgb.shape
    if min(height, width) == FRAME_SIDE_PIXELS:
        top, left = _crop_offset(height), _crop_offset(width)
        square = rgb[top : top + FRAME_SIDE_PIXELS, left : left + FRAME_SIDE_PIXELS]
        np.divide(square.transpose(2, 0, 1), np.float32(255), out=out)
        return
    plan = _plan(height, width)
    # (224, n): the upper neighbours of the 112 rows, followed by the lower neighbours.
    if plan.taps is None:
        neighbours = rgb.reshape(height, width * 3)[plan.rows, plan.span].astype(np.float32)
    else:
        neighbours = np.take(rgb.reshape(-1), plan.taps).astype(np.float32)
    lines = _blend(neighbours[:FRAME_SIDE_PIXELS], neighbours[FRAME_SIDE_PIXELS:], plan.row_weights)
    blended = _blend(lines[:, plan.left], lines[:, plan.right], plan.column_weights)
    np.divide(blended.reshape(FRAME_SIDE_PIXELS, 3, -1).transpose(1, 0, 2), np.float32(255), out=out)


def _blend(
    near: NDArray[np.float32], far: NDArray[np.float32], weight_of_far: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Calculate near + (far - near) * weight_of_far in place: allocating memory costs more than the arithmetic."""
    far -= near
    far *= weight_of_far
    near += far
    return near


def upright(rgb: NDArray[np.uint8], rotation_degrees: int) -> NDArray[np.uint8]:
    """Turn a stored picture upright.

    Args:
        rgb: (H, W, 3) picture as stored.
        rotation_degrees: counter-clockwise angle by which the picture must be turned. Only whole quarter turns are
            applied; other angles come from damaged headers.

    Returns:
        (H, W, 3) or (W, H, 3); a view.
    """
    quarter_turns, rest = divmod(rotation_degrees, 90)
    return rgb if rest or quarter_turns % 4 == 0 else np.rot90(rgb, quarter_turns)


@dataclass(frozen=True)
class _Plan:
    """The source pixels and weights of the result, for pictures of one size with rows of (width * 3,) bytes."""

    rows: NDArray[np.intp]  # (224,)
    span: slice  # the bytes of a row from the first to the last that is needed
    taps: NDArray[np.intp] | None  # (224, 672) positions of the needed bytes; None if the spans are read whole
    left: NDArray[np.intp] | slice  # (336,) positions in a row of the left neighbours, channel by channel
    right: NDArray[np.intp] | slice  # (336,) positions in a row of the right neighbours
    row_weights: NDArray[np.float32]  # (112, 1) weight of the lower neighbour
    column_weights: NDArray[np.float32]  # (3 * 112,) weight of the right neighbour


@lru_cache(maxsize=4)
def _plan(height: int, width: int) -> _Plan:
    if width < height:
        target_height, target_width = _scaled(height, width), FRAME_SIDE_PIXELS
    else:
        target_height, target_width = FRAME_SIDE_PIXELS, _scaled(width, height)
    rows, row_weights = _bilinear_taps(height, target_height)
    columns, column_weights = _bilinear_taps(width, target_width)
    # (336,) each: positions of bytes in a row.
    left, right = ((columns_of * 3 + np.arange(3)[:, None]).ravel() for columns_of in np.split(columns, 2))
    weights = {"row_weights": row_weights[:, None], "column_weights": np.tile(column_weights, 3)}
    span = slice(int(left.min()), int(right.max()) + 1)
    if span.stop - span.start < _SHORT_ROW_BYTES:
        return _Plan(rows=rows, span=span, taps=None, left=left - span.start, right=right - span.start, **weights)
    taps = (rows * width * 3)[:, None] + np.concatenate([left, right])
    return _Plan(rows=rows, span=span, taps=taps, left=slice(0, left.size), right=slice(left.size, None), **weights)


def _scaled(long_side: int, short_side: int) -> int:
    """Return the long side in pixels after the short side is scaled to 112, rounded down as in SeLaVi."""
    return math.floor(long_side / short_side * FRAME_SIDE_PIXELS)


def _crop_offset(side_pixels: int) -> int:
    """Return the index at which the middle 112 pixels of a side begin."""
    return math.ceil((side_pixels - FRAME_SIDE_PIXELS) / 2)


def _bilinear_taps(source: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Choose the source pixels that the middle 112 of `target` pixels are interpolated from.

    Returns:
        Indices (224,): the neighbours with the lower index, followed by those with the higher index; and the weights
        (112,) of the latter.
    """
    offset = _crop_offset(target)
    # Pixel centres are at half integers; torch clamps positions before the first centre to it. float32 as in torch.
    scale = np.float32(source / target)
    wanted = np.arange(offset, offset + FRAME_SIDE_PIXELS, dtype=np.float32)
    position = np.maximum(scale * (wanted + np.float32(0.5)) - np.float32(0.5), np.float32(0))
    lower = np.minimum(position.astype(np.intp), source - 1)
    weight = np.clip(position - lower, 0, 1).astype(np.float32)
    return np.concatenate([lower, np.minimum(lower + 1, source - 1)]), weight
