"""The settings of the extraction stage."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import pydantic
import torch

from extractors.base import ExtractorOptions, Runtime
from extractors.clip_clap.options import ClipClapOptions
from extractors.decoding.limits import LONGEST_SECONDS
from extractors.pe_av.options import PeAvOptions
from extractors.r2plus1d.options import R2plus1dOptions
from extractors.selavi.options import SelaviOptions
from extractors.vggish_c3d.options import VggishC3dOptions
from pipeline.base.system import usable_cores

_MOST_WORKERS = 32

# The options of each extractor. Their class says which one: `name` is its name.
EXTRACTOR_OPTIONS: Mapping[str, type[ExtractorOptions]] = {
    "selavi": SelaviOptions,
    "clip-clap": ClipClapOptions,
    "pe-av": PeAvOptions,
    "r2plus1d": R2plus1dOptions,
    "vggish-c3d": VggishC3dOptions,
}
_DEFAULT_EXTRACTOR = "selavi"  # also of settings and records from the time when there was no other


def _extractor_named(options: Any) -> str:  # noqa: ANN401 - a mapping from a file, or options
    """Return which extractor some options are for."""
    found = options.get("name", _DEFAULT_EXTRACTOR) if isinstance(options, Mapping) else getattr(options, "name", "")
    return str(found)


AnyExtractorOptions = Annotated[
    Annotated[SelaviOptions, pydantic.Tag("selavi")]
    | Annotated[ClipClapOptions, pydantic.Tag("clip-clap")]
    | Annotated[PeAvOptions, pydantic.Tag("pe-av")]
    | Annotated[R2plus1dOptions, pydantic.Tag("r2plus1d")]
    | Annotated[VggishC3dOptions, pydantic.Tag("vggish-c3d")],
    pydantic.Discriminator(_extractor_named),
]


@dataclass(frozen=True, kw_only=True)
class ExtractionSettings:
    """The settings of an extraction. Only the first block can change a feature; it is part of the fingerprint."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "allow_inf_nan": False}

    extractor: AnyExtractorOptions = field(default_factory=SelaviOptions)
    decoder: Literal["pyav", "decord"] = "pyav"
    dtype: Literal["float16", "float32"] = "float32"

    runtime: Runtime = "auto"  # how the networks run; features differ by at most 1e-5 of their size
    workers: Literal["auto"] | int = "auto"  # number of decoding processes; each uses one thread
    batch_seconds: int = 8  # seconds of video in one batch of the networks
    # A decoder that yields nothing for this time is killed. So is one whose video takes longer in all than this time,
    # plus a quarter of it for each second of video decoded so far.
    time_limit_seconds: float = 60.0
    longest_seconds: float = LONGEST_SECONDS  # a video with more seconds fails

    def __post_init__(self) -> None:
        if self.workers != "auto" and self.workers < 1:
            raise ValueError(f"workers is {self.workers}, must be auto or at least 1")
        for name, least in (("batch_seconds", 1), ("time_limit_seconds", 0.1), ("longest_seconds", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}, must be at least {least}")

    @property
    def needs_cpu(self) -> bool:
        """Whether the runtime runs on a CPU only."""
        return self.runtime in {"traced", "openvino"}

    @property
    def identity(self) -> tuple[ExtractorOptions, str, str]:
        """The settings that can change a feature: extractor, decoder and dtype."""
        return self.extractor, self.decoder, self.dtype

    def workers_for(self, device: torch.device) -> int:
        """Compute the number of decoding processes if the networks run on `device`.

        On a CPU, `auto` is one process for every two cores; more processes would only wait. To decode a second of video
        takes 0.02 s (small pictures) to 0.2 s (1080p) of a core. The networks take 0.1 to 3 s. With a GPU, `auto` is
        all cores except the one that feeds the GPU.
        """
        if self.workers != "auto":
            return self.workers
        cores = usable_cores()
        return min(_MOST_WORKERS, max(1, cores - 1 if device.type == "cuda" else cores // 2))
