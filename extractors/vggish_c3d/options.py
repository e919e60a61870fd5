"""The options of the extractor vggish-c3d. Nothing here needs torch."""

from dataclasses import dataclass
from typing import Literal

from extractors.base import ExtractorOptions


@dataclass(frozen=True, kw_only=True)
class VggishC3dOptions(ExtractorOptions):
    """The options of the extractor vggish-c3d; each can change a feature.

    Attributes:
        weights: a folder with one file of C3D's weights and one of VGGish's.
    """

    name: Literal["vggish-c3d"] = "vggish-c3d"
