"""What a network is worth on held-out videos, and the calibration that fits it best there."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from daan.network import Daan
from pipeline.feature_set import FeatureSet, Standardiser
from pipeline.metrics import Scores, best_beta, best_temperature, gzsl_scores
from pipeline.scoring import SCORES, distances_to_classes


@dataclass(frozen=True)
class Validation:
    """One validation: the scores that choose the epoch, and per score the calibration for later."""

    scores: Scores  # of the configured score, percent
    betas: Mapping[str, float]  # score -> calibrated stacking's beta
    temperatures: Mapping[str, float]  # score -> of the softmax that makes probabilities

    @property
    def merit(self) -> tuple[float, ...]:
        """What the best epoch has most of: HM where validation has seen and unseen classes, else what there is."""
        figures = (self.scores.HM, self.scores.ZSL, self.scores.S)
        return tuple(figure for figure in figures if np.isfinite(figure))

    def to_plain(self) -> dict[str, Any]:
        """Numbers and texts only."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Validation":
        """Back from `to_plain`."""
        return cls(**{**plain, "scores": Scores(**plain["scores"])})


class Validator:
    """Validates a network on fixed videos, choosing among the classes that training or validation knows.

    Args:
        places: (N,) videos to validate on.
        seen: (C,) whether a class is trained on.
        allowed: (C,) whether a class takes part; classes of the test are unknown to validation.
        score: which score chooses the epoch.
        least_videos: with fewer validation only shows figures and finds betas: chance would do the choosing.
    """

    def __init__(
        self,
        features: FeatureSet,
        places: Tensor,
        class_vectors: Tensor,
        standardiser: Standardiser,
        *,
        seen: Tensor,
        allowed: Tensor,
        score: str,
        least_videos: int,
        device: torch.device,
    ) -> None:
        self.chooses = len(places) >= least_videos
        self._features, self._places, self._standardiser, self._device, self._score = (
            features,
            places,
            standardiser,
            device,
            score,
        )
        kept = torch.nonzero(allowed).flatten()
        self._vectors, self._seen = class_vectors[kept], seen[kept].numpy()
        renumbered = torch.full((len(allowed),), -1)
        renumbered[kept] = torch.arange(len(kept))
        self._labels = renumbered[features.labels[places]].numpy()

    def __call__(self, network: Daan) -> Validation:
        """Scores and calibration of a network."""
        distances = distances_to_classes(
            network, self._features, self._places, self._vectors, self._standardiser, self._device
        )
        betas = {name: best_beta(distances[name], self._labels, self._seen) for name in SCORES}
        temperatures = dict.fromkeys(SCORES, 1.0)
        if self.chooses:
            for name in SCORES:
                calibrated = distances[name] + np.where(self._seen, betas[name], 0.0)
                temperatures[name] = best_temperature(calibrated, self._labels)
        scores = gzsl_scores(distances[self._score], self._labels, self._seen, betas[self._score])
        return Validation(scores=scores, betas=betas, temperatures=temperatures)
