"""The sides of a resized picture, and where the middle that is cut out begins."""

import math

from extractors.base import CropRounding, PictureInput


def resized_sides(height: int, width: int, wanted: PictureInput) -> tuple[int, int]:
    """Return height and width after resizing.

    If only the short side is given, the long one is rounded down. Its fraction is calculated in the order of the code
    that each kind of resizing repeats, because the last bit can decide.
    """
    if isinstance(wanted.resized_pixels, tuple):
        return wanted.resized_pixels
    short, (least, most) = wanted.resized_pixels, sorted((height, width))
    # SeLaVi, or transformers.
    long = math.floor(most / least * short) if wanted.interpolation == "bilinear" else int(short * most / least)
    return (long, short) if width < height else (short, long)


def cropped(length: int, side: int, rounding: CropRounding) -> int:
    """Return the index at which the middle `side` pixels of a side of `length` pixels begin."""
    half = (length - side) / 2
    return math.ceil(half) if rounding == "up" else math.floor(half) if rounding == "down" else round(half)
