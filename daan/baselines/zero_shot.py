"""The frozen encoders alone: how near a video is to the text of a class in the encoders' own space.

It is the row that every published table lacks. Legend: N videos, C classes, W width of a class embedding.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from daan.baselines.blocks import averaged
from daan.baselines.losses import unit
from daan.batch import VideoBatch
from daan.method import About, Method, MethodConfig, Needs, TrainingBatch
from daan.scoring import summed


def fits_text(audio_width: int, visual_width: int, text_width: int) -> bool:
    """Say whether class embeddings can be compared with features: one vector for both modalities, or one for each."""
    return text_width == audio_width + visual_width or text_width == audio_width == visual_width


@dataclass(frozen=True, kw_only=True)
class ZeroShotConfig(MethodConfig):
    """The widths of the encoders.

    A class embedding is either one vector of an encoder that embeds text, sound and pictures, or the vector of the
    visual text encoder followed by that of the audio text encoder.
    """

    text_width: int = 512
    # The scales with which the encoders were trained; a cosine times its scale is a logit. Set from the features, which
    # name them; 0: unknown, so there is no score `probability`.
    visual_scale: float = 0.0
    audio_scale: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._not_negative("visual_scale", "audio_scale")
        if not fits_text(self.audio_width, self.visual_width, self.text_width):
            raise ValueError(
                f"text_width is {self.text_width}, must be {self.visual_width} + {self.audio_width}, the widths of the "
                "visual and of the audio features, or equal to both: the method compares features with texts of their "
                "own encoders. Embed the classes with the text encoder of the features, or train a method"
            )


class ZeroShot(Method):
    """Distances 1 - cosine, without training."""

    about = About(
        name="zero-shot",
        title="zero-shot",
        paper="no paper: the encoders as they are",
        year=2021,
        status="exact",
        summary="the cosine between features and texts of the same encoders; nothing is trained",
    )
    needs = Needs(training=False, paired_text=True)

    scores: tuple[str, ...] = ("sum", "visual", "audio")  # and `probability` first, if the scales are known

    def __init__(self, config: ZeroShotConfig) -> None:
        super().__init__()
        self.config = config
        has_scales = config.visual_scale > 0 and config.audio_scale > 0
        if has_scales:
            self.scores = ("probability", *self.scores)

    def losses(self, batch: TrainingBatch) -> dict[str, Tensor]:  # noqa: ARG002 - the interface has this argument
        """Return no term, because nothing is trained."""
        return {}

    def embed_videos(self, videos: VideoBatch) -> dict[str, Tensor]:
        """Compute the averaged features of length 1: audio (N, Da) and visual (N, Dv)."""
        self._check_widths(videos)
        audio, visual = averaged(videos)
        return {"audio": unit(audio), "visual": unit(visual), **videos.presence()}

    def embed_classes(self, text: Tensor) -> Tensor:
        """Scale the vector of each text encoder to length 1 (C, W)."""
        self._check_text(text)
        if self.config.text_width == self.config.visual_width:
            return unit(text)
        return torch.cat((unit(text[:, : self.config.visual_width]), unit(text[:, self.config.visual_width :])), dim=1)

    def distances(self, videos: Mapping[str, Tensor], classes: Tensor) -> dict[str, Tensor]:
        """Compute 1 - cosine by both modalities, by visual and by audio; an absent modality counts as the other one.

        If the scales are known, `probability` is -log of the probability of a class among the C classes, averaged over
        the modalities that a video has.
        """
        of_visual, of_audio = classes, classes
        if self.config.text_width != self.config.visual_width:
            of_visual, of_audio = classes[:, : self.config.visual_width], classes[:, self.config.visual_width :]
        audio, visual = 1 - videos["audio"] @ of_audio.T, 1 - videos["visual"] @ of_visual.T
        both = summed(audio, visual, has_audio=videos["has_audio"], has_visual=videos["has_visual"])
        found = {"sum": both, "visual": visual, "audio": audio}
        if "probability" in self.scores:
            found["probability"] = self._surprise(audio, visual, videos)
        return found

    def _surprise(self, audio: Tensor, visual: Tensor, videos: Mapping[str, Tensor]) -> Tensor:
        """Compute -log of the mean probability (N, C) from the distances 1 - cosine of both modalities."""
        logs = torch.stack(
            (
                torch.log_softmax(-self.config.audio_scale * audio, dim=1),
                torch.log_softmax(-self.config.visual_scale * visual, dim=1),
            )
        )
        present = torch.stack((videos["has_audio"], videos["has_visual"]))  # (2, N)
        present = present | ~present.any(0)  # a video with neither has both, as in `sum`
        logs = logs.masked_fill(~present[:, :, None], -torch.inf)
        return present.sum(0)[:, None].log() - torch.logsumexp(logs, dim=0)
