"""The settings of the extraction stage."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch

from extractors.decoding.limits import LONGEST_SECONDS
from extractors.runtime.networks import Runtime
from extractors.selavi.extractor import ExtractorOptions
from pipeline.base.system import usable_cores

_MOST_WORKERS = 32


@dataclass(frozen=True, kw_only=True)
class ExtractionSettings:
    """The settings of an extraction. Only the first block can change a feature; it is part of the fingerprint."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "allow_inf_nan": False}

    extractor: ExtractorOptions = field(default_factory=ExtractorOptions)
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
