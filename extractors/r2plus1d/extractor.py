"""The extractor r2plus1d: torchvision's R(2+1)D-18, which learned the actions of Kinetics-400; it sees only."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from extractors.base import (
    EncodesSeconds,
    ExtractorFamily,
    Identity,
    InputSpec,
    OnProgress,
    PictureInput,
    ResolvedWeights,
    Runtime,
    basic_identity,
)
from extractors.errors import WeightsSpecError
from extractors.files.checksums import sha256_of_file
from extractors.files.fetched_file import PublishedFile, cached_file, fetch_file
from extractors.files.torch_weights import load_state
from extractors.r2plus1d.options import R2plus1dOptions
from extractors.runtime.networks import Network, check_runtime, make_ready

_VERSION = 1  # of the code of this folder; increase it with each change that can change a feature
_WIDTH = 512
# As the weights were trained: transforms of R2Plus1D_18_Weights.KINETICS400_V1 in torchvision. That one takes 16
# pictures at 15 per second; here they are those of one second (C).
_FRAMES, _SIDE, _RESIZED = 16, 112, (128, 171)
_MEAN = (0.43216, 0.394666, 0.37645)
_DEVIATION = (0.22803, 0.22145, 0.216989)
KINETICS = PublishedFile(
    "r2plus1d_18-91a641e6.pth", "https://download.pytorch.org/models/r2plus1d_18-91a641e6.pth", "91a641e6"
)
_REMEDY = "Download it elsewhere and give it with --weights FILE"
INPUTS = InputSpec(
    picture=PictureInput(
        frames_per_second=_FRAMES,
        side_pixels=_SIDE,
        resized_pixels=_RESIZED,
        interpolation="bilinear",
        crop_rounding="even",
    ),
    sound=None,
)


class R2plus1dExtractor(EncodesSeconds):
    """The network with its preprocessing, ready on a device. Its attributes are those of `Extractor`."""

    inputs = INPUTS
    visual_width = _WIDTH
    audio_width = None
    paired_text = ""

    def __init__(self, *, identity: Identity, network: Network, device: torch.device) -> None:
        self.identity = identity
        self.device = device
        self.calls_at_once = network.calls_at_once
        self.runtime = network.runtime
        self._network = network
        self._mean = torch.tensor(_MEAN, device=device).reshape(3, 1, 1)
        self._deviation = torch.tensor(_DEVIATION, device=device).reshape(3, 1, 1)

    def visual(self, frames: Tensor) -> Tensor:
        """Compute vectors of seconds of picture.

        Args:
            frames: (N, 16, 3, 112, 112) uint8, RGB.

        Returns:
            (N, 512) float32.
        """
        pixels = frames.to(self.device).float().div_(255)
        return self._network(pixels.sub_(self._mean).div_(self._deviation).transpose(1, 2))

    def audio(self, sound: Tensor) -> Tensor:
        """Refuse sound."""
        raise NotImplementedError(f"r2plus1d hears nothing, but got sound {tuple(sound.shape)}")


class R2plus1d(ExtractorFamily[R2plus1dOptions]):
    """How the extractor r2plus1d is found, described and loaded."""

    def complete(self, options: R2plus1dOptions, given: frozenset[str]) -> R2plus1dOptions:  # noqa: ARG002 - interface
        """See `ExtractorFamily.complete`."""
        path = Path(options.weights).expanduser()
        if options.weights != "auto" and not path.is_file():
            raise WeightsSpecError(
                "Give a file of R(2+1)D-18 weights in torchvision's layout, or auto", options.weights
            )
        return options if options.weights == "auto" else replace(options, weights=str(path.absolute()))

    def find_weights(
        self, options: R2plus1dOptions, *, cache_dir: Path, on_progress: OnProgress | None = None
    ) -> ResolvedWeights:
        """See `ExtractorFamily.find_weights`."""
        if options.weights == "auto":
            path, sha256, note = fetch_file(KINETICS, cache_dir, remedy=_REMEDY, on_progress=on_progress)
            return ResolvedWeights(name="auto", path=path, sha256=sha256, note=note)
        path = Path(options.weights)
        return ResolvedWeights(name=path.name, path=path, sha256=sha256_of_file(path), note="")

    def is_cached(self, cache_dir: Path) -> bool:
        """See `ExtractorFamily.is_cached`."""
        return cached_file(KINETICS, cache_dir) is not None

    def describe(self, options: R2plus1dOptions, weights: ResolvedWeights) -> Identity:
        """See `ExtractorFamily.describe`."""
        return {
            **basic_identity(options, weights, _VERSION),
            "frames_per_second": _FRAMES,
        }

    def widths(self, options: R2plus1dOptions, weights: ResolvedWeights) -> tuple[int, None]:  # noqa: ARG002 - interface
        """See `ExtractorFamily.widths`."""
        return _WIDTH, None

    def load(
        self, options: R2plus1dOptions, weights: ResolvedWeights, *, device: torch.device, runtime: Runtime = "auto"
    ) -> R2plus1dExtractor:
        """See `ExtractorFamily.load`."""
        from torchvision.models.video import r2plus1d_18  # noqa: PLC0415 - takes seconds

        check_runtime(runtime, device, options.precision)
        with torch.device("meta"):
            network: nn.Module = r2plus1d_18()
            network.fc = nn.Identity()
        if weights.path is None:
            raise TypeError("r2plus1d has no untrained weights")
        load_state(weights.path, network, unused=("fc.",), advice="Give torchvision's r2plus1d_18 weights.")
        ready = make_ready(
            network,
            runtime=runtime,
            device=device,
            precision=options.precision,
            input_shape=(3, _FRAMES, _SIDE, _SIDE),
            takes_any_size=True,
        )
        return R2plus1dExtractor(identity=self.describe(options, weights), network=ready, device=device)
