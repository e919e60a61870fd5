"""The extractor pe-av: PE-AV, whose pictures, sounds and texts lie in one space. It needs the library timm."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from extractors.base import (
    ExtractorFamily,
    Identity,
    InputSpec,
    OnProgress,
    PictureInput,
    ResolvedWeights,
    Runtime,
    SoundInput,
    basic_identity,
    own_weights,
)
from extractors.errors import WeightsSpecError
from extractors.files.hub import cached_model, fetch_model, is_hub_name
from extractors.files.model_folder import CONFIG, ModelFolder
from extractors.files.picture_processor import BytesNormaliser
from extractors.pe_av.networks import (
    PeAvPreprocessing,
    cosine_scale,
    load_sound,
    load_visual,
    pe_av_preprocessing,
    widths_of,
)
from extractors.pe_av.options import PE_AV_NAME, PeAvOptions
from extractors.runtime.networks import EagerNetwork, Network, check_runtime, make_ready
from extractors.text.pe_av import check_pe_av

_VERSION = 1  # of the code of this folder; increase it with each change that can change a feature
_WHAT = "a PE-AV model"
_REMEDY = "save its files in a folder and give it with --weights FOLDER"
_FULL_SCALE = 32768  # of 16 bits


@dataclass(frozen=True)
class PeAvWeights(ResolvedWeights):
    """The folder of the model, and its name on the hub or its path."""

    folder: ModelFolder
    location: str


@dataclass(frozen=True)
class PeAvNetworks:
    """The networks, ready on a device."""

    frames: Network
    windows: Network
    sound: Network


class PeAvExtractor:
    """The networks with their preprocessing, ready on a device. Its attributes are those of `Extractor`."""

    def __init__(
        self,
        *,
        options: PeAvOptions,
        identity: Identity,
        paired_text: str,
        preprocessing: PeAvPreprocessing,
        networks: PeAvNetworks,
        widths: tuple[int, int],
        device: torch.device,
    ) -> None:
        self.identity = identity
        self.paired_text = paired_text
        self.inputs = _inputs(options, preprocessing)
        self.visual_width, self.audio_width = widths
        self.device = device
        self.calls_at_once = networks.frames.calls_at_once
        self.runtime = networks.frames.runtime
        self._networks = networks
        self._has_windows = options.visual_window_seconds > 1
        self._normalise = BytesNormaliser(preprocessing.mean, preprocessing.deviation, device)

    def visual(self, frames: Tensor) -> Tensor:
        """Compute one row per picture, or, without longer windows, the unit vectors of seconds.

        Args:
            frames: (N, F, 3, S, S) uint8, RGB.

        Returns:
            (N, F, E) float32; (N, W) if a window is one second.
        """
        count, per_second = frames.shape[:2]
        pixels = frames.to(self.device).flatten(0, 1)
        rows = self._networks.frames(self._normalise(pixels)).reshape(count, per_second, -1)
        return rows if self._has_windows else self.visual_of_windows(rows)

    def visual_of_windows(self, rows: Tensor) -> Tensor:
        """Compute the unit vectors (N, W) of windows from the rows (N, K, E) of their pictures."""
        return F.normalize(self._networks.windows(rows.to(self.device)), dim=-1)

    def audio(self, sound: Tensor) -> Tensor:
        """Compute the unit vectors of sound.

        Args:
            sound: (N, L) int16, mono.

        Returns:
            (N, W) float32.
        """
        return F.normalize(self._networks.sound(sound.to(self.device).float() / _FULL_SCALE), dim=-1)


def _inputs(options: PeAvOptions, preprocessing: PeAvPreprocessing) -> InputSpec:
    side = preprocessing.side_pixels
    picture = PictureInput(
        frames_per_second=options.frames_per_second,
        side_pixels=side,
        resized_pixels=(side, side),
        interpolation=preprocessing.interpolation,
        window_seconds=options.visual_window_seconds,
    )
    sound = SoundInput(rate_hz=preprocessing.rate_hz, window_seconds=options.audio_window_seconds)
    return InputSpec(picture=picture, sound=sound)


class PeAv(ExtractorFamily[PeAvOptions]):
    """How the extractor pe-av is found, described and loaded."""

    def complete(self, options: PeAvOptions, given: frozenset[str]) -> PeAvOptions:  # noqa: ARG002 - interface
        """See `ExtractorFamily.complete`."""
        path = Path(options.weights).expanduser()
        if path.is_dir():
            return replace(options, weights=str(path.absolute()))
        if options.weights != "auto" and not is_hub_name(options.weights):
            raise WeightsSpecError(
                f"Give the folder of a PE-AV model, its name on the hub, such as {PE_AV_NAME}, or auto", options.weights
            )
        return options

    def find_weights(
        self, options: PeAvOptions, *, cache_dir: Path, on_progress: OnProgress | None = None
    ) -> PeAvWeights:
        """See `ExtractorFamily.find_weights`."""
        location, note = PE_AV_NAME if options.weights == "auto" else options.weights, ""
        path = Path(location)
        if is_hub_name(location):
            fetched = fetch_model(location, cache_dir, remedy=_REMEDY, on_progress=on_progress)
            path, note = fetched.folder, fetched.note
        folder = ModelFolder(path, _WHAT, cache_dir)
        check_pe_av(folder)
        name = path.name if Path(options.weights).is_absolute() else options.weights
        sha256 = folder.sha256((CONFIG,))
        return PeAvWeights(name=name, path=path, sha256=sha256, note=note, folder=folder, location=location)

    def is_cached(self, cache_dir: Path) -> bool:
        """See `ExtractorFamily.is_cached`."""
        return cached_model(PE_AV_NAME, cache_dir) is not None

    def describe(self, options: PeAvOptions, weights: ResolvedWeights) -> Identity:
        """See `ExtractorFamily.describe`."""
        folder = own_weights(weights, PeAvWeights).folder
        scales = {
            f"{name}_logit_scale": cosine_scale(folder, part)
            for name, part in (("visual", "video"), ("audio", "audio"))
        }
        return {
            **basic_identity(options, weights, _VERSION),
            "frames_per_second": options.frames_per_second,
            "visual_window_seconds": float(options.visual_window_seconds),
            "audio_window_seconds": float(options.audio_window_seconds),
            **scales,
        }

    def where(self, options: PeAvOptions, weights: ResolvedWeights) -> Identity:
        """See `ExtractorFamily.where`."""
        return super().where(options, weights) | {"paired_text": f"pe-av:{own_weights(weights, PeAvWeights).location}"}

    def widths(self, options: PeAvOptions, weights: ResolvedWeights) -> tuple[int, int]:  # noqa: ARG002 - interface
        """See `ExtractorFamily.widths`."""
        return widths_of(own_weights(weights, PeAvWeights).folder)

    def load(
        self, options: PeAvOptions, weights: ResolvedWeights, *, device: torch.device, runtime: Runtime = "auto"
    ) -> PeAvExtractor:
        """See `ExtractorFamily.load`."""
        check_runtime(runtime, device, options.precision)
        own = own_weights(weights, PeAvWeights)
        preprocessing = pe_av_preprocessing(own.folder)
        frames, windows = load_visual(own.folder, preprocessing.num_frames)
        sound = load_sound(own.folder, preprocessing.hop_samples)
        side = preprocessing.side_pixels
        # The encoder of single pictures takes nearly all the time. The others take inputs of several lengths, which a
        # compiled network does not.
        networks = PeAvNetworks(
            make_ready(
                frames, runtime=runtime, device=device, precision=options.precision, input_shape=(3, side, side)
            ),
            EagerNetwork(windows, device=device, precision=options.precision),
            EagerNetwork(sound, device=device, precision=options.precision),
        )
        return PeAvExtractor(
            options=options,
            identity=self.describe(options, weights),
            paired_text=f"pe-av:{own.location}",
            preprocessing=preprocessing,
            networks=networks,
            widths=self.widths(options, weights),
            device=device,
        )
