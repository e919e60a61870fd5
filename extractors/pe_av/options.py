"""The options of the extractor pe-av. Nothing here needs torch."""

from dataclasses import dataclass
from typing import Literal

from extractors.base import ExtractorOptions, check_windows

PE_AV_NAME = "facebook/pe-av-small-16-frame"


@dataclass(frozen=True, kw_only=True)
class PeAvOptions(ExtractorOptions):
    """The options of the extractor pe-av; each can change a feature.

    Attributes:
        weights: auto, the name of a PE-AV model on the hub, or its folder.
        frames_per_second: number of pictures of a second; the published models see 16 in a window of 4 s.
        visual_window_seconds: seconds of picture around a second.
        audio_window_seconds: seconds of sound around a second.

    Raises:
        ValueError: a number out of its range.
    """

    name: Literal["pe-av"] = "pe-av"
    frames_per_second: int = 4
    visual_window_seconds: float = 4.0
    audio_window_seconds: float = 4.0

    def __post_init__(self) -> None:
        check_windows(
            self.frames_per_second,
            visual_window_seconds=self.visual_window_seconds,
            audio_window_seconds=self.audio_window_seconds,
        )
