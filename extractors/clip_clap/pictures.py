"""The picture tower of a CLIP or SigLIP model: its preprocessing and its network."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor, nn

from extractors.base import Interpolation, PictureInput
from extractors.files.model_folder import ModelFolder
from extractors.files.picture_processor import INTERPOLATIONS
from extractors.files.pretrained import load_pretrained, quiet_transformers


@dataclass(frozen=True)
class PicturePreprocessing:
    """How a picture becomes an input.

    Attributes:
        side_pixels: side S of the square.
        resized_pixels: the short side before cutting, or height and width.
        interpolation: how a picture is resized.
        mean: mean of red, green and blue in 0..1.
        deviation: standard deviation of the three.
    """

    side_pixels: int
    resized_pixels: int | tuple[int, int]
    interpolation: Interpolation
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]

    def inputs(self, *, frames_per_second: int, window_seconds: float, first_frame: float) -> PictureInput:
        """Return what decoding must deliver."""
        return PictureInput(
            frames_per_second=frames_per_second,
            side_pixels=self.side_pixels,
            resized_pixels=self.resized_pixels,
            interpolation=self.interpolation,
            first_frame=first_frame,
            window_seconds=window_seconds,
        )


def kind_of_pictures(folder: ModelFolder) -> str:
    """Return `clip` or `siglip`.

    Raises:
        WeightsError: another model.
    """
    return folder.kind(("clip", "siglip"), "CLIP or SigLIP")


def picture_preprocessing(folder: ModelFolder) -> PicturePreprocessing:
    """Read how the model's own processor makes inputs; what its file does not say is the default of its kind.

    Raises:
        WeightsError: a preprocessing that is not supported, or a damaged file.
    """
    from transformers import CLIPImageProcessor, SiglipImageProcessor  # noqa: PLC0415 - takes seconds

    of_kind = {"clip": CLIPImageProcessor, "siglip": SiglipImageProcessor}[kind_of_pictures(folder)]
    given = {name: value for name, value in folder.preprocessing("image_processor").items() if "processor" not in name}
    try:
        with quiet_transformers():
            processor: Any = of_kind(**given)
        size, crop = dict(processor.size), dict(processor.crop_size or {}) if processor.do_center_crop else {}
        resized = _resized(size)
        side = int(crop["height"]) if crop else _square(resized)
        found = PicturePreprocessing(
            side_pixels=side,
            resized_pixels=resized,
            interpolation=INTERPOLATIONS[int(processor.resample)],
            mean=_three(processor.image_mean),
            deviation=_three(processor.image_std),
        )
        found.inputs(frames_per_second=1, window_seconds=1, first_frame=0)
        is_usual = processor.do_resize and processor.do_rescale and processor.do_normalize
        is_usual &= abs(float(processor.rescale_factor) * 255 - 1) < 1e-6 and crop.get("width", side) == side
    except Exception as error:  # on arbitrary values, transformers can raise any exception
        raise folder.damaged(f"its preprocessing makes no sense: {error}") from error
    if not is_usual or min(found.deviation) <= 0:
        raise folder.damaged("its preprocessing is not the usual one: resize, cut, scale to 0..1, normalise")
    return found


def _resized(size: Mapping[str, Any]) -> int | tuple[int, int]:
    if size.get("shortest_edge"):
        return int(size["shortest_edge"])
    return int(size["height"]), int(size["width"])


def _square(resized: int | tuple[int, int]) -> int:
    if isinstance(resized, int) or resized[0] != resized[1]:
        raise ValueError(f"the pictures are not square: {resized}")
    return resized[0]


def _three(values: Any) -> tuple[float, float, float]:  # noqa: ANN401 - from a JSON file
    red, green, blue = (float(value) for value in values)
    return red, green, blue


class PictureTower(nn.Module):
    """The network: pictures (M, 3, S, S), normalised -> vectors (M, W) in the space of the class texts."""

    def __init__(self, network: nn.Module, kind: str) -> None:
        super().__init__()
        self._network = network
        self._is_clip = kind == "clip"

    def forward(self, pixels: Tensor) -> Tensor:
        """Compute the vectors, not scaled yet."""
        found = self._network(pixel_values=pixels)
        vectors: Tensor = found.image_embeds if self._is_clip else found.pooler_output
        return vectors


def picture_width(folder: ModelFolder) -> int:
    """Read the width of a vector from config.json.

    Raises:
        WeightsError: it is not there.
    """
    config = folder.config()
    vision = config.get("vision_config") or {}
    is_clip = kind_of_pictures(folder) == "clip"
    # transformers leaves out values that equal its defaults.
    width = (config if is_clip else vision).get("projection_dim" if is_clip else "hidden_size", 512 if is_clip else 768)
    if not isinstance(width, int) or not 1 <= width <= 1 << 16:
        raise folder.damaged(f"config.json: the width of a vector is {width!r}")
    return width


def load_pictures(folder: ModelFolder) -> PictureTower:
    """Load the picture tower on the CPU.

    Raises:
        WeightsError: weights of another architecture, or a damaged file.
    """
    from transformers import CLIPConfig, CLIPVisionModelWithProjection, SiglipConfig, SiglipVisionModel  # noqa: PLC0415

    config, kind = folder.config(), kind_of_pictures(folder)

    def build() -> nn.Module:
        if kind == "siglip":
            siglip: Any = SiglipConfig(**config)
            return cast("nn.Module", SiglipVisionModel(siglip.vision_config))
        whole: Any = CLIPConfig(**config)
        whole.vision_config.projection_dim = whole.projection_dim
        return cast("nn.Module", CLIPVisionModelWithProjection(whole.vision_config))

    # A file of SigLIP is of the whole model, and its picture network does not know its name there.
    prefix = "" if kind == "clip" else "vision_model."
    return PictureTower(load_pretrained(build, folder, prefix=prefix), kind).eval()
