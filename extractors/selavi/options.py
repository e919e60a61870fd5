"""The options of the SeLaVi extractor, and the preprocessing that each recipe stands for. Nothing here needs torch."""

from dataclasses import dataclass
from typing import Literal

from extractors.base import ExtractorOptions, InputSpec, PictureInput, SoundInput, Windows

SELAVI_WIDTH = 64  # channels of the first residual stage
FEATURES_PER_CHANNEL = 8  # width of a feature, divided by the channels of the first residual stage
FRAMES_PER_SECOND = 30
FRAME_SIDE_PIXELS = 112


@dataclass(frozen=True)
class Recipe:
    """The values that differ between the benchmark's features, the authors' training and their clustering script."""

    audio_rate_hz: int
    audio_mean: float  # of the log filterbank
    audio_deviation: float


RECIPES = {
    "avca": Recipe(audio_rate_hz=44_100, audio_mean=1.93, audio_deviation=17.89),
    "selavi": Recipe(audio_rate_hz=24_000, audio_mean=0.0, audio_deviation=1.0),
    "clusters": Recipe(audio_rate_hz=24_000, audio_mean=1.93, audio_deviation=17.89),  # defaults of get_clusters.py
}


def selavi_inputs(audio_rate_hz: int, windows: Windows = "seconds") -> InputSpec:
    """Return what decoding must deliver: 30 pictures of 112 x 112, as SeLaVi's code resizes them, and the sound."""
    picture = PictureInput(
        frames_per_second=FRAMES_PER_SECOND,
        side_pixels=FRAME_SIDE_PIXELS,
        resized_pixels=FRAME_SIDE_PIXELS,
        interpolation="bilinear",
        crop_rounding="up",
        is_float=True,
    )
    return InputSpec(picture=picture, sound=SoundInput(rate_hz=audio_rate_hz), windows=windows)


@dataclass(frozen=True, kw_only=True)
class SelaviOptions(ExtractorOptions):
    """The options of the SeLaVi extractor; each can change a feature."""

    name: Literal["selavi"] = "selavi"
    weights: str = "auto"  # auto, untrained, vgg_sound, kinetics, kinetics_sound, ave, or a file's path
    recipe: Literal["avca", "selavi", "clusters"] = "avca"
    width: int = SELAVI_WIDTH  # channels of the first residual stage, 1/8 of a feature's; only untrained if not 64
    seed: int = 0  # of untrained weights
    windows: Windows = "seconds"  # whole seconds, or those of the benchmark's scripts

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"width is {self.width}, must be at least 1")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}, must be at least 0")

    @property
    def feature_width(self) -> int:
        """The width D of the features of each modality."""
        return FEATURES_PER_CHANNEL * self.width

    @property
    def inputs(self) -> InputSpec:
        """What decoding must deliver."""
        return selavi_inputs(RECIPES[self.recipe].audio_rate_hz, self.windows)
