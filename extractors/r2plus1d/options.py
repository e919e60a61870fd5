"""The options of the extractor r2plus1d. Nothing here needs torch."""

from dataclasses import dataclass
from typing import Literal

from extractors.base import ExtractorOptions


@dataclass(frozen=True, kw_only=True)
class R2plus1dOptions(ExtractorOptions):
    """The options of the extractor r2plus1d; each can change a feature.

    Attributes:
        weights: auto, which is torchvision's Kinetics-400 file, or a file in its layout.
    """

    name: Literal["r2plus1d"] = "r2plus1d"
