"""DeViSE, ALE and SJE as AVCA's authors adapted them: one matrix between features and class embeddings.

Legend: B videos, C classes, W width of a class embedding. The three differ in how they weigh the wrong classes.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from daan.baselines.blocks import averaged
from daan.baselines.losses import hinges, unit
from daan.batch import VideoBatch
from daan.dropout import Dropout
from daan.method import About, Method, MethodConfig, Needs, TrainingBatch
from daan.scoring import euclidean


@dataclass(frozen=True, kw_only=True)
class BilinearConfig(MethodConfig):
    """The options of DeViSE, ALE and SJE; the defaults are those of UCF-GZSL."""

    margin: float = 0.1
    dropout: float = 0.2  # of the features
    normalise: bool = False  # scale the joined features of a video to length 1, as for the features cls
    # True repeats what the published code does: it trains on dot products and scores by Euclidean distance, and drops
    # values of the class embeddings too.
    faithful: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._not_negative("margin")
        self._fraction("dropout")


class _Bilinear(Method):
    """A matrix that maps the joined features of a video into the space of class embeddings."""

    needs = Needs()
    scores = ("fused",)

    def __init__(self, config: BilinearConfig) -> None:
        super().__init__()
        self.config = config
        self.matrix = nn.Linear(config.visual_width + config.audio_width, config.text_width, bias=False)
        self.dropout = Dropout(config.dropout)

    def losses(self, batch: TrainingBatch) -> dict[str, Tensor]:
        """Compute the ranking loss over the training classes."""
        table = self.dropout(batch.class_table) if self.config.faithful else batch.class_table
        similarity = self._map(batch.positive) @ table.T
        return {"ranking": self._ranking(hinges(similarity, batch.labels, margin=self.config.margin)).mean()}

    @abstractmethod
    def _ranking(self, each: Tensor) -> Tensor:
        """Combine the hinges (B, C) of each video to (B,)."""

    def embed_videos(self, videos: VideoBatch) -> dict[str, Tensor]:
        """Compute f (N, W)."""
        return {"fused": self._map(videos)}

    def embed_classes(self, text: Tensor) -> Tensor:
        """Return the class embeddings (C, W) themselves."""
        self._check_text(text)
        return text

    def distances(self, videos: Mapping[str, Tensor], classes: Tensor) -> dict[str, Tensor]:
        """Compute -f . w (N, C), or |f - w| as the published code does."""
        if self.config.faithful:
            return {"fused": euclidean(videos["fused"], classes)}
        return {"fused": -(videos["fused"] @ classes.T)}

    def _map(self, videos: VideoBatch) -> Tensor:
        self._check_widths(videos)
        found: Tensor = self.matrix(self.dropout(joined(videos, normalise=self.config.normalise)))
        return found


class Devise(_Bilinear):
    """Every wrong class counts."""

    about: ClassVar = About(
        name="devise",
        title="DeViSE",
        paper="NeurIPS 2013; adaptation of arXiv 2203.03598",
        year=2013,
        status="exact",
        summary="one matrix; the hinges of all wrong classes are added",
    )

    def _ranking(self, each: Tensor) -> Tensor:
        return each.sum(1)


class Ale(_Bilinear):
    """The more wrong classes are ahead, the less each of them counts."""

    about: ClassVar = About(
        name="ale",
        title="ALE",
        paper="arXiv 1503.08677; adaptation of arXiv 2203.03598",
        year=2016,
        status="exact",
        summary="one matrix; the hinges are weighted by the rank of the right class",
    )

    def _ranking(self, each: Tensor) -> Tensor:
        rank = (each > 0).sum(1)
        harmonic = torch.arange(1, each.shape[1] + 1, device=each.device, dtype=each.dtype).reciprocal().cumsum(0)
        weight = harmonic[(rank - 1).clamp_min(0)] / rank.clamp_min(1)
        return each.sum(1) * weight  # without a positive hinge, the sum is 0


class Sje(_Bilinear):
    """Only the worst class counts."""

    about: ClassVar = About(
        name="sje",
        title="SJE",
        paper="arXiv 1409.8403; adaptation of arXiv 2203.03598",
        year=2015,
        status="exact",
        summary="one matrix; only the largest hinge counts",
    )

    def _ranking(self, each: Tensor) -> Tensor:
        return each.amax(1)


def joined(videos: VideoBatch, *, normalise: bool) -> Tensor:
    """Join the averaged features [visual; audio] (B, Dv + Da) of each video."""
    audio, visual = averaged(videos)
    both = torch.cat((visual, audio), dim=1)
    return unit(both) if normalise else both
