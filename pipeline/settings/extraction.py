"""How videos become features: options of the extraction stage."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch

from extractors.runtime.networks import Runtime
from extractors.selavi.extractor import ExtractorOptions
from pipeline.base.system import usable_cores

_MOST_WORKERS = 32


@dataclass(frozen=True, kw_only=True)
class ExtractionSettings:
    """How videos become features. Only the first block can change a feature, and is part of the fingerprint."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "allow_inf_nan": False}

    extractor: ExtractorOptions = field(default_factory=ExtractorOptions)
    decoder: Literal["pyav", "decord"] = "pyav"
    dtype: Literal["float16", "float32"] = "float32"

    runtime: Runtime = "eager"  # what runs the networks; the features are the same to 1e-4 of their size
    workers: Literal["auto"] | int = "auto"  # decoding processes, of one thread each
    batch_seconds: int = 8  # seconds of video the network sees at once
    # A decoder that yields nothing for so long is killed; a video may take as long, and a quarter more for each second.
    time_limit_seconds: float = 60.0

    def __post_init__(self) -> None:
        if self.workers != "auto" and self.workers < 1:
            raise ValueError(f"workers is {self.workers}, must be auto or at least 1")
        for name, least in (("batch_seconds", 1), ("time_limit_seconds", 0.1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}, must be at least {least}")

    @property
    def identity(self) -> tuple[ExtractorOptions, str, str]:
        """What can change a feature."""
        return self.extractor, self.decoder, self.dtype

    def workers_for(self, device: torch.device) -> int:
        """How many processes decode where the networks run on `device`.

        On a CPU, `auto` is one for every two cores: a second takes 0.02 to 0.2 s of a core to decode (small pictures,
        1080p) and 0.1 to 3 s in the networks, and processes that are ahead only wait. Beside a GPU it is all cores but
        the one that feeds it.
        """
        if self.workers != "auto":
            return self.workers
        cores = usable_cores()
        return min(_MOST_WORKERS, max(1, cores - 1 if device.type == "cuda" else cores // 2))
