"""How videos become features: options of the extraction stage."""

import os
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from extractors.selavi import ExtractorOptions


@dataclass(frozen=True, kw_only=True)
class ExtractionSettings:
    """How videos become features. Only the first block can change a feature, and is part of the fingerprint."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "allow_inf_nan": False}

    extractor: ExtractorOptions = field(default_factory=ExtractorOptions)
    decoder: Literal["pyav", "decord"] = "pyav"
    dtype: Literal["float16", "float32"] = "float32"

    workers: int = 0  # decoding processes; 0: all cores but one, at most 16
    batch_seconds: int = 8  # seconds of video the network sees at once
    time_limit_seconds: float = 60.0  # a decoder that yields nothing for so long is killed

    def __post_init__(self) -> None:
        for name, least in (("workers", 0), ("batch_seconds", 1), ("time_limit_seconds", 0.1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}, must be at least {least}")

    @property
    def identity(self) -> tuple[ExtractorOptions, str, str]:
        """What can change a feature."""
        return self.extractor, self.decoder, self.dtype

    @property
    def decoding_processes(self) -> int:
        """How many processes decode."""
        return self.workers or min(16, max(1, (os.cpu_count() or 1) - 1))
