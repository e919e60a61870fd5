"""Train one run in two stages (pipeline/avgzsl_benchmark/README.md, Protocol).

Stage 1 trains on the training split and validates every epoch; it chooses the best epoch and the calibration. Stage 2
trains a new network on training and validation videos, with the learning rates of the epochs that led to the best one.
Test videos are not used.
"""

import dataclasses
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from daan.method import Method
from extractors.selavi.weights import UNTRAINED_NOTE
from pipeline.base.progress import Reporter, Stop
from pipeline.base.wording import counted, shown_epoch
from pipeline.features.feature_set import FeatureSet, Standardiser
from pipeline.settings.training import TrainingSettings
from pipeline.training.anchoring import Anchor, choose_anchor
from pipeline.training.epoch import TrainingStage, steps_per_epoch, validations_per_epoch
from pipeline.training.fitting import OnEpoch, StageState, fit
from pipeline.training.inputs import TrainingInputs
from pipeline.training.methods import build_method, method_class
from pipeline.training.run_files import write_timing
from pipeline.training.trained_model import Model, model_classes
from pipeline.training.validation import Validator


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run, which trains both stages."""

    inputs: TrainingInputs
    folder: Path
    settings: TrainingSettings
    device: torch.device
    reporter: Reporter
    on_epoch: OnEpoch
    stop: Stop

    def train(self) -> Model:
        """Train stage 1 to choose the epoch and the calibration, then stage 2 on all seen classes."""
        network = self._network()
        parameters = sum(parameter.numel() for parameter in network.parameters())
        size = f"{parameters / 1e6:.1f} M parameters" if parameters else "nothing to train"
        self.reporter.say(f"{network.about.title}, {size}")
        if self.inputs.features.attributes.get("weights") == "untrained":
            self.reporter.warn(UNTRAINED_NOTE)
        if not network.needs.training:
            return self._only_calibrated(network)
        if len(self.inputs.indices("val_seen", "val_unseen")) == 0:
            self.reporter.warn("there are no validation videos: all epochs are trained and nothing is calibrated")
        per_epoch = validations_per_epoch(self.settings, len(self.inputs.indices("train")))
        first = self._stage(
            "stage1",
            ("train",),
            score=network.score,
            periods=self.settings.epochs * per_epoch,
            per_epoch=per_epoch,
        )
        state = self._fit(network, first)
        standardiser = first.standardiser
        if state.seconds:
            write_timing(self.folder, statistics.median(state.seconds) * per_epoch, self.device)
        if state.periods < first.periods:
            self.reporter.say(
                f"stage 1 ends after epoch {shown_epoch(state.history[-1].epoch)}: the learning rate has fallen below "
                f"training.least_learning_rate ({self.settings.least_learning_rate:g})"
            )
        chooses, anchor = first.validator is not None and first.validator.chooses, None
        if state.best is not None:
            chosen = (
                f"best epoch {shown_epoch(state.best_epoch)}"
                if chooses
                else f"all {counted(int(state.best_epoch), 'epoch')}"
            )
            self.reporter.say(f"{chosen}; stage 2 trains on all seen classes")
            anchor = self._anchor(network, first, state)
            rates = [record.learning_rate for record in state.path_to_best]
            second = self._stage(
                "stage2",
                ("train", "val_seen", "val_unseen"),
                score=network.score,
                periods=len(rates),
                per_epoch=per_epoch,
                learning_rates=rates,
            )
            network = self._network()
            self._fit(network, second)
            standardiser = second.standardiser
            if anchor is not None:
                network = anchor.applied(network, standardiser)
        return self._model(network, standardiser, state, chooses=chooses, anchor=anchor)

    def _anchor(self, network: Method, first: TrainingStage, state: StageState) -> Anchor | None:
        """Choose how strongly frozen distances count, if the settings want them; replace the best validation by theirs.

        Args:
            network: the network, which gets the best weights of stage 1.
            first: stage 1.
            state: its result.
        """
        if self.inputs.anchor is None:
            return None
        if first.validator is None or not first.validator.chooses:
            self.reporter.warn("score.anchor: there are too few validation videos to choose a weight: nothing is mixed")
            return None
        network.load_state_dict(state.best_weights)
        anchor, state.best = choose_anchor(network, self.inputs.anchor, first.standardiser, first.validator)
        effect = "the frozen encoders do not help" if anchor.weight == 0 else f"weight {anchor.weight:g}"
        self.reporter.say(f"distances of the frozen encoders: {effect}, by the validation videos")
        return anchor

    def _only_calibrated(self, network: Method) -> Model:
        """Calibrate a method that has nothing to learn on the validation videos."""
        standardiser = self._identity()
        validator = self._validator(standardiser, network.score)
        if validator is None:
            self.reporter.warn("there are no validation videos: nothing is calibrated")
        state = StageState(best=validator(network) if validator else None)
        return self._model(network, standardiser, state, chooses=validator is not None and validator.chooses)

    def _fit(self, network: Method, stage: TrainingStage) -> StageState:
        return fit(network, stage, on_epoch=self.on_epoch, stop=self.stop)

    @cached_property
    def _features(self) -> FeatureSet:
        """The features that the method needs: those of every second, or their means."""
        features = self.inputs.features
        return features if method_class(self.settings.method).needs.seconds else features.averaged()

    def _network(self) -> Method:
        """Create a network. Both stages begin with the same weights."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed)
            return build_method(self.settings.method, self.inputs.config).to(self.device)

    def _stage(
        self,
        name: str,
        splits: tuple[str, ...],
        *,
        score: str,
        periods: int,
        per_epoch: int,
        learning_rates: Sequence[float] | None = None,
    ) -> TrainingStage:
        """Set up a stage on the videos of the named splits; it validates unless its learning rates are given.

        Args:
            name: stage1 or stage2.
            splits: the splits to train on.
            score: the score that predicts.
            periods: number of periods to train.
            per_epoch: number of periods in an epoch.
            learning_rates: one learning rate per period; None for a rate that follows validation.
        """
        indices = self.inputs.indices(*splits)
        epochs, steps = periods / per_epoch, steps_per_epoch(self.settings, len(indices))
        length = counted(int(epochs), "epoch") if epochs == int(epochs) else f"{shown_epoch(epochs)} epochs"
        amounts = f"{counted(len(indices), 'video')}, {length} of {counted(steps, 'step')}"
        self.reporter.say(f"{name[:-1]} {name[-1]} of 2 on {self.device}: {amounts}")
        standardiser = self._standardiser(indices)
        return TrainingStage(
            name=name,
            folder=self.folder / name,
            periods=periods,
            validations_per_epoch=per_epoch,
            train=indices,
            features=self._features,
            standardiser=standardiser,
            class_vectors=torch.from_numpy(self.inputs.embeddings.vectors),
            settings=self.settings,
            device=self.device,
            fingerprint=self.inputs.fingerprint,
            validator=self._validator(standardiser, score) if learning_rates is None else None,
            learning_rates=learning_rates,
        )

    def _standardiser(self, indices: Tensor) -> Standardiser:
        return self._features.statistics(indices).to(self.device) if self.settings.standardise else self._identity()

    def _identity(self) -> Standardiser:
        """Make a standardiser that changes nothing."""
        features = self._features
        return Standardiser.identity(features.audio.shape[1], features.visual.shape[1]).to(self.device)

    def _validator(self, standardiser: Standardiser, score: str) -> Validator | None:
        """Make the validator on the validation videos; None if there are none."""
        held_out = self.inputs.indices("val_seen", "val_unseen")
        if len(held_out) == 0:
            return None
        validator = Validator(
            self._features,
            held_out,
            torch.from_numpy(self.inputs.embeddings.vectors),
            standardiser,
            seen=self.inputs.classes_of("train"),
            allowed=self.inputs.classes_of("train", "val_seen", "val_unseen"),
            score=score,
            least_videos=self.settings.least_validation_videos,
            device=self.device,
        )
        if validator.too_few:
            self.reporter.warn(f"{validator.too_few}: they choose no epoch, no beta and no temperature")
        elif validator.missing_kind:
            self.reporter.warn(f"no beta is chosen, because {validator.missing_kind}: classes in training are favoured")
        return validator

    def _model(
        self,
        network: Method,
        standardiser: Standardiser,
        state: StageState,
        *,
        chooses: bool,
        anchor: Anchor | None = None,
    ) -> Model:
        inputs, best = self.inputs, state.best
        seen = inputs.classes_of("train", "val_seen", "val_unseen")
        return Model(
            network=network,
            standardiser=standardiser,
            classes=model_classes(inputs.dataset.classes, inputs.dataset.phrases, seen.tolist()),
            class_vectors=inputs.embeddings.vectors,
            text_encoder=inputs.embeddings.encoder,
            text_spec=inputs.embeddings.spec,
            extractor=inputs.features.attributes,
            betas=best.betas if best else dict.fromkeys(network.scores, 0.0),
            temperatures=best.temperatures if best else dict.fromkeys(network.scores, 1.0),
            grid_betas=best.grid_betas if best else {},
            held_out=best.held_out if best else None,
            score=network.score,
            training={
                "fingerprint": inputs.fingerprint,
                "best_epoch": state.best_epoch,
                "epoch_chosen": chooses,
                "validation": dataclasses.asdict(best.metrics) if best else {},
                "unseen": inputs.names_of("test_unseen"),
                **({} if anchor is None else {"anchor_weight": anchor.weight}),
            },
        )
