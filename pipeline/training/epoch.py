"""The steps of one period. It can be interrupted after any step and resumed with the same result.

A period is the time between two validations: an epoch, or an equal part of a long epoch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from daan.method import Method, TrainingBatch
from daan.training_step import training_step
from pipeline.features.feature_set import FeatureSet, Standardiser, to_device
from pipeline.settings.training import TrainingSettings
from pipeline.training.records import step_values
from pipeline.training.validation import Validator

_PAIR_SEED_MASK = 0x5EED << 44

_LEAST_STEPS = 20
_STEPS_PER_VALIDATION = 100


@dataclass(frozen=True, kw_only=True)
class TrainingStage:
    """The inputs of one training stage. Legend: M videos, C classes, W width of a class embedding."""

    name: str  # stage1 or stage2
    folder: Path  # the folder of its checkpoint and history
    periods: int  # number of periods to train
    validations_per_epoch: int  # number of periods in an epoch
    train: Tensor  # (M,) indices of the training videos
    features: FeatureSet
    standardiser: Standardiser
    class_vectors: Tensor  # (C, W)
    settings: TrainingSettings
    device: torch.device
    fingerprint: str  # the fingerprint of the run; a checkpoint of another run is not resumed
    validator: Validator | None = None
    learning_rates: Sequence[float] | None = None  # one per period; None for a rate that follows validation

    @property
    def title(self) -> str:
        """The name of the stage in messages: `stage 1` or `stage 2`."""
        return f"stage {self.name[-1]}"

    @cached_property
    def training_classes(self) -> Tensor:
        """(K,) ascending indices of the classes that the stage trains on."""
        classes: Tensor = torch.unique(self.features.labels[self.train])
        return classes

    @cached_property
    def rows_of_classes(self) -> Tensor:
        """(C,) row of each class in the class table; -1 for a class that is not trained on."""
        rows = torch.full((len(self.class_vectors),), -1)
        rows[self.training_classes] = torch.arange(len(self.training_classes))
        return rows

    @cached_property
    def class_table(self) -> Tensor:
        """(K, W) class vectors of the classes that the stage trains on, on the device."""
        return to_device(self.class_vectors[self.training_classes], self.device)

    @property
    def pairs(self) -> int:
        """The number of pairs in a batch."""
        return pairs_per_batch(self.settings, len(self.train))

    @property
    def steps(self) -> int:
        """The number of steps in an epoch."""
        return steps_per_epoch(self.settings, len(self.train))

    def steps_of(self, period: int) -> int:
        """Compute the number of steps of a period, from 1; the periods of an epoch differ by at most one step."""
        return self._steps_until(period) - self._steps_until(period - 1)

    def epoch_at(self, period: int) -> float:
        """Compute how many epochs are trained at the end of a period; a whole number is an int."""
        epochs = period / self.validations_per_epoch
        return int(epochs) if epochs.is_integer() else epochs

    def epoch_and_step(self, period: int, done: int) -> tuple[int, int]:
        """Compute the number of the epoch and of the step in it, both from 1, after `done` steps of a period."""
        epoch = (period - 1) // self.validations_per_epoch
        return epoch + 1, self._steps_until(period - 1) + done - epoch * self.steps

    def _steps_until(self, period: int) -> int:
        return period * self.steps // self.validations_per_epoch

    def seed_of(self, period: int) -> int:
        """Compute the random seed of a period. It does not depend on what happened before the period."""
        return ((self.settings.seed * 2 + (self.name == "stage2")) * 1_000_003 + period) % 2**63


class PairSampler:
    """Draws pairs of a positive video and a negative video, which is of another class.

    Args:
        labels: (N,) class of every video.
        indices: (M,) indices of the videos to draw from, which belong to at least two classes.
    """

    def __init__(self, labels: Tensor, indices: Tensor) -> None:
        order = torch.argsort(labels[indices], stable=True)
        self._indices = indices[order]
        classes, counts = torch.unique_consecutive(labels[self._indices], return_counts=True)
        self._counts, self._starts = counts, torch.cumsum(counts, 0) - counts
        self._classes = len(classes)

    def draw(self, pairs: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw (B,) indices of positive videos and (B,) indices of negative videos."""
        positive = torch.randint(self._classes, (pairs,), generator=generator)
        shift = torch.randint(1, self._classes, (pairs,), generator=generator)
        return self._video_of(positive, generator), self._video_of((positive + shift) % self._classes, generator)

    def _video_of(self, classes: Tensor, generator: torch.Generator) -> Tensor:
        within = (torch.rand(len(classes), generator=generator, dtype=torch.float64) * self._counts[classes]).long()
        return self._indices[self._starts[classes] + within]


