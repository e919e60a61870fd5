"""The extractor vggish-c3d: C3D for pictures and VGGish for sound, the networks of the benchmark's `cls` features."""

from dataclasses import dataclass, replace
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
    SoundInput,
    basic_identity,
    own_weights,
)
from extractors.errors import WeightsError, WeightsSpecError
from extractors.files.checksums import sha256_of_file
from extractors.files.torch_weights import is_safetensors, load_state, read_pytorch, read_safetensors
from extractors.runtime.networks import Network, check_runtime, make_ready
from extractors.vggish_c3d import log_mel
from extractors.vggish_c3d.networks import C3D_UNUSED, C3D_WIDTH, VGGISH_UNUSED, VGGISH_WIDTH, C3d, Vggish
from extractors.vggish_c3d.options import VggishC3dOptions

_VERSION = 1  # of the code of this folder; increase it with each change that can change a feature
_FRAMES, _SIDE, _RESIZED = 16, 112, (128, 171)
_ENDINGS = (".pickle", ".pth", ".pt", ".bin", ".safetensors")
_ADVICE = "Give C3D's Sports-1M weights (c3d.pickle of DavideA/c3d-pytorch) or torchvggish's (vggish-10086976.pth)."
INPUTS = InputSpec(
    picture=PictureInput(
        frames_per_second=_FRAMES,
        side_pixels=_SIDE,
        resized_pixels=_RESIZED,
        interpolation="bilinear",
        crop_rounding="even",
    ),
    sound=SoundInput(rate_hz=log_mel.RATE_HZ),
)


@dataclass(frozen=True)
class VggishC3dWeights(ResolvedWeights):
    """The files of both networks."""

    c3d: Path
    vggish: Path


class VggishC3dExtractor(EncodesSeconds):
    """Both networks with their preprocessing, ready on a device. Its attributes are those of `Extractor`."""

    inputs = INPUTS
    visual_width, audio_width = C3D_WIDTH, VGGISH_WIDTH
    paired_text = ""

    def __init__(self, *, identity: Identity, c3d: Network, vggish: Network, device: torch.device) -> None:
        self.identity = identity
        self.device = device
        self.calls_at_once = c3d.calls_at_once
        self.runtime = c3d.runtime
        self._c3d, self._vggish = c3d, vggish
        self._log_mel = log_mel.LogMel(device)

    def visual(self, frames: Tensor) -> Tensor:
        """Compute fc6 of seconds of picture.

        Args:
            frames: (N, 16, 3, 112, 112) uint8, RGB; the weights take bytes as they are.

        Returns:
            (N, 4096) float32.
        """
        return self._c3d(frames.to(self.device).float().transpose(1, 2))

    def audio(self, sound: Tensor) -> Tensor:
        """Compute the vectors of seconds of sound, of which the first 0.975 s are heard.

        Args:
            sound: (N, 16000) int16, mono.

        Returns:
            (N, 128) float32.
        """
        return self._vggish(self._log_mel(sound.to(self.device)))


class VggishC3d(ExtractorFamily[VggishC3dOptions]):
    """How the extractor vggish-c3d is found, described and loaded."""

    def complete(self, options: VggishC3dOptions, given: frozenset[str]) -> VggishC3dOptions:  # noqa: ARG002 - interface
        """See `ExtractorFamily.complete`."""
        folder = Path(options.weights).expanduser()
        if options.weights == "auto":
            raise WeightsSpecError(f"vggish-c3d needs --weights FOLDER with both files of weights. {_ADVICE}")
        if not folder.is_dir():
            raise WeightsSpecError("Give a folder with the file of C3D's weights and that of VGGish's", options.weights)
        return replace(options, weights=str(folder.absolute()))

    def find_weights(
        self,
        options: VggishC3dOptions,
        *,
        cache_dir: Path,  # noqa: ARG002 - nothing is fetched
        on_progress: OnProgress | None = None,  # noqa: ARG002 - as above
    ) -> VggishC3dWeights:
        """See `ExtractorFamily.find_weights`."""
        folder = Path(options.weights)
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in _ENDINGS and path.is_file())
        kinds = {path: _kind_of(path) for path in files}
        found = {}
        for kind, name in (("c3d", "C3D"), ("vggish", "VGGish")):
            of_kind = [path for path, each in kinds.items() if each == kind]
            if len(of_kind) != 1:
                raise WeightsError(
                    f"{folder} contains {len(of_kind) or 'no'} files of {name}'s weights, not one. {_ADVICE}"
                )
            found[kind] = of_kind[0]
        checksums = [sha256_of_file(path) for path in found.values()]
        return VggishC3dWeights(
            name=folder.name, path=folder, sha256=":".join(checksums), note="", c3d=found["c3d"], vggish=found["vggish"]
        )

    def describe(self, options: VggishC3dOptions, weights: ResolvedWeights) -> Identity:
        """See `ExtractorFamily.describe`."""
        return {
            **basic_identity(options, weights, _VERSION),
            "frames_per_second": _FRAMES,
        }

    def widths(self, options: VggishC3dOptions, weights: ResolvedWeights) -> tuple[int, int]:  # noqa: ARG002 - interface
        """See `ExtractorFamily.widths`."""
        return C3D_WIDTH, VGGISH_WIDTH

    def load(
        self, options: VggishC3dOptions, weights: ResolvedWeights, *, device: torch.device, runtime: Runtime = "auto"
    ) -> VggishC3dExtractor:
        """See `ExtractorFamily.load`."""
        check_runtime(runtime, device, options.precision)
        own = own_weights(weights, VggishC3dWeights)
        with torch.device("meta"):
            c3d, vggish = C3d(), Vggish()
        load_state(own.c3d, c3d, unused=C3D_UNUSED, advice=_ADVICE)
        load_state(own.vggish, vggish, unused=VGGISH_UNUSED, advice=_ADVICE)

        def ready(network: nn.Module, shape: tuple[int, ...]) -> Network:
            return make_ready(network, runtime=runtime, device=device, precision=options.precision, input_shape=shape)

        return VggishC3dExtractor(
            identity=self.describe(options, weights),
            c3d=ready(c3d, (3, _FRAMES, _SIDE, _SIDE)),
            vggish=ready(vggish, (1, log_mel.WINDOWS, log_mel.BANDS)),
            device=device,
        )


def _kind_of(path: Path) -> str:
    """Find out from its keys whose weights a file holds: `c3d`, `vggish`, or empty for another file."""
    state = read_safetensors(path) if is_safetensors(path) else read_pytorch(path)
    keys = {str(key) for key in state} if isinstance(state, dict) else set()
    if "conv1.weight" in keys and "fc6.weight" in keys:
        return "c3d"
    return "vggish" if "embeddings.0.weight" in keys else ""
