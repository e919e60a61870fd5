"""APN, attribute prototype network, as AVCA's authors adapted it (NeurIPS 2020, arXiv 2008.08290).

The attention maps and group losses of the original do not exist for feature vectors. Legend: B videos, C classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from daan.baselines.bilinear import joined
from daan.batch import VideoBatch
from daan.method import About, Method, MethodConfig, Needs, TrainingBatch
from daan.scoring import euclidean

_LARGEST_START = 2e-4


@dataclass(frozen=True, kw_only=True)
class ApnConfig(MethodConfig):
    """The options of APN."""

    normalise: bool = False  # scale the joined features of a video to length 1, as for the features cls
    faithful: bool = False  # True repeats the published code, whose cross entropy takes a softmax of probabilities


class Apn(Method):
    """Two matrices into the space of class embeddings; only the first one is used for scores."""

    about = About(
        name="apn",
        title="APN",
        paper="arXiv 2008.08290; adaptation of arXiv 2203.03598",
        year=2020,
        status="exact",
        summary="two matrices, trained by cross entropy and by regression on the class embeddings",
    )
    needs = Needs()
    scores = ("fused",)

    def __init__(self, config: ApnConfig) -> None:
        super().__init__()
        self.config = config
        width = config.visual_width + config.audio_width
        self.final, self.prototypes = (
            nn.Parameter(_LARGEST_START * torch.rand(config.text_width, width)) for _ in range(2)
        )

    def losses(self, batch: TrainingBatch) -> dict[str, Tensor]:
        """Compute the cross entropy and the regression of both matrices."""
        x = self._joined(batch.positive)
        mapped = [x @ matrix.T for matrix in (self.final, self.prototypes)]
        logits = [each @ batch.class_table.T for each in mapped]
        if self.config.faithful:
            logits = [each.softmax(-1) for each in logits]
        return {
            "cross_entropy": F.cross_entropy(logits[0], batch.labels) + F.cross_entropy(logits[1], batch.labels),
            "regression": F.mse_loss(mapped[0], batch.positive_text) + F.mse_loss(mapped[1], batch.positive_text),
        }

    def embed_videos(self, videos: VideoBatch) -> dict[str, Tensor]:
        """Compute A x (N, W)."""
        return {"fused": self._joined(videos) @ self.final.T}

    def embed_classes(self, text: Tensor) -> Tensor:
        """Return the class embeddings (C, W) themselves."""
        self._check_text(text)
        return text

    def distances(self, videos: Mapping[str, Tensor], classes: Tensor) -> dict[str, Tensor]:
        """Compute |A x - w| (N, C)."""
        return {"fused": euclidean(videos["fused"], classes)}

    def _joined(self, videos: VideoBatch) -> Tensor:
        self._check_widths(videos)
        return joined(videos, normalise=self.config.normalise)
