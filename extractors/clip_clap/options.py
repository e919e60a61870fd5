"""The options of the extractor clip-clap. Nothing here needs torch."""

from dataclasses import dataclass
from typing import Literal

from extractors.base import ExtractorOptions, check_windows

CLIP_NAME = "openai/clip-vit-base-patch32"
CLAP_NAME = "laion/clap-htsat-unfused"


@dataclass(frozen=True, kw_only=True)
class ClipClapOptions(ExtractorOptions):
    """The options of the extractor clip-clap; each can change a feature.

    Attributes:
        weights: auto, or a folder that contains the folder of a CLIP or SigLIP model and that of a CLAP model.
        clip: name on the hub or folder of the CLIP or SigLIP model, if `weights` is auto.
        clap: name on the hub or folder of the CLAP model, if `weights` is auto.
        frames_per_second: number of pictures of a second.
        visual_window_seconds: seconds of picture around a second.
        audio_window_seconds: seconds of sound around a second; CLAP learned from 10 s.
        recipe: `clipclap` repeats the pictures of ClipClap's published features: one in the middle of a second, in
            negative colours with red and blue exchanged.

    Raises:
        ValueError: a number out of its range.
    """

    name: Literal["clip-clap"] = "clip-clap"
    clip: str = CLIP_NAME
    clap: str = CLAP_NAME
    frames_per_second: int = 2
    visual_window_seconds: float = 1.0
    audio_window_seconds: float = 3.0
    recipe: Literal["default", "clipclap"] = "default"

    def __post_init__(self) -> None:
        check_windows(
            self.frames_per_second,
            visual_window_seconds=self.visual_window_seconds,
            audio_window_seconds=self.audio_window_seconds,
        )
