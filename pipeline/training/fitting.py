"""Run one training stage: epochs, validation, checkpoints and resuming from them."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from daan.method import Method
from pipeline.base.errors import PipelineError, StorageError, TrainingStoppedError
from pipeline.base.progress import Stop
from pipeline.settings.training import TrainingSettings
from pipeline.training.checkpoint import load_checkpoint, save_checkpoint
from pipeline.training.epoch import PairSampler, Period, TrainingStage
from pipeline.training.records import (
    BalanceRecord,
    EpochRecord,
    audio_share,
    balance_records,
    write_balance,
    write_history,
)
from pipeline.training.validation import Validation

_CHECKPOINT_VERSION = 7

# Called after each period with the stage's name, the period's record and the seconds that the period took.
OnEpoch = Callable[[str, EpochRecord, float], None]


@dataclass
class StageState:
    """The progress of a training stage."""

    history: list[EpochRecord] = field(default_factory=list)
    balance: list[BalanceRecord] = field(default_factory=list)  # a row per period and part
    best: Validation | None = None
    best_period: int = 0
    # The network's weights at its best; empty if validation chooses no epoch.
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)
    at_epoch: float = 0  # the epoch that the network's weights come from
    seconds: list[float] = field(default_factory=list)  # time of each period that ran without an interruption

    @property
    def periods(self) -> int:
        """The number of finished periods."""
        return len(self.history)

    @property
    def best_epoch(self) -> float:
        """The epoch at the end of the best period; of the last one without validation; 0 if nothing was trained."""
        if not self.history:
            return 0
        return self.history[(self.best_period or self.periods) - 1].epoch

    @property
    def path_to_best(self) -> list[EpochRecord]:
        """The periods whose steps led to the best weights, in order. The periods before a return are not among them."""
        by_epoch = {record.epoch: record for record in self.history}
        path = [by_epoch[self.best_epoch]]
        while path[-1].from_epoch:
            path.append(by_epoch[path[-1].from_epoch])
        return path[::-1]


def fit(network: Method, stage: TrainingStage, *, on_epoch: OnEpoch, stop: Stop) -> StageState:
    """Train `network` for the stage's periods, or until the learning rate has fallen below the least one.

    A stage whose checkpoint exists is resumed.

    On a CPU the result is the same, bit for bit, no matter how often and where the training was interrupted.

    Args:
        network: the network, on the stage's device; changed in place.
        stage: the training stage.
        on_epoch: called after every period.
        stop: called after every step; returns True to stop.

    Raises:
        TrainingStoppedError: `stop` returned True; a checkpoint is written.
        StorageError: a checkpoint that is damaged or belongs to another run, or a full disk.
    """
    return _Fitting(network, stage, stop).run(on_epoch)


class _Fitting:
    """The state of a training stage, which is saved in its checkpoint."""

    def __init__(self, network: Method, stage: TrainingStage, stop: Stop) -> None:
        settings = stage.settings
        self._network, self._stage, self._stop = network, stage, stop
        self._optimizer = _optimizer(network, settings)
        steps_between_validations = stage.steps / stage.validations_per_epoch
        self._plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
            self._optimizer,
            mode="max",
            factor=settings.learning_rate_factor,
            # torch waits for so many validations, and lowers the rate after one more
            patience=max(0, round(settings.patience_steps / steps_between_validations) - 1),
        )
        self._state = StageState()
        self._saved_at_seconds = time.monotonic()

    def run(self, on_epoch: OnEpoch) -> StageState:
        """Run the remaining periods."""
        unfinished = self._resume()
        sampler = PairSampler(self._stage.features.labels, self._stage.train)
        self._network.train()
        while self._state.periods < self._stage.periods and not self._has_settled:
            started_seconds = time.monotonic()
            number = self._state.periods + 1
            period = Period(self._network, self._optimizer, sampler, self._stage, number, unfinished)
            record = self._one_period(period, None if unfinished else started_seconds)
            unfinished = None
            on_epoch(self._stage.name, record, time.monotonic() - started_seconds)
        return self._state

    def _one_period(self, period: Period, started_seconds: float | None) -> EpochRecord:
        """Train one period, validate, record it and save a checkpoint.

        Args:
            period: the period.
            started_seconds: when it began; None if an interrupted process began it.
        """
        stage = self._stage
        if stage.learning_rates is not None:
            for group in self._optimizer.param_groups:
                group["lr"] = stage.learning_rates[period.number - 1]
        learning_rate = self._learning_rate
        epoch = stage.epoch_at(period.number)
        values = period.run(lambda: self._after_step(period))
        if not torch.isfinite(values["loss"]).all():
            raise PipelineError(
                f"training diverged in epoch {math.ceil(epoch)} of {stage.title}: the loss is not finite. "
                f"Lower training.learning_rate (now {learning_rate:g}), or set training.clip_norm"
            )
        validation = stage.validator(self._network) if stage.validator else None
        balance = balance_records(epoch, values, self._network.parts)
        record = EpochRecord.of_epoch(
            epoch,
            values,
            validation,
            audio_share=audio_share(balance),
            learning_rate=learning_rate,
            from_epoch=self._state.at_epoch,
        )
        self._state.history.append(record)
        self._state.balance += balance
        self._state.at_epoch = epoch
        if started_seconds is not None:
            self._state.seconds.append(time.monotonic() - started_seconds)
        self._keep_best(period.number, validation)
        if validation is not None and stage.validator is not None and stage.validator.chooses:
            self._follow(validation)
        # A checkpoint contains the optimiser's state too. One per validation would take a tenth of the training.
        ends_epoch = period.number % stage.validations_per_epoch == 0
        if ends_epoch or period.number == stage.periods or self._has_settled or self._is_due():
            self._save(None)
        self._write_tables()
        return record

    def _after_step(self, period: Period) -> None:
        """Stop if requested; save a checkpoint at intervals, because a period may take long."""
        if self._stop():
            self._save(period.state())
            epoch, done = self._stage.epoch_and_step(period.number, period.done)
            raise TrainingStoppedError(
                f"stopped after step {done} of {self._stage.steps} in epoch {epoch} of "
                f"{self._stage.title}; the same command goes on from there"
            )
        if self._is_due():
            self._save(period.state())

    def _is_due(self) -> bool:
        """Return whether the last checkpoint is old."""
        return time.monotonic() - self._saved_at_seconds >= 60 * self._stage.settings.checkpoint_minutes

    def _keep_best(self, number: int, validation: Validation | None) -> None:
        """Record the period if it is the best so far.

        Of equally good periods the later one wins, because it has learned more. If there are too few validation videos
        to choose by, the last period wins.
        """
        validator, state = self._stage.validator, self._state
        if validation is None or validator is None:
            return
        if state.best is None or not validator.chooses or validation.validation_metric >= state.best.validation_metric:
            state.best, state.best_period = validation, number
            if validator.chooses:
                state.best_weights = {name: value.clone() for name, value in self._network.state_dict().items()}

    def _follow(self, validation: Validation) -> None:
        """Lower the learning rate if the HM has not risen for long, and then go back to the best weights.

        After its best moment the network learns the training classes by heart, and HM falls. Small steps from there
        would not undo this.
        """
        before = self._learning_rate
        self._plateau.step(validation.validation_metric[0])
        if self._learning_rate < before:
            self._network.load_state_dict(self._state.best_weights)
            self._state.at_epoch = self._state.best_epoch

    @property
    def _has_settled(self) -> bool:
        """Whether the learning rate has fallen so low that further steps would change hardly anything."""
        settings = self._stage.settings
        least = min(settings.least_learning_rate, settings.learning_rate) * (1 - 1e-6)  # the rate is a rounded product
        return self._stage.learning_rates is None and self._learning_rate < least

    @property
    def _learning_rate(self) -> float:
        return float(self._optimizer.param_groups[0]["lr"])

    @property
    def _checkpoint_file(self) -> Path:
        return self._stage.folder / "checkpoint.pt"

    def _write_tables(self) -> None:
        write_history(self._stage.folder / "history.csv", self._state.history)
        write_balance(self._stage.folder / "balance.csv", self._state.balance)

    def _save(self, unfinished: dict[str, Any] | None) -> None:
        """Write the checkpoint.

        Args:
            unfinished: state of the period that is not finished; None between two periods.
        """
        state = self._state
        save_checkpoint(
            self._checkpoint_file,
            {
                "version": _CHECKPOINT_VERSION,
                "fingerprint": self._stage.fingerprint,
                "network": self._network.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "plateau": self._plateau.state_dict(),
                "history": [record.to_row() for record in state.history],
                "balance": [record.to_row() for record in state.balance],
                "best": state.best.to_plain() if state.best else None,
                "best_period": state.best_period,
                "best_weights": state.best_weights,
                "at_epoch": state.at_epoch,
                "seconds": state.seconds,
                "unfinished": unfinished,
            },
        )
        self._saved_at_seconds = time.monotonic()

    def _resume(self) -> dict[str, Any] | None:
        """Restore the checkpoint if it exists; return the state of its unfinished period."""
        path = self._checkpoint_file
        if not path.exists():
            return None
        saved = load_checkpoint(path)
        if (saved.get("version"), saved.get("fingerprint")) != (_CHECKPOINT_VERSION, self._stage.fingerprint):
            raise StorageError(
                f"{path} belongs to another method, configuration or version of avzsl: delete {path.parent.parent} and "
                "run the command again"
            )
        self._network.load_state_dict(saved["network"])
        self._optimizer.load_state_dict(saved["optimizer"])
        self._plateau.load_state_dict(saved["plateau"])
        device = self._stage.device
        self._state = StageState(
            history=[EpochRecord.from_row(record) for record in saved["history"]],
            balance=[BalanceRecord.from_row(row) for row in saved["balance"]],
            best=Validation.from_plain(saved["best"]) if saved["best"] else None,
            best_period=saved["best_period"],
            best_weights={name: value.to(device) for name, value in saved["best_weights"].items()},
            at_epoch=saved["at_epoch"],
            seconds=saved["seconds"],
        )
        if self._state.history:
            self._write_tables()  # the process may have been killed between the checkpoint and the table
        unfinished: dict[str, Any] | None = saved["unfinished"]
        return unfinished


def _optimizer(network: Method, settings: TrainingSettings) -> torch.optim.Optimizer:
    """Create the optimiser that the settings name."""
    options = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay, "fused": True}
    parameters = [each for each in network.parameters() if each.requires_grad]
    if settings.optimizer == "sgd":
        return torch.optim.SGD(parameters, momentum=settings.momentum, **options)  # type: ignore[arg-type]
    return torch.optim.Adam(parameters, **options)  # type: ignore[arg-type]
