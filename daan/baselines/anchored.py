"""Mix the distances of a trained method with those of the frozen encoders that made its features.

Training makes the classes that it sees clearer and forgets part of what the encoders know about the others. The frozen
distances keep this knowledge. Legend: N videos, C classes, S scores, W width of a class embedding.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from daan.baselines.zero_shot import ZeroShot, ZeroShotConfig
from daan.batch import VideoBatch
from daan.method import Method, Needs, TrainingBatch

_FROZEN = "frozen."  # prefix of what the frozen encoders return


class Anchored(Method):
    """A trained method whose distances are mixed with frozen ones: d + factor * d_frozen, one factor for each score.

    The scores `audio` and `visual` are mixed with the frozen distance of this modality. Every other score, and the one
    that predicts, is mixed with the score by which the frozen encoders predict.

    Args:
        trained: the method; its scores, options and name are those of the mixture.
        frozen: the options of the frozen encoders.
    """

    needs = Needs(paired_text=True)

    factors: Tensor  # (S,)
    audio_mean: Tensor
    audio_deviation: Tensor
    visual_mean: Tensor
    visual_deviation: Tensor

    def __init__(self, trained: Method, frozen: ZeroShotConfig) -> None:
        super().__init__()
        self.trained, self.frozen = trained, ZeroShot(frozen)
        self.about = trained.about  # type: ignore[misc]  # a wrapper has the name of what it contains
        self.scores, self.config = trained.scores, trained.config
        self.register_buffer("factors", torch.zeros(len(self.scores)))
        for name, width in (("audio", frozen.audio_width), ("visual", frozen.visual_width)):
            self.register_buffer(f"{name}_mean", torch.zeros(width))
            self.register_buffer(f"{name}_deviation", torch.ones(width))

    def set_factors(self, factors: Mapping[str, float]) -> None:
        """Set the factor of the frozen distance of every score."""
        values = torch.tensor([factors[score] for score in self.scores], dtype=self.factors.dtype)
        self.factors.copy_(values)

    def undo_standardising(self, **statistics: Tensor) -> None:
        """Set how features were standardised, because the frozen encoders need them as they were.

        Args:
            statistics: audio_mean, audio_deviation (Da,), visual_mean and visual_deviation (Dv,).
        """
        for name, values in statistics.items():
            self.get_buffer(name).copy_(values)

    @property
    def score(self) -> str:
        """The score of the trained method."""
        return self.trained.score

    def losses(self, batch: TrainingBatch) -> dict[str, Tensor]:
        """Return the terms of the trained method."""
        return self.trained.losses(batch)

    def embed_videos(self, videos: VideoBatch) -> dict[str, Tensor]:
        """Embed N videos by both; the names of the frozen ones have a prefix."""
        trained = self.trained.embed_videos(videos)  # checks the widths
        original = VideoBatch(
            audio=videos.audio * self.audio_deviation + self.audio_mean,
            visual=videos.visual * self.visual_deviation + self.visual_mean,
            audio_mask=videos.audio_mask,
            visual_mask=videos.visual_mask,
        )
        frozen = self.frozen.embed_videos(original)
        return {**trained, **{f"{_FROZEN}{name}": each for name, each in frozen.items()}}

    def embed_classes(self, text: Tensor) -> Tensor:
        """Embed class embeddings (C, W) -> (C, O + W): those of the trained method, then the frozen ones."""
        return torch.cat((self.trained.embed_classes(text), self.frozen.embed_classes(text)), dim=1)

    def distances(self, videos: Mapping[str, Tensor], classes: Tensor) -> dict[str, Tensor]:
        """Compute the mixed distances (N, C) by each score of the trained method."""
        width = self.frozen.config.text_width
        own = {name: each for name, each in videos.items() if not name.startswith(_FROZEN)}
        of_frozen = {name.removeprefix(_FROZEN): each for name, each in videos.items() if name.startswith(_FROZEN)}
        trained = self.trained.distances(own, classes[:, :-width])
        frozen = self.frozen.distances(of_frozen, classes[:, -width:])
        return {
            score: trained[score] + factor * frozen[self.frozen_score(score)]
            for score, factor in zip(self.scores, self.factors, strict=True)
        }

    def frozen_score(self, score: str) -> str:
        """Name the frozen score that is mixed with a score of the trained method."""
        is_of_one_modality = score in {"audio", "visual"} and score != self.score
        return score if is_of_one_modality else self.frozen.score
