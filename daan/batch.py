"""A batch of videos as the network takes it. Legend: B videos, T seconds, Da and Dv widths of the features."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class VideoBatch:
    """Ragged seconds at 1 Hz, padded. A modality that is absent has a row of False; its features are not read.

    Valid seconds usually come first; a hole between them counts as a second of zeros to causal convolutions and as no
    second to everything else.

    Raises:
        ValueError: the shapes do not fit each other.
    """

    audio: Tensor  # (B, T, Da)
    visual: Tensor  # (B, T, Dv)
    audio_mask: Tensor  # (B, T) bool
    visual_mask: Tensor  # (B, T) bool

    def __post_init__(self) -> None:
        for name in ("audio", "visual"):
            features, mask = getattr(self, name), getattr(self, f"{name}_mask")
            if features.ndim != 3 or mask.dtype != torch.bool or mask.shape != features.shape[:2]:
                raise ValueError(
                    f"{name} is {tuple(features.shape)} and {name}_mask {tuple(mask.shape)} of {mask.dtype}: "
                    "give (B, T, D) features and a (B, T) mask of bool"
                )
        if len(self.audio) != len(self.visual):
            raise ValueError(f"audio has {len(self.audio)} videos and visual {len(self.visual)}: give the same videos")

    def __len__(self) -> int:
        return len(self.audio)

    def __getitem__(self, rows: Tensor) -> "VideoBatch":
        """Select videos by their rows (N,)."""
        return VideoBatch(self.audio[rows], self.visual[rows], self.audio_mask[rows], self.visual_mask[rows])


def hide_modalities(videos: VideoBatch, probability: float, generator: torch.Generator | None) -> VideoBatch:
    """Hide audio or visual of some videos, never of one that lacks the other.

    Args:
        videos: B of them.
        probability: of a video to lose one modality; which one is drawn evenly. At 0 nothing is drawn.
        generator: source of the draws; None: torch's own.
    """
    if probability == 0:
        return videos
    source = generator.device if generator is not None else torch.device("cpu")
    draws = torch.rand(len(videos), generator=generator, device=source).to(videos.audio.device, non_blocking=True)
    both = videos.audio_mask.any(1) & videos.visual_mask.any(1)
    hides_audio = both & (draws < probability / 2)
    hides_visual = both & (draws >= probability / 2) & (draws < probability)
    return replace(
        videos,
        audio_mask=videos.audio_mask & ~hides_audio[:, None],
        visual_mask=videos.visual_mask & ~hides_visual[:, None],
    )
