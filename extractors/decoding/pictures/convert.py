"""Turn a picture upright and make the square that a network takes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from extractors.base import PictureInput
from extractors.decoding.pictures.antialiased import resize_antialiased
from extractors.decoding.pictures.bilinear import resize_bilinear


def resize_and_crop(rgb: NDArray[np.uint8], out: NDArray[Any], wanted: PictureInput) -> None:
    """Resize a picture and cut out its middle.

    Args:
        rgb: (H, W, 3) picture of any size from 1 x 1.
        out: (3, S, S) of `wanted.dtype`, overwritten.
        wanted: sizes, interpolation and type of the result.
    """
    if wanted.interpolation == "bilinear":
        resize_bilinear(rgb, out, wanted)
    else:
        resize_antialiased(rgb, out, wanted)


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


def new_second(wanted: PictureInput) -> NDArray[Any]:
    """Make room for the pictures of a second, (F, 3, S, S)."""
    return np.empty(wanted.shape, wanted.dtype)
