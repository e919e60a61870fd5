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
    value: float  # what the best epoch has most of: HM, or recall where validation has only seen classes
    betas: Mapping[str, float]  # score -> calibrated stacking's beta
    temperatures: Mapping[str, float]  # score -> of the softmax that makes probabilities

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
        device: torch.device,
    ) -> None:
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
        both = bool(self._seen[self._labels].any() and (~self._seen[self._labels]).any())
        betas = {name: best_beta(distances[name], self._labels, self._seen) if both else 0.0 for name in SCORES}
        temperatures = {
            name: best_temperature(distances[name] + np.where(self._seen, betas[name], 0.0), self._labels)
            for name in SCORES
        }
        scores = gzsl_scores(distances[self._score], self._labels, self._seen, betas[self._score])
        value = scores.HM if both else scores.S if np.isfinite(scores.S) else scores.U
        return Validation(scores=scores, value=float(value), betas=betas, temperatures=temperatures)
