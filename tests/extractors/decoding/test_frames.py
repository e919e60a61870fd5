"""extractors/decoding/frames.py: scaled and rotated pictures equal torch's own interpolation."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from extractors.decoding.frames import resize_and_crop, upright


def scaled_by_torch(rgb: np.ndarray) -> np.ndarray:
    """Scale the whole picture and crop it afterwards, exactly as SeLaVi does."""
    height, width, _ = rgb.shape
    target = (math.floor(height / width * 112), 112) if width < height else (112, math.floor(width / height * 112))
    picture = torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None].float() / 255
    scaled = torch.nn.functional.interpolate(picture, size=target, mode="bilinear", align_corners=False)
    top, left = math.ceil((target[0] - 112) / 2), math.ceil((target[1] - 112) / 2)
    return scaled[0, :, top : top + 112, left : left + 112].numpy()


def resized(rgb: np.ndarray) -> np.ndarray:
    """Call `resize_and_crop` with an output full of NaN, so that a pixel left out is found."""
    out = np.full((3, 112, 112), np.nan, np.float32)
    resize_and_crop(rgb, out)
    return out


@given(height=st.integers(1, 300), width=st.integers(1, 300), seed=st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_resize_and_crop_equals_scaling_the_whole_picture(height: int, width: int, seed: int) -> None:
    """Pictures of any size give equal results, also those smaller than 112 pixels."""
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    assert np.allclose(resized(rgb), scaled_by_torch(rgb), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "size", [(64, 3000), (1080, 1920), (112, 112), (112, 145), (149, 112), (1280, 720), (241, 321)]
)
def test_resize_and_crop_works_for_usual_and_extreme_sizes(size: tuple[int, int]) -> None:
    """Very wide, full HD, exactly fitting, upright and odd pictures give equal results."""
    rgb = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    assert np.allclose(resized(rgb), scaled_by_torch(rgb), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("degrees", "corner"), [(0, (0, 0)), (90, (-1, 0)), (180, (-1, -1)), (-90, (0, -1)), (-2147483648, (0, 0))]
)
def test_upright_turns_counter_clockwise_by_quarters(degrees: int, corner: tuple[int, int]) -> None:
    """The stored top left corner moves with the quarter turns; damaged angles change nothing."""
    rgb = np.zeros((4, 6, 3), np.uint8)
    rgb[0, 0] = 255
    assert upright(rgb, degrees)[corner].tolist() == [255, 255, 255]
