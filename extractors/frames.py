"""One picture, as SeLaVi's visual network takes it: upright, short side to 112, centre crop."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

FRAME_SIDE_PIXELS = 112


def resize_and_crop(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Scale the short side to 112 pixels and cut the middle out of the long side.

    The same as bilinear `torch.nn.functional.interpolate` (align_corners=False, no antialiasing) of the whole picture
    followed by a crop, but only the at most 224 x 224 pixels that count are read.

    Args:
        rgb: (H, W, 3) picture of any size from 1 x 1.

    Returns:
        (3, 112, 112), values in 0..1.
    """
    plan = _plan(rgb.shape[0], rgb.shape[1])
    # (3, 224, 224): the upper neighbours of the 112 rows, then the lower ones; columns likewise.
    taps = np.take(rgb.reshape(-1), plan.taps).astype(np.float32)
    side = FRAME_SIDE_PIXELS
    lines = taps[:, :side] + (taps[:, side:] - taps[:, :side]) * plan.row_weights[:, None]
    square = lines[:, :, :side] + (lines[:, :, side:] - lines[:, :, :side]) * plan.column_weights
    square /= np.float32(255)
    return square


def upright(rgb: NDArray[np.uint8], rotation_degrees: int) -> NDArray[np.uint8]:
    """Turn a stored picture as it is meant to be seen.

    Args:
        rgb: (H, W, 3) picture as stored.
        rotation_degrees: How far it must be turned counter-clockwise. Only whole quarter turns are applied: the rest
            comes from damaged headers.

    Returns:
        (H, W, 3) or (W, H, 3); a view.
    """
    quarter_turns, rest = divmod(rotation_degrees, 90)
    return rgb if rest else np.rot90(rgb, quarter_turns % 4)


@dataclass(frozen=True)
class _Plan:
    """Where the pixels of the result come from, for pictures of one size."""

    taps: NDArray[np.intp]  # (3, 224, 224) positions in the flattened picture
    row_weights: NDArray[np.float32]  # (112,) share of the lower neighbour
    column_weights: NDArray[np.float32]  # (112,) share of the right neighbour


@lru_cache(maxsize=4)
def _plan(height: int, width: int) -> _Plan:
    if width < height:
        target_height, target_width = _scaled(height, width), FRAME_SIDE_PIXELS
    else:
        target_height, target_width = FRAME_SIDE_PIXELS, _scaled(width, height)
    rows, row_weights = _bilinear_taps(height, target_height)
    columns, column_weights = _bilinear_taps(width, target_width)
    pixels = rows[:, None] * width + columns[None, :]
    channels = np.arange(3)[:, None, None]
    return _Plan(taps=pixels[None] * 3 + channels, row_weights=row_weights, column_weights=column_weights)


def _scaled(long_side: int, short_side: int) -> int:
    """The length of the long side once the short side is 112 pixels, rounded down as SeLaVi does."""
    return math.floor(long_side / short_side * FRAME_SIDE_PIXELS)


def _bilinear_taps(source: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Which source pixels the middle 112 of `target` pixels are made of.

    Returns:
        Indices (224,): the nearer neighbours towards 0, then those away from it; and the weights (112,) of the latter.
    """
    offset = math.ceil((target - FRAME_SIDE_PIXELS) / 2)
    # Pixel centres lie at half integers; torch clamps positions before the first centre to it. In float32, like torch.
    scale = np.float32(source / target)
    wanted = np.arange(offset, offset + FRAME_SIDE_PIXELS, dtype=np.float32)
    position = np.maximum(scale * (wanted + np.float32(0.5)) - np.float32(0.5), np.float32(0))
    lower = np.minimum(position.astype(np.intp), source - 1)
    weight = np.clip(position - lower, 0, 1).astype(np.float32)
    return np.concatenate([lower, np.minimum(lower + 1, source - 1)]), weight
