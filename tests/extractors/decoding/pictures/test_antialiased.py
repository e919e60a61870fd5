"""extractors/decoding/pictures/antialiased.py: bytes resized as torchvision resizes them, bit for bit."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from extractors.base import Interpolation, PictureInput
from extractors.decoding.pictures.convert import resize_and_crop

MODES = {"bicubic-antialiased": InterpolationMode.BICUBIC, "bilinear-antialiased": InterpolationMode.BILINEAR}


def resized(rgb: np.ndarray, wanted: PictureInput) -> np.ndarray:
    """Resize and crop a picture."""
    out = np.zeros(wanted.shape[1:], np.uint8)
    resize_and_crop(rgb, out, wanted)
    return out


def by_torchvision(rgb: np.ndarray, sides: tuple[int, int], side: int, interpolation: Interpolation) -> np.ndarray:
    """Resize the whole picture and crop it afterwards."""
    picture = torch.from_numpy(rgb.copy()).permute(2, 0, 1)
    whole = functional.resize(picture, sides, interpolation=MODES[interpolation], antialias=True)
    top, left = (sides[0] - side) // 2, (sides[1] - side) // 2
    return whole[:, top : top + side, left : left + side].numpy()


@pytest.mark.parametrize("interpolation", MODES)
@pytest.mark.parametrize(
    "size", [(240, 320), (720, 1280), (1280, 720), (224, 224), (224, 301), (300, 224), (100, 150), (37, 1000), (1, 1)]
)
def test_the_short_side_is_resized_as_torchvision_does(size: tuple[int, int], interpolation: Interpolation) -> None:
    """This holds for smaller and for larger pictures, and for those whose one side fits already."""
    rgb = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    wanted = PictureInput(frames_per_second=1, side_pixels=224, resized_pixels=224, interpolation=interpolation)
    short, long = sorted(size)
    sides = (224, int(224 * long / short))
    expected = by_torchvision(rgb, sides if size[0] <= size[1] else sides[::-1], 224, interpolation)
    assert np.array_equal(resized(rgb, wanted), expected)


@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    side=st.integers(1, 40),
    more=st.integers(0, 9),
    interpolation=st.sampled_from(sorted(MODES)),
    seed=st.integers(0, 9),
)
@settings(max_examples=80, deadline=None)
def test_any_size_is_resized_as_torchvision_does(
    height: int, width: int, side: int, more: int, interpolation: Interpolation, seed: int
) -> None:
    """Height and width are given, and the middle is cut out."""
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    sides = (side + more, side)
    wanted = PictureInput(frames_per_second=1, side_pixels=side, resized_pixels=sides, interpolation=interpolation)
    assert np.array_equal(resized(rgb, wanted), by_torchvision(rgb, sides, side, interpolation))


def test_clips_own_processor_gives_the_same_bytes() -> None:
    """Its defaults: the short side to 224 pixels, bicubic, and the middle."""
    from transformers import CLIPImageProcessor  # noqa: PLC0415 - slow to import

    rgb = np.random.default_rng(0).integers(0, 256, (360, 482, 3), dtype=np.uint8)
    processor = CLIPImageProcessor(do_rescale=False, do_normalize=False)
    expected = processor(images=rgb, return_tensors="np")["pixel_values"][0]
    wanted = PictureInput(frames_per_second=2, side_pixels=224, resized_pixels=224)
    assert np.array_equal(resized(rgb, wanted), expected)
