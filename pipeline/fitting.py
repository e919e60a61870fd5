"""One stage of training: epochs of pairs, validation, a checkpoint after each epoch, resuming."""

import csv
import io
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import torch
from torch import Tensor

from daan.network import Daan
from daan.training_step import training_step
from pipeline.checkpoints import load_checkpoint, save_checkpoint
from pipeline.errors import StorageError
from pipeline.feature_set import FeatureSet, Standardiser
from pipeline.files import write_text
from pipeline.pair_sampler import PairSampler
from pipeline.training_settings import TrainingSettings
from pipeline.validation import Validation, Validator

_LEAST_STEPS = 20


@dataclass(frozen=True)
class EpochRecord:
    """A row of history.csv; validation figures in percent, NaN where nothing is validated."""

    epoch: int  # from 1
    loss: float
    triplet: float
    composite: float
    regularisation: float
    S: float
    U: float
    HM: float
    ZSL: float
    beta: float
    learning_rate: float
    seconds: float


@dataclass
class StageState:
    """What a stage has reached; everything that resuming needs."""

    history: list[EpochRecord] = field(default_factory=list)
    best: Validation | None = None
    best_epoch: int = 0

    @property
    def epoch(self) -> int:
        """Epochs that are done."""
        return len(self.history)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The inputs of one stage of training."""

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


def fit(network: Daan, stage: Stage, *, on_epoch: Callable[[str, EpochRecord], None]) -> StageState:
    """Train `network` for the stage's epochs, going on from its checkpoint where there is one.

    Every random choice of an epoch comes from generators seeded by (seed, stage, epoch), so an interrupted training
    makes the same choices as one that ran through.

    Args:
        network: on the stage's device; changed in place.
        stage: what to train on.
        on_epoch: called with the stage's name and the record after each epoch.
    """
    optimizer = torch.optim.Adam(
        network.parameters(), lr=stage.settings.learning_rate, weight_decay=stage.settings.weight_decay
    )
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode="max", factor=stage.settings.learning_rate_factor, patience=stage.settings.patience_epochs
    )
    state = _resume(network, optimizer, plateau, stage)
    sampler = PairSampler(stage.features.labels, stage.train)
    network.train()
    while state.epoch < stage.epochs:
        started = time.monotonic()
        if stage.learning_rates is not None:
            for group in optimizer.param_groups:
                group["lr"] = stage.learning_rates[state.epoch]
        learning_rate = float(optimizer.param_groups[0]["lr"])
        losses = _one_epoch(network, optimizer, sampler, stage, epoch=state.epoch + 1)
        validation = stage.validator(network) if stage.validator else None
        _keep_best(state, stage, validation)
        if validation is not None and stage.validator is not None and stage.validator.chooses:
            plateau.step(validation.merit[0])
        record = _record(state.epoch + 1, losses, validation, learning_rate, time.monotonic() - started)
        state.history.append(record)
        _save(network, optimizer, plateau, stage, state)
        on_epoch(stage.name, record)
    return state


def _one_epoch(
    network: Daan, optimizer: torch.optim.Optimizer, sampler: PairSampler, stage: Stage, *, epoch: int
) -> Tensor:
    """Mean losses (total, triplet, composite, regularisation) over the epoch's steps."""
    pairs = min(stage.settings.batch_pairs, len(stage.train))
    steps = stage.settings.steps_per_epoch or max(_LEAST_STEPS, -(-len(stage.train) // pairs))
    seed = _epoch_seed(stage.settings.seed, stage.name, epoch)
    choices = torch.Generator().manual_seed(seed)
    sums = torch.zeros(4, device=stage.device)
    cuda = [stage.device] if stage.device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(seed)  # dropout draws from the global generator
        for _ in range(steps):
            positive, negative = sampler.draw(pairs, choices)
            text = stage.class_vectors[stage.features.labels[torch.stack((positive, negative))]].to(
                stage.device
            )  # (2, B, W)
            losses = training_step(
                network,
                optimizer,
                stage.features.batch(positive, stage.standardiser, stage.device),
                stage.features.batch(negative, stage.standardiser, stage.device),
                text[0],
                text[1],
            ).losses
            sums += torch.stack((losses.total, losses.triplet, losses.composite, losses.regularisation))
    return sums / steps


def _epoch_seed(seed: int, stage: str, epoch: int) -> int:
    return ((seed * 2 + (stage == "stage2")) * 1_000_003 + epoch) % 2**63


def _keep_best(state: StageState, stage: Stage, validation: Validation | None) -> None:
    """Among equals the later epoch, which has learned more; the last one where validation is too small to choose."""
    if validation is None or stage.validator is None:
        return
    if state.best is None or not stage.validator.chooses or validation.merit >= state.best.merit:
        state.best, state.best_epoch = validation, state.epoch + 1


def _record(
    epoch: int, losses: Tensor, validation: Validation | None, learning_rate: float, seconds: float
) -> EpochRecord:
    total, triplet, composite, regularisation = (float(value) for value in losses.tolist())
    nan = float("nan")
    scores = validation.scores if validation else None
    return EpochRecord(
        epoch=epoch,
        loss=total,
        triplet=triplet,
        composite=composite,
        regularisation=regularisation,
        S=scores.S if scores else nan,
        U=scores.U if scores else nan,
        HM=scores.HM if scores else nan,
        ZSL=scores.ZSL if scores else nan,
        beta=scores.beta if scores else nan,
        learning_rate=learning_rate,
        seconds=round(seconds, 3),
    )


def _checkpoint_file(stage: Stage) -> Path:
    return stage.folder / "checkpoint.pt"


def _save(
    network: Daan,
    optimizer: torch.optim.Optimizer,
    plateau: torch.optim.lr_scheduler.ReduceLROnPlateau,
    stage: Stage,
    state: StageState,
) -> None:
    save_checkpoint(
        _checkpoint_file(stage),
        {
            "fingerprint": stage.fingerprint,
            "network": network.state_dict(),
            "optimizer": optimizer.state_dict(),
            "plateau": plateau.state_dict(),
            "history": [asdict(record) for record in state.history],
            "best": state.best.to_plain() if state.best else None,
            "best_epoch": state.best_epoch,
        },
    )
    write_history(stage.folder / "history.csv", state.history)


def _resume(
    network: Daan, optimizer: torch.optim.Optimizer, plateau: torch.optim.lr_scheduler.ReduceLROnPlateau, stage: Stage
) -> StageState:
    """Load the stage's checkpoint into network, optimiser and schedule; a fresh state where there is none."""
    path = _checkpoint_file(stage)
    if not path.exists():
        return StageState()
    saved = load_checkpoint(path)
    if saved.get("fingerprint") != stage.fingerprint:
        raise StorageError(f"{path} belongs to another configuration: delete it, or train with --no-resume")
    network.load_state_dict(saved["network"])
    optimizer.load_state_dict(saved["optimizer"])
    plateau.load_state_dict(saved["plateau"])
    return StageState(
        history=[EpochRecord(**record) for record in saved["history"]],
        best=Validation.from_plain(saved["best"]) if saved["best"] else None,
        best_epoch=saved["best_epoch"],
    )


def write_history(path: Path, history: Sequence[EpochRecord]) -> None:
    """Write history.csv, a row an epoch."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([entry.name for entry in fields(EpochRecord)])
    writer.writerows(asdict(record).values() for record in history)
    write_text(path, buffer.getvalue())