def pairs_per_batch(settings: TrainingSettings, videos: int) -> int:
    """Compute the number of pairs in a batch for so many training videos."""
    return min(settings.batch_pairs, videos)


def steps_per_epoch(settings: TrainingSettings, videos: int) -> int:
    """Compute the number of steps in an epoch for so many training videos."""
    return settings.steps_per_epoch or max(_LEAST_STEPS, -(-videos // pairs_per_batch(settings, videos)))


def validations_per_epoch(settings: TrainingSettings, videos: int) -> int:
    """Compute the number of validations in an epoch for so many training videos; there is a step before each."""
    steps = steps_per_epoch(settings, videos)
    return min(settings.validations_per_epoch or max(1, steps // _STEPS_PER_VALIDATION), steps)


class Period:
    """One period of a training stage.

    Every random choice comes from two generators: one for pairs, and torch's own for dropout and noise. They are
    seeded when the period begins. Their states and the values of the steps so far are part of the period's state.

    Args:
        network: the network, in training mode.
        optimizer: the optimiser of the network's parameters.
        sampler: the sampler of the stage's pairs.
        stage: the training stage.
        number: number of the period, from 1.
        saved: the `state()` of the same period to resume from; None to start the period.
    """

    def __init__(
        self,
        network: Method,
        optimizer: torch.optim.Optimizer,
        sampler: PairSampler,
        stage: TrainingStage,
        number: int,
        saved: Mapping[str, Any] | None = None,
    ) -> None:
        self.number, self.done, self.steps = number, 0, stage.steps_of(number)
        self._network, self._optimizer, self._sampler, self._stage = network, optimizer, sampler, stage
        self._saved = saved
        self._pair_generator = torch.Generator()
        self._values: dict[str, list[Tensor]] = {}
        self._cuda = [stage.device] if stage.device.type == "cuda" else []

    def run(self, after_step: Callable[[], None]) -> dict[str, Tensor]:
        """Run the remaining steps.

        Args:
            after_step: called after each step; it may call `state()`, and it may raise to end the period early.

        Returns:
            The values of all S steps of the period, (S, ...) each, on the stage's device.
        """
        with torch.random.fork_rng(devices=self._cuda):
            self._begin()
            while self.done < self.steps:
                self._step()
                self.done += 1
                after_step()
        return self._stacked()

    def state(self) -> dict[str, Any]:
        """Return the plain tensors and numbers from which the period can be resumed. Call it only inside `run`."""
        return {
            "done": self.done,
            "values": {name: values.cpu() for name, values in self._stacked().items()},
            "choices": self._pair_generator.get_state(),
            "torch": torch.get_rng_state(),
            "cuda": [torch.cuda.get_rng_state(device) for device in self._cuda],
        }

    def _begin(self) -> None:
        """Seed the generators, or restore them and the values of earlier steps from the saved state."""
        seed = self._stage.seed_of(self.number)
        self._pair_generator.manual_seed(seed ^ _PAIR_SEED_MASK)  # else pairs and dropout share random bits
        torch.manual_seed(seed)
        if self._saved is None:
            return
        self.done = self._saved["done"]
        self._values = {
            name: list(values.to(self._stage.device).unbind()) for name, values in self._saved["values"].items()
        }
        self._pair_generator.set_state(self._saved["choices"])
        torch.set_rng_state(self._saved["torch"])
        # A state that was saved on a CPU contains no GPU state. The GPU then starts with the period's seed.
        for device, state in zip(self._cuda, self._saved["cuda"], strict=False):
            torch.cuda.set_rng_state(state, device)

    def _step(self) -> None:
        stage = self._stage
        step = training_step(
            self._network,
            self._optimizer,
            self._batch(),
            clip_norm=stage.settings.clip_norm,
            precision=stage.settings.precision,
            micro_batches=min(stage.settings.accumulate, stage.pairs),
        )
        for name, value in step_values(step).items():
            self._values.setdefault(name, []).append(value)

    def _batch(self) -> TrainingBatch:
        """Draw the positives, and a negative for each of them if the method needs it."""
        stage = self._stage
        positive, negative = self._sampler.draw(stage.pairs, self._pair_generator)
        indices = torch.cat((positive, negative)) if self._network.needs.negatives else positive
        labels = stage.features.labels[indices]
        return TrainingBatch(
            videos=stage.features.batch(indices, stage.standardiser, stage.device),
            text=to_device(stage.class_vectors[labels], stage.device),
            labels=to_device(stage.rows_of_classes[labels[: stage.pairs]], stage.device),
            class_table=stage.class_table,
        )

    def _stacked(self) -> dict[str, Tensor]:
        return {name: torch.stack(values) for name, values in self._values.items()}
