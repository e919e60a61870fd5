"""The batch of videos that the network takes. Legend: B videos, T seconds, Da and Dv widths of the features."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

MODALITY_AXIS = ("audio", "visual")  # order of the modality axis of tensors


@dataclass(frozen=True)
class VideoBatch:
    """Padded videos of different lengths, at one vector per second.

    A modality that a video lacks has a mask row of False; its features are not read. Valid seconds usually come first.
    Causal convolutions treat an invalid second between valid ones as zeros; everything else ignores it.

    Raises:
        ValueError: shapes that do not fit each other.
    """

    audio: Tensor  # (B, T, Da)
    visual: Tensor  # (B, T, Dv)
    audio_mask: Tensor  # (B, T) bool
    visual_mask: Tensor  # (B, T) bool

    def __post_init__(self) -> None:
        for name in MODALITY_AXIS:
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
        """Select videos by their row indices (N,)."""
        return self._select(rows)

    def first(self, count: int) -> "VideoBatch":
        """Return the first `count` videos, without a copy."""
        return self._select(slice(count))

    def rest(self, count: int) -> "VideoBatch":
        """Return the videos after the first `count`, without a copy."""
        return self._select(slice(count, None))

    def presence(self) -> dict[str, Tensor]:
        """Return flags (B,) by name: whether a video `has_audio` and whether it `has_visual`."""
        return {"has_audio": self.audio_mask.any(1), "has_visual": self.visual_mask.any(1)}

    def _select(self, rows: Tensor | slice) -> "VideoBatch":
        return VideoBatch(self.audio[rows], self.visual[rows], self.audio_mask[rows], self.visual_mask[rows])


def hide_modalities(videos: VideoBatch, probability: float, generator: torch.Generator | None) -> VideoBatch:
    """Hide audio or visual of some videos. A video with only one modality keeps it.

    Args:
        videos: B videos.
        probability: probability that a video loses one modality, audio or visual with equal chance. At 0 nothing is
            drawn.
        generator: source of the random draws; None for torch's own.
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
