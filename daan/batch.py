"""A batch of videos as the network takes it. Legend: B videos, T seconds, Da and Dv widths of the features."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
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

    def __getitem__(self, videos: slice) -> "VideoBatch":
        """Some of the videos."""
        return VideoBatch(self.audio[videos], self.visual[videos], self.audio_mask[videos], self.visual_mask[videos])


def joined(first: VideoBatch, second: VideoBatch) -> VideoBatch:
    """(B1 + B2) videos, the shorter of the two batches padded."""
    return VideoBatch(
        audio=_stacked(first.audio, second.audio),
        visual=_stacked(first.visual, second.visual),
        audio_mask=_stacked(first.audio_mask[..., None], second.audio_mask[..., None])[..., 0],
        visual_mask=_stacked(first.visual_mask[..., None], second.visual_mask[..., None])[..., 0],
    )


def _stacked(first: Tensor, second: Tensor) -> Tensor:
    """(B1 + B2, T, D) of (B1, T1, D) and (B2, T2, D), zeros behind the shorter."""
    seconds = max(first.shape[1], second.shape[1])
    return torch.cat([F.pad(part, (0, 0, 0, seconds - part.shape[1])) for part in (first, second)])


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
