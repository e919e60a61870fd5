"""The SeLaVi extractor (Asano et al. 2020, arXiv 2006.13662): turns a second of picture or sound into a vector."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from extractors.base import (
    EncodesSeconds,
    ExtractorFamily,
    Identity,
    InputSpec,
    OnProgress,
    ResolvedWeights,
    Runtime,
    basic_identity,
)
from extractors.errors import WeightsError, WeightsSpecError
from extractors.runtime.networks import Network, check_runtime, make_ready
from extractors.runtime.one_thread import one_thread
from extractors.selavi import filterbank
from extractors.selavi.checkpoint import load_weights
from extractors.selavi.networks import build_audio_network, build_visual_network
from extractors.selavi.options import (
    FEATURES_PER_CHANNEL,
    FRAME_SIDE_PIXELS,
    FRAMES_PER_SECOND,
    RECIPES,
    SELAVI_WIDTH,
    Recipe,
    SelaviOptions,
)
from extractors.selavi.untrained import draw_clips, draw_sounds, initialise_untrained
from extractors.selavi.weights import CHOICES, PREFERRED, cached_path, resolve_weights

PICTURE_MEAN = 0.45
PICTURE_DEVIATION = 0.225

_VERSION = 2  # of the code of this folder; increase it with each change that can change a feature


def describe(options: SelaviOptions, weights: ResolvedWeights) -> Identity:
    """Return everything that can change a feature, as plain values, without building a network."""
    recipe = RECIPES[options.recipe]
    seed: Identity = {"seed": options.seed} if weights.path is None else {}
    # Whole seconds have no entry: older features have none, and they are the same.
    windows: Identity = {} if options.windows == "seconds" else {"windows": options.windows}
    return (
        seed
        | windows
        | {
            **basic_identity(options, weights, _VERSION),
            "recipe": options.recipe,
            "width": options.width,
            "frames_per_second": FRAMES_PER_SECOND,
            "crop_pixels": FRAME_SIDE_PIXELS,
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
    )


_VISUAL_SHAPE = (3, FRAMES_PER_SECOND, FRAME_SIDE_PIXELS, FRAME_SIDE_PIXELS)
_AUDIO_SHAPE = (1, filterbank.FILTERS, 99)


class SelaviExtractor(EncodesSeconds):
    """Both networks with their preprocessing, ready on a device. Made by `load_selavi`.

    Attributes:
        audio_rate_hz: samples per second that `audio` expects.
        The others are those of `Extractor`.
    """

    paired_text = ""  # SeLaVi learned without text

    def __init__(
        self,
        *,
        identity: Identity,
        inputs: InputSpec,
        preprocessing: "Preprocessing",
        visual_network: Network,
        audio_network: Network,
    ) -> None:
        self.identity = identity
        self.inputs = inputs
        self.audio_rate_hz = preprocessing.audio_rate_hz
        self.visual_width = self.audio_width = FEATURES_PER_CHANNEL * int(identity["width"])
        self.device = preprocessing.device
        self.calls_at_once = visual_network.calls_at_once
        self.runtime = visual_network.runtime
        self.visual_input = preprocessing.visual_input
        self.audio_input = preprocessing.audio_input
        self._visual_network = visual_network
        self._audio_network = audio_network

    def visual(self, frames: Tensor) -> Tensor:
        """Compute the features of seconds of picture.

        Args:
            frames: (N, 30, 3, 112, 112) float32, RGB in 0..1.

        Returns:
            (N, D) float32, on `device`.
        """
        return self._visual_network(self.visual_input(frames.to(self.device)))

    def audio(self, sound: Tensor) -> Tensor:
        """Compute the features of seconds of sound.

        Args:
            sound: (N, audio_rate_hz) int16, mono.

        Returns:
            (N, D) float32, on `device`.
        """
        return self._audio_network(self.audio_input(sound.to(self.device)))


class Preprocessing:
    """Turns seconds of picture and sound into the networks' inputs.

    Attributes:
        audio_rate_hz: samples per second that it expects.
        device: device that it runs on; inputs must be on it.
    """

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        self.audio_rate_hz = recipe.audio_rate_hz
        self.device = device
        self._recipe = recipe
        self._filterbank = filterbank.LogFilterbank(recipe.audio_rate_hz).to(device)

    @staticmethod
    def visual_input(frames: Tensor) -> Tensor:
        """Normalise pictures: (N, frames, 3, 112, 112) in 0..1 -> (N, 3, frames, 112, 112)."""
        return (frames - PICTURE_MEAN).div_(PICTURE_DEVIATION).transpose(1, 2)

    def audio_input(self, sound: Tensor) -> Tensor:
        """Compute normalised log filterbanks: (N, audio_rate_hz) int16 -> (N, 1, 257, 99)."""
        energies: Tensor = self._filterbank(sound)
        return energies.sub_(self._recipe.audio_mean).div_(self._recipe.audio_deviation).unsqueeze(1)


def load_selavi(
    options: SelaviOptions, weights: ResolvedWeights, *, device: torch.device, runtime: Runtime = "auto"
) -> SelaviExtractor:
    """Build the networks with the given weights on a device.

    Args:
        options: recipe, width, seed and precision; its `weights` are ignored.
        weights: the weights that `resolve_weights` found.
        device: device that the networks run on.
        runtime: runtime that runs the networks.

    Raises:
        WeightsError: a file without weights of these networks, or a width other than 64.
        UnavailableError: a runtime that cannot run here, on this device or in this precision.
    """
    if weights.path is not None and options.width != SELAVI_WIDTH:
        raise WeightsError(
            f"the {weights.name} weights have width {SELAVI_WIDTH}, but width {options.width} was requested. "
            f"Leave the width out, or pass --weights untrained."
        )
    check_runtime(runtime, device, options.precision)
    recipe = RECIPES[options.recipe]
    visual_network, audio_network = _networks(options, weights, recipe)
    ready = partial(make_ready, runtime=runtime, device=device, precision=options.precision, takes_any_size=True)
    return SelaviExtractor(
        identity=describe(options, weights),
        inputs=options.inputs,
        preprocessing=Preprocessing(recipe, device),
        visual_network=ready(visual_network, input_shape=_VISUAL_SHAPE),
        audio_network=ready(audio_network, input_shape=_AUDIO_SHAPE),
    )


def _networks(options: SelaviOptions, weights: ResolvedWeights, recipe: Recipe) -> tuple[nn.Module, nn.Module]:
    """Build the visual and the audio network with their weights, on the CPU."""
    # Built without memory at first: PyTorch's initial weights would advance the global random generator.
    with torch.device("meta"):
        visual_network, audio_network = build_visual_network(options.width), build_audio_network(options.width)
    if weights.path is None:
        for network in (visual_network, audio_network):
            # As `to_empty` does, but that one loads a library for symbolic mathematics for a third of a second.
            state = {name: torch.empty(value.shape, dtype=value.dtype) for name, value in network.state_dict().items()}
            network.load_state_dict(state, assign=True)
        preprocessing = Preprocessing(recipe, torch.device("cpu"))
        generator = torch.Generator().manual_seed(options.seed)
        initialise_untrained(visual_network, preprocessing.visual_input(draw_clips(generator)), generator)
        sounds = preprocessing.audio_input(draw_sounds(recipe.audio_rate_hz, generator))
        initialise_untrained(audio_network, sounds, generator)
    else:
        with one_thread():
            load_weights(weights.path, {"video_network": visual_network, "audio_network": audio_network})
    return visual_network, audio_network


class Selavi(ExtractorFamily[SelaviOptions]):
    """How the SeLaVi extractor is found, described and loaded."""

    def complete(self, options: SelaviOptions, given: frozenset[str]) -> SelaviOptions:
        """See `ExtractorFamily.complete`: only untrained weights have another width than 64."""
        weights = options.weights
        if options.width != SELAVI_WIDTH and "weights" not in given:
            weights = "untrained"
        if weights not in CHOICES and not Path(weights).is_file():
            raise WeightsSpecError(f"Give a file, or one of {', '.join(CHOICES)}", missing=weights)
        if weights not in {"untrained", "auto"} and options.width != SELAVI_WIDTH:
            raise WeightsSpecError(
                f"width {options.width} goes with untrained weights only: leave --width out, or pass --weights "
                "untrained"
            )
        is_file = Path(weights).is_file()
        return replace(options, weights=str(Path(weights).absolute()) if is_file else weights)

    def find_weights(
        self, options: SelaviOptions, *, cache_dir: Path, on_progress: OnProgress | None = None
    ) -> ResolvedWeights:
        """See `ExtractorFamily.find_weights`."""
        return resolve_weights(options.weights, cache_dir=cache_dir, on_progress=on_progress)

    def is_cached(self, cache_dir: Path) -> bool:
        """See `ExtractorFamily.is_cached`."""
        return cached_path(PREFERRED, cache_dir).is_file()

    def describe(self, options: SelaviOptions, weights: ResolvedWeights) -> Identity:
        """See `ExtractorFamily.describe`."""
        return describe(options, weights)

    def widths(self, options: SelaviOptions, weights: ResolvedWeights) -> tuple[int, int]:  # noqa: ARG002 - the interface
        """See `ExtractorFamily.widths`."""
        return options.feature_width, options.feature_width

    def load(
        self, options: SelaviOptions, weights: ResolvedWeights, *, device: torch.device, runtime: Runtime = "auto"
    ) -> SelaviExtractor:
        """See `ExtractorFamily.load`."""
        return load_selavi(options, weights, device=device, runtime=runtime)
