"""The SeLaVi extractor (Asano et al. 2020, arXiv 2006.13662): a second of picture or sound -> a vector."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from extractors import filterbank
from extractors.audio_network import build_audio_network
from extractors.checkpoint import load_checkpoint
from extractors.errors import WeightsError
from extractors.untrained_weights import draw_clips, draw_sounds, initialise_untrained
from extractors.visual_network import SELAVI_WIDTH, build_visual_network
from extractors.weights import ResolvedWeights

FRAMES_PER_SECOND = 30
CROP_PIXELS = 112
PICTURE_MEAN = 0.45
PICTURE_DEVIATION = 0.225

_VERSION = 1  # of the code of this folder: one more for each change that can change a feature

Identity = dict[str, str | int | float | bool]


@dataclass(frozen=True)
class Recipe:
    """What differs between the benchmark's features and the authors' own training."""

    audio_rate_hz: int
    audio_mean: float  # of the log filterbank
    audio_deviation: float


RECIPES = {
    "avca": Recipe(audio_rate_hz=44_100, audio_mean=1.93, audio_deviation=17.89),
    "selavi": Recipe(audio_rate_hz=24_000, audio_mean=0.0, audio_deviation=1.0),
}


@dataclass(frozen=True, kw_only=True)
class ExtractorOptions:
    """Which SeLaVi: every option can change a feature."""

    recipe: Literal["avca", "selavi"] = "avca"
    weights: str = "auto"  # auto, untrained, vgg_sound, kinetics, kinetics_sound, ave, or the path of a file
    width: int = SELAVI_WIDTH  # channels of the first stage; features are 8 times as wide; not 64: untrained only
    seed: int = 0  # of untrained weights

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"width is {self.width}, must be at least 1")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}, must be at least 0")


def describe(options: ExtractorOptions, weights: ResolvedWeights) -> Identity:
    """Everything that can change a feature, in plain values; builds no network."""
    recipe = RECIPES[options.recipe]
    seed: Identity = {"seed": options.seed} if weights.path is None else {}
    return seed | {
        "extractor": "selavi",
        "extractor_version": _VERSION,
        "recipe": options.recipe,
        "weights": weights.name,
        "weights_sha256": weights.sha256,
        "width": options.width,
        "frames_per_second": FRAMES_PER_SECOND,
        "crop_pixels": CROP_PIXELS,
        "picture_mean": PICTURE_MEAN,
        "picture_deviation": PICTURE_DEVIATION,
        "audio_rate_hz": recipe.audio_rate_hz,
        "audio_window_seconds": filterbank.WINDOW_SECONDS,
        "audio_step_seconds": filterbank.STEP_SECONDS,
        "audio_filters": filterbank.FILTERS,
        "audio_fft_samples": filterbank.FFT_SAMPLES,
        "audio_pre_emphasis": filterbank.PRE_EMPHASIS,
        "audio_mean": recipe.audio_mean,
        "audio_deviation": recipe.audio_deviation,
    }


class SelaviExtractor:
    """Both networks with their preprocessing, ready on a device. Made by `load_selavi`.

    Attributes:
        identity: what `describe` says.
        audio_rate_hz: samples a second that `audio` expects.
        feature_width: D, of either modality.
        device: where the networks are; inputs may lie anywhere.
    """

    def __init__(
        self, *, identity: Identity, recipe: Recipe, visual_network: nn.Module, audio_network: nn.Module, width: int
    ) -> None:
        self.identity = identity
        self.audio_rate_hz = recipe.audio_rate_hz
        self.feature_width = 8 * width
        self.device = torch.device("cpu")
        self._recipe = recipe
        self._filterbank = filterbank.LogFilterbank(recipe.audio_rate_hz)
        self._visual_network = visual_network.eval()
        self._audio_network = audio_network.eval()

    def to(self, device: torch.device) -> "SelaviExtractor":
        """Move the networks to a device, and return the extractor itself."""
        for module in (self._filterbank, self._visual_network, self._audio_network):
            module.to(device)
        self.device = device
        return self

    def visual(self, frames: Tensor) -> Tensor:
        """Features of seconds of picture.

        Args:
            frames: (N, 30, 3, 112, 112) float32, RGB in 0..1.

        Returns:
            (N, D) float32, on `device`.
        """
        return self._run(self._visual_network, self.visual_input(frames.to(self.device)))

    def audio(self, sound: Tensor) -> Tensor:
        """Features of seconds of sound.

        Args:
            sound: (N, audio_rate_hz) int16, mono.

        Returns:
            (N, D) float32, on `device`.
        """
        return self._run(self._audio_network, self.audio_input(sound.to(self.device)))

    @staticmethod
    def visual_input(frames: Tensor) -> Tensor:
        """What the visual network sees: (N, frames, 3, 112, 112) in 0..1 -> (N, 3, frames, 112, 112)."""
        return ((frames - PICTURE_MEAN) / PICTURE_DEVIATION).transpose(1, 2)

    def audio_input(self, sound: Tensor) -> Tensor:
        """What the sound network sees: (N, audio_rate_hz) int16 -> (N, 1, 257, 99)."""
        energies: Tensor = self._filterbank(sound)
        return ((energies - self._recipe.audio_mean) / self._recipe.audio_deviation).unsqueeze(1)

    @staticmethod
    def _run(network: nn.Module, inputs: Tensor) -> Tensor:
        # TF32, which CUDA convolutions use unless told otherwise, is good to three digits only.
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            features: Tensor = network(inputs)
        return features


def load_selavi(options: ExtractorOptions, weights: ResolvedWeights, *, device: torch.device) -> SelaviExtractor:
    """Build the networks, with the weights given, on a device.

    Args:
        options: recipe, width and seed count; which weights was decided by `resolve_weights`.
        weights: what that found.
        device: where the networks will run.

    Raises:
        WeightsError: the file does not hold weights of these networks, or they have another width than 64.
    """
    if weights.path is not None and options.width != SELAVI_WIDTH:
        raise WeightsError(
            f"the {weights.name} weights are {SELAVI_WIDTH} wide, width {options.width} was asked for. "
            f"Leave the width out, or pass --weights untrained."
        )
    # Without memory at first: the initial weights of PyTorch's layers would disturb the global random generator.
    with torch.device("meta"):
        visual_network, audio_network = build_visual_network(options.width), build_audio_network(options.width)
    extractor = SelaviExtractor(
        identity=describe(options, weights),
        recipe=RECIPES[options.recipe],
        visual_network=visual_network.to_empty(device="cpu"),
        audio_network=audio_network.to_empty(device="cpu"),
        width=options.width,
    )
    if weights.path is None:
        generator = torch.Generator().manual_seed(options.seed)
        initialise_untrained(visual_network, extractor.visual_input(draw_clips(generator)), generator)
        sounds = extractor.audio_input(draw_sounds(extractor.audio_rate_hz, generator))
        initialise_untrained(audio_network, sounds, generator)
    else:
        load_checkpoint(weights.path, {"video_network": visual_network, "audio_network": audio_network})
    return extractor.to(device)
