"""Validate a network on held-out videos: compute its metrics and its best calibration."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from daan.method import Method
from pipeline.base.wording import counted
from pipeline.features.feature_set import FeatureSet, Standardiser
from pipeline.scoring.calibration import PUBLISHED_GRIDS, HarmonicMeans, calibrated, lasting_beta, lasting_temperature
from pipeline.scoring.held_out import MOST_VIDEOS, HeldOutDistances, missing_kind
from pipeline.scoring.metrics import Metrics, gzsl_metrics
from pipeline.scoring.nearest_classes import Flags
from pipeline.scoring.score_videos import ScoredVideos, evenly_chosen, score_videos

_KIND_SHARE = 4  # each kind of classes needs this part of the videos: one clip would decide S, and so HM


@dataclass(frozen=True)
class Validation:
    """The result of one validation: the metrics that choose the epoch, and the calibration of each score."""

    metrics: Metrics  # of the configured score at its exact best beta, or at 0 with too few videos; percent
    betas: Mapping[str, float]  # score -> beta for the network of stage 2; 0 with too few videos
    temperatures: Mapping[str, float]  # score -> temperature of the softmax likewise; 1 with too few videos
    grid_betas: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # published grid -> score -> its beta
    # The distances by the configured score, of at most 2000 videos; None with too few videos.
    held_out: HeldOutDistances | None = field(default=None, compare=False)

    @property
    def validation_metric(self) -> tuple[float, ...]:
        """The metrics that choose the best epoch: those of HM, ZSL and S that are defined, compared in this order."""
        candidates = (self.metrics.HM, self.metrics.ZSL, self.metrics.S)
        return tuple(metric for metric in candidates if np.isfinite(metric))

    def to_plain(self) -> dict[str, Any]:
        """Convert to plain numbers, texts and tensors, as they are stored in checkpoints."""
        plain = asdict(self)
        arrays = plain.pop("held_out") or {}
        held_out = {name: torch.from_numpy(values) for name, values in arrays.items()}
        return {"scores": plain.pop("metrics"), "held_out": held_out or None, **plain}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Validation":
        """Read what `to_plain` made."""
        others = {name: value for name, value in plain.items() if name not in {"scores", "held_out"}}
        arrays = {name: values.numpy() for name, values in (plain.get("held_out") or {}).items()}
        held_out = HeldOutDistances(**arrays) if arrays else None
        return cls(metrics=Metrics(**plain["scores"]), held_out=held_out, **others)

    @classmethod
    def of_scored(cls, scored: ScoredVideos, labels: ArrayLike, *, score: str, calibrate: bool) -> "Validation":
        """Compute the metrics of one score and the calibration of every score.

        Args:
            scored: N scored videos, with a sample that the temperatures are fitted on.
            labels: (N,) indices of the true classes.
            score: the score whose metrics are reported and whose distances are kept.
            calibrate: whether there are enough videos to choose betas and temperatures.
        """
        means = {name: HarmonicMeans.over_betas(scored.nearest[name], labels) for name in scored.nearest}
        betas, temperatures, held_out = dict.fromkeys(means, 0.0), dict.fromkeys(means, 1.0), None
        shown_beta, grid_betas = 0.0, {}
        if calibrate:
            seen, sample_labels = scored.nearest[score].seen, np.asarray(labels, np.int64)[scored.sample]
            shown_beta = means[score].best_beta()
            if not missing_kind(seen, sample_labels):
                grid_betas = {
                    grid.name: {name: means[name].best_of(grid.betas) for name in means} for grid in PUBLISHED_GRIDS
                }
            held_out = HeldOutDistances(scored.sample_distances[score], sample_labels, seen)
            for name, by_beta in means.items():
                betas[name] = lasting_beta([by_beta])
                distances = calibrated(scored.sample_distances[name], seen, betas[name])
                temperatures[name] = lasting_temperature(distances, sample_labels, videos=len(sample_labels))
        return cls(
            metrics=gzsl_metrics(scored.nearest[score], labels, shown_beta),
            betas=betas,
            temperatures=temperatures,
            grid_betas=grid_betas,
            held_out=held_out,
        )


class Validator:
    """Validates a network on fixed videos, which it assigns to the classes of training and validation.

    Args:
        features: features of all videos.
        indices: (N,) indices of the videos to validate on.
        class_vectors: (C, W) class vectors.
        standardiser: standardiser of the features, on `device`.
        seen: (C,) whether a class is trained on.
        allowed: (C,) whether a video can be assigned to a class; False for classes that only the test set contains.
        score: the score that chooses the epoch.
        least_videos: number of videos needed to choose an epoch, betas and temperatures. A quarter of them must be of
            trained classes, and a quarter of unseen ones, unless there is none. With fewer, the choice would be
            chance, so validation only computes metrics.
        device: device of the network.

    Attributes:
        too_few: why there are too few videos to choose an epoch; empty if there are enough.
        missing_kind: which kind of classes has no video, so that no beta can be chosen; empty if there are both kinds.
    """

    def __init__(
        self,
        features: FeatureSet,
        indices: Tensor,
        class_vectors: Tensor,
        standardiser: Standardiser,
        *,
        seen: Tensor,
        allowed: Tensor,
        score: str,
        least_videos: int,
        device: torch.device,
    ) -> None:
        self._features, self._indices, self._standardiser = features, indices, standardiser
        self._device, self._score = device, score
        kept = torch.nonzero(allowed).flatten()
        self._vectors, self._seen = class_vectors[kept], seen[kept].numpy()
        renumbered = torch.full((len(allowed),), -1)
        renumbered[kept] = torch.arange(len(kept))
        self._labels = renumbered[features.labels[indices]].numpy()
        self.missing_kind = missing_kind(self._seen, self._labels)
        self.too_few = _too_few(self._seen[self._labels], least_videos)
        self._sample = evenly_chosen(len(indices), MOST_VIDEOS) if self.chooses else None

    @property
    def chooses(self) -> bool:
        """Whether there are enough videos to choose an epoch."""
        return not self.too_few

    def __call__(self, network: Method) -> Validation:
        """Compute metrics and calibration of a network."""
        return Validation.of_scored(self._scored(network), self._labels, score=self._score, calibrate=self.chooses)

    def distances(self, network: Method) -> Mapping[str, NDArray[np.float32]]:
        """Compute the distances (M, C) of at most 2000 validation videos by each score; M is 0 with too few videos."""
        return self._scored(network).sample_distances

    def _scored(self, network: Method) -> ScoredVideos:
        return score_videos(
            network,
            self._features,
            self._indices,
            self._vectors,
            self._seen,
            self._standardiser,
            self._device,
            sample=self._sample,
        )


def _too_few(of_trained: Flags, least_videos: int) -> str:
    """Say why validation videos (N,), of trained classes or of unseen ones, are too few; empty if they are enough."""
    needed = f"training.least_validation_videos ({least_videos})"
    if len(of_trained) < least_videos:
        return f"{counted(len(of_trained), 'validation video')}, fewer than {needed}"
    for kind, count in (("trained", int(of_trained.sum())), ("unseen", int((~of_trained).sum()))):
        if 0 < count < least_videos / _KIND_SHARE:
            return f"only {counted(count, 'validation video')} of {kind} classes, fewer than a quarter of {needed}"
    return ""
