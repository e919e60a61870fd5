"""extractors/decoding/pictures: pictures resized from four pixels equal torch's own interpolation; turned pictures."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from extractors.base import PictureInput
from extractors.decoding.pictures.convert import resize_and_crop, upright
from extractors.selavi.options import selavi_inputs

SELAVI = selavi_inputs(24_000).picture


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
    resize_and_crop(rgb, out, SELAVI)
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


@pytest.mark.parametrize("size", [(240, 320), (128, 171), (90, 160), (720, 405)])
def test_a_fixed_size_equals_that_of_torchvisions_video_models(size: tuple[int, int]) -> None:
    """Height and width are given, bytes are rounded, and the crop begins at the nearest even pixel."""
    from torchvision.transforms import functional  # noqa: PLC0415 - slow to import

    rgb = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    wanted = PictureInput(
        frames_per_second=16, side_pixels=112, resized_pixels=(128, 171), interpolation="bilinear", crop_rounding="even"
    )
    out = np.zeros((3, 112, 112), np.uint8)
    resize_and_crop(rgb, out, wanted)
    picture = torch.from_numpy(rgb).permute(2, 0, 1)
    whole = functional.resize(picture, [128, 171], antialias=False)
    expected = functional.center_crop(whole, [112, 112]).numpy()
    assert np.abs(out.astype(int) - expected).max() <= 1  # a half may be rounded either way
    assert (out != expected).mean() < 1e-3


@pytest.mark.parametrize(
    ("degrees", "corner"), [(0, (0, 0)), (90, (-1, 0)), (180, (-1, -1)), (-90, (0, -1)), (-2147483648, (0, 0))]
)
def test_upright_turns_counter_clockwise_by_quarters(degrees: int, corner: tuple[int, int]) -> None:
    """The stored top left corner moves with the quarter turns; damaged angles change nothing."""
    rgb = np.zeros((4, 6, 3), np.uint8)
    rgb[0, 0] = 255
    assert upright(rgb, degrees)[corner].tolist() == [255, 255, 255]
