"""One of training's two stages: what it is made from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pipeline.features.feature_set import FeatureSet, Standardiser
from pipeline.settings.training import TrainingSettings
from pipeline.training.validation import Validator

_LEAST_STEPS = 20


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The inputs of one stage of training. Legend: M videos, C classes, W width of a class embedding."""

    name: str  # stage1 or stage2
    folder: Path  # of its checkpoint and history
    epochs: int
    train: Tensor  # (M,) places of videos
    features: FeatureSet
    standardiser: Standardiser
    class_vectors: Tensor  # (C, W)
    settings: TrainingSettings
    device: torch.device
    fingerprint: str  # of the run; a checkpoint of another is not resumed
    validator: Validator | None = None
    learning_rates: Sequence[float] | None = None  # an epoch's each; None: they follow the validation

    @property
    def title(self) -> str:
        """`stage 1`."""
        return f"stage {self.name[-1]}"

    @property
    def pairs(self) -> int:
        """Of a batch."""
        return min(self.settings.batch_pairs, len(self.train))

    @property
    def steps(self) -> int:
        """Of an epoch."""
        return self.settings.steps_per_epoch or max(_LEAST_STEPS, -(-len(self.train) // self.pairs))

    def seed_of(self, epoch: int) -> int:
        """Of the random choices of an epoch, so that each begins alike whatever came before it."""
        return ((self.settings.seed * 2 + (self.name == "stage2")) * 1_000_003 + epoch) % 2**63
