"""What a network is worth on held-out videos, and the calibration that fits it best there."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from daan.network import Daan
from pipeline.features.feature_set import FeatureSet, Standardiser
from pipeline.scoring.calibration import PUBLISHED_GRIDS, HarmonicMeans, best_temperature, calibrated
from pipeline.scoring.metrics import Metrics, gzsl_metrics
from pipeline.scoring.score_videos import SCORES, ScoredVideos, evenly_chosen, score_videos

# A temperature is one number: this many videos fix it to a few percent, and their distances fit into any memory.
VIDEOS_FOR_TEMPERATURE = 2000


@dataclass(frozen=True)
class Validation:
    """One validation: the metrics that choose the epoch, and per score the calibration for later."""

    metrics: Metrics  # of the configured score, percent
    betas: Mapping[str, float]  # score -> calibrated stacking's beta, the exact optimum
    temperatures: Mapping[str, float]  # score -> of the softmax that makes probabilities
    grid_betas: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # published grid -> score -> its choice

    @property
    def validation_metric(self) -> tuple[float, ...]:
        """What the best epoch has most of: HM where validation has seen and unseen classes, else what there is."""
        figures = (self.metrics.HM, self.metrics.ZSL, self.metrics.S)
        return tuple(figure for figure in figures if np.isfinite(figure))

    def to_plain(self) -> dict[str, Any]:
        """Convert to plain numbers and texts, as checkpoints hold them."""
        plain = asdict(self)
        return {"scores": plain.pop("metrics"), **plain}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Validation":
        """Back from `to_plain`."""
        others = {name: value for name, value in plain.items() if name != "scores"}
        return cls(metrics=Metrics(**plain["scores"]), **others)

    @classmethod
    def of_scored(cls, scored: ScoredVideos, labels: ArrayLike, *, score: str, fit_temperature: bool) -> "Validation":
        """Find every score's calibration.

        Args:
            scored: N videos; their sample fits the temperatures.
            labels: (N,) places of the true classes.
            score: the one whose figures are reported.
            fit_temperature: else temperatures are 1.
        """
        means = {name: HarmonicMeans.over_betas(scored.nearest[name], labels) for name in SCORES}
        betas = {name: means[name].best_beta() for name in SCORES}
        temperatures = dict.fromkeys(SCORES, 1.0)
        if fit_temperature:
            sample_labels = np.asarray(labels)[scored.sample]
            for name in SCORES:
                distances = calibrated(scored.sample_distances[name], scored.nearest[name].seen, betas[name])
                temperatures[name] = best_temperature(distances, sample_labels)
        return cls(
            metrics=gzsl_metrics(scored.nearest[score], labels, betas[score]),
            betas=betas,
            temperatures=temperatures,
            grid_betas={
                grid.name: {name: means[name].best_of(grid.betas) for name in SCORES} for grid in PUBLISHED_GRIDS
            },
        )


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
        self._sample = evenly_chosen(len(places), VIDEOS_FOR_TEMPERATURE) if self.chooses else None

    def __call__(self, network: Daan) -> Validation:
        """Metrics and calibration of a network."""
        scored = score_videos(
            network,
            self._features,
            self._places,
            self._vectors,
            self._seen,
            self._standardiser,
            self._device,
            sample=self._sample,
        )
        return Validation.of_scored(scored, self._labels, score=self._score, fit_temperature=self.chooses)
