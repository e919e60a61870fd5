"""The steps of one epoch, which can be left after any of them and taken up again with the same result."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from daan.network import Daan
from daan.training_step import Step, training_step
from pipeline.features.feature_set import FeatureSet, Standardiser, to_device
from pipeline.settings.training import TrainingSettings
from pipeline.training.records import step_values
from pipeline.training.validation import Validator

_OF_CHOICES = 0x5EED << 44

_LEAST_STEPS = 20


@dataclass(frozen=True, kw_only=True)
class TrainingStage:
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


class PairSampler:
    """Draws pairs of a video and a negative, a video of another class.

    Args:
        labels: (N,) class of every video.
        places: (M,) the videos to draw from, of at least two classes.
    """

    def __init__(self, labels: Tensor, places: Tensor) -> None:
        order = torch.argsort(labels[places], stable=True)
        self._places = places[order]
        classes, counts = torch.unique_consecutive(labels[self._places], return_counts=True)
        self._counts, self._starts = counts, torch.cumsum(counts, 0) - counts
        self._classes = len(classes)

    def draw(self, pairs: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """(B,) positives and (B,) negatives, as places of videos."""
        positive = torch.randint(self._classes, (pairs,), generator=generator)
        shift = torch.randint(1, self._classes, (pairs,), generator=generator)
        return self._video_of(positive, generator), self._video_of((positive + shift) % self._classes, generator)

    def _video_of(self, classes: Tensor, generator: torch.Generator) -> Tensor:
        within = (torch.rand(len(classes), generator=generator, dtype=torch.float64) * self._counts[classes]).long()
        return self._places[self._starts[classes] + within]


class Epoch:
    """One epoch of a training stage.

    Every random choice comes from two generators, one for pairs and torch's own for dropout and noise. They are
    seeded when the epoch begins and are part of its state, as is what was found in the steps so far.

    Args:
        network: in training mode.
        optimizer: of its parameters.
        sampler: of the stage's pairs.
        stage: what to train on.
        number: of the epoch, from 1.
        saved: `state()` of the same epoch, to go on from; None: it begins.
    """

    def __init__(
        self,
        network: Daan,
        optimizer: torch.optim.Optimizer,
        sampler: PairSampler,
        stage: TrainingStage,
        number: int,
        saved: Mapping[str, Any] | None = None,
    ) -> None:
        self.number, self.done = number, 0
        self._network, self._optimizer, self._sampler, self._stage = network, optimizer, sampler, stage
        self._saved = saved
        self._choices = torch.Generator()
        self._values: dict[str, list[Tensor]] = {}
        self._cuda = [stage.device] if stage.device.type == "cuda" else []

    def run(self, after_step: Callable[[], None]) -> dict[str, Tensor]:
        """Do the steps that are left.

        Args:
            after_step: called after each; it may ask for `state()`, and ends the epoch early by raising.

        Returns:
            What all the epoch's steps found, (S, ...) each, on the stage's device.
        """
        with torch.random.fork_rng(devices=self._cuda):
            self._begin()
            while self.done < self._stage.steps:
                self._step()
                self.done += 1
                after_step()
        return self._stacked()

    def state(self) -> dict[str, Any]:
        """Plain tensors and numbers from which the epoch goes on; to be asked for within `run` only."""
        return {
            "done": self.done,
            "values": {name: values.cpu() for name, values in self._stacked().items()},
            "choices": self._choices.get_state(),
            "torch": torch.get_rng_state(),
            "cuda": [torch.cuda.get_rng_state(device) for device in self._cuda],
        }

    def _begin(self) -> None:
        """Set the generators, and what was found before."""
        seed = self._stage.seed_of(self.number)
        self._choices.manual_seed(seed ^ _OF_CHOICES)  # or pairs and dropout would be drawn from one stream of bits
        torch.manual_seed(seed)
        if self._saved is None:
            return
        self.done = self._saved["done"]
        self._values = {
            name: list(values.to(self._stage.device).unbind()) for name, values in self._saved["values"].items()
        }
        self._choices.set_state(self._saved["choices"])
        torch.set_rng_state(self._saved["torch"])
        # A run that came from a CPU brings no state of the GPU, which then begins with the epoch's seed.
        for device, state in zip(self._cuda, self._saved["cuda"], strict=False):
            torch.cuda.set_rng_state(state, device)

    def _step(self) -> None:
        stage = self._stage
        indices = torch.cat(self._sampler.draw(stage.pairs, self._choices))  # positives, then negatives
        text = to_device(stage.class_vectors[stage.features.labels[indices]], stage.device)  # (2B, W)
        step = training_step(
            self._network,
            self._optimizer,
            stage.features.batch(indices, stage.standardiser, stage.device),
            text,
            clip_norm=stage.settings.clip_norm,
            precision=stage.settings.precision,
            pieces=min(stage.settings.accumulate, stage.pairs),
        )
        for name, value in _values_of(step).items():
            self._values.setdefault(name, []).append(value)

    def _stacked(self) -> dict[str, Tensor]:
        return {name: torch.stack(values) for name, values in self._values.items()}


def _values_of(step: Step) -> dict[str, Tensor]:
    """What is kept of a step until its epoch ends, on the device: nothing here waits for it."""
    losses = step.losses
    total = torch.stack((losses.total, losses.triplet, losses.composite, losses.regularisation))
    return {"losses": total, **step_values(step)}
