"""Record each epoch: losses, validation metrics, and the balance of the modalities (gradient norms, rates).

Legend: S steps of an epoch, B pairs of a step, K parts of a method.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from torch import Tensor

from daan.batch import MODALITY_AXIS
from daan.method import Part
from daan.training_step import Step
from pipeline.base.csv_tables import read_table, write_table
from pipeline.base.errors import StorageError
from pipeline.training.validation import Validation

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_TERM, _RATE = "term ", "rate "  # begin the names of values that a method or a modulation names


@dataclass(frozen=True)
class Distribution:
    """The distribution of a rate over all pairs of an epoch; NaN if the rate is not used."""

    mean: float
    q05: float
    q25: float
    q50: float
    q75: float
    q95: float


_DISTRIBUTION_COLUMNS = tuple(entry.name for entry in fields(Distribution))
_OTHER_COLUMNS = ("epoch", "modality", "part", "gradient_norm", "parameter_norm")


@dataclass(frozen=True)
class BalanceRecord:
    """A row of balance.csv: the numbers of one epoch and one part of the method."""

    epoch: float  # epochs trained so far
    modality: str
    part: str  # such as attention or encoder
    gradient_norm: float  # mean over the steps, as the optimiser gets it, but without noise; NaN without layers
    parameter_norm: float  # at the last step
    shares: Mapping[str, float]  # percent of the pairs with a flag of the modulation, such as at_gamma
    rates: Mapping[str, Distribution]  # the modulation's rates by name, such as M

    def to_row(self) -> dict[str, str | int | float]:
        """Convert to plain values by column; a distribution becomes columns such as M_mean and M_q05."""
        row: dict[str, str | int | float] = {name: getattr(self, name) for name in _OTHER_COLUMNS}
        row |= self.shares
        for name, distribution in self.rates.items():
            row |= {f"{name}_{key}": number for key, number in asdict(distribution).items()}
        return row

    @classmethod
    def from_row(cls, row: Mapping[str, str | int | float]) -> "BalanceRecord":
        """Make a record of a row that `to_row` made.

        Raises:
            KeyError: a column is missing.
            ValueError: a cell is not a number.
        """
        names = [column.removesuffix("_mean") for column in row if column.endswith("_mean")]
        of_rates = {f"{name}_{column}" for name in names for column in _DISTRIBUTION_COLUMNS}
        return cls(
            epoch=_whole(float(row["epoch"])),
            modality=str(row["modality"]),
            part=str(row["part"]),
            gradient_norm=float(row["gradient_norm"]),
            parameter_norm=float(row["parameter_norm"]),
            shares={name: float(row[name]) for name in row if name not in {*_OTHER_COLUMNS, *of_rates}},
            rates={
                name: Distribution(**{column: float(row[f"{name}_{column}"]) for column in _DISTRIBUTION_COLUMNS})
                for name in names
            },
        )


def _whole(number: float) -> float:
    """Convert a whole number to an int."""
    return int(number) if number.is_integer() else number


def step_values(step: Step) -> dict[str, Tensor]:
    """Select the values of a step for its epoch's summary, without waiting for the device."""
    return {
        "loss": step.loss,
        **{f"{_TERM}{name}": value for name, value in step.terms.items()},
        "gradient_norm": step.norms.gradient,
        "parameter_norm": step.norms.parameter,
        **{f"{_RATE}{name}": values for name, values in step.rates.items()},
    }


def balance_records(epoch: float, values: Mapping[str, Tensor], parts: Sequence[Part]) -> list[BalanceRecord]:
    """Summarise a period, one row per part.

    Args:
        epoch: epochs trained at the end of the period.
        values: stacked values of all steps, as `step_values` names them: norms (S, K) and rates (S, B, K).
        parts: the K parts.
    """
    records = []
    for k, part in enumerate(parts):
        of_part = {name.removeprefix(_RATE): each[..., k] for name, each in values.items() if name.startswith(_RATE)}
        flags = {name: each for name, each in of_part.items() if each.dtype == torch.bool}
        records.append(
            BalanceRecord(
                epoch=epoch,
                modality=part.modality,
                part=part.name,
                gradient_norm=float(values["gradient_norm"][:, k].mean()),
                parameter_norm=float(values["parameter_norm"][-1, k]),
                shares={name: float(each.double().mean()) * 100 for name, each in flags.items()},
                rates={name: _distribution(each) for name, each in of_part.items() if name not in flags},
            )
        )
    return records


def _distribution(rates: Tensor) -> Distribution:
    ordered = rates.flatten().double().cpu().sort().values
    # Quantiles by rank, because torch.quantile takes at most 16 million values.
    ranks = [round(quantile * (len(ordered) - 1)) for quantile in _QUANTILES]
    return Distribution(float(ordered.mean()), *(float(ordered[rank]) for rank in ranks))


def audio_share(records: Sequence[BalanceRecord]) -> float:
    """Compute audio's share of the gradient norms of both modalities in one epoch, 0 to 1; NaN without norms."""
    norms = {
        modality: math.hypot(
            *(
                each.gradient_norm
                for each in records
                if each.modality == modality and not math.isnan(each.gradient_norm)
            )
        )
        for modality in MODALITY_AXIS
    }
    total = sum(norms.values())
    return norms["audio"] / total if total else math.nan


def write_balance(path: Path, records: Sequence[BalanceRecord]) -> None:
    """Write balance.csv, one row per epoch and part; no file for a method without parts."""
    if records:
        write_table(path, [record.to_row() for record in records])


def read_balance(path: Path) -> list[BalanceRecord]:
    """Read the records of a balance.csv; an empty list if the file does not exist.

    Raises:
        StorageError: a damaged file.
    """
    if not path.exists():
        return []
    records = []
    for number, row in enumerate(read_table(path), start=1):
        try:
            records.append(BalanceRecord.from_row(row))
        except (KeyError, ValueError) as error:
            fault = f"no column {error.args[0]}" if isinstance(error, KeyError) else str(error)
            raise StorageError(f"{path} is damaged ({fault} in row {number}): train the run again") from error
    return records


@dataclass(frozen=True)
class EpochRecord:
    """A row of history.csv: one period. Validation metrics are in percent, and NaN without validation.

    No value depends on time, so an interrupted training ends with exactly the same file.
    """

    epoch: float  # epochs trained so far; whole numbers if each epoch is validated once
    loss: float
    terms: Mapping[str, float]  # the terms of the loss, as the method names them
    S: float
    U: float
    HM: float
    ZSL: float
    beta: float
    audio_share: float  # audio's share of both encoders' gradient norms, 0 to 1
    learning_rate: float
    from_epoch: float  # the epoch whose weights the period began with: the one before, or an earlier one after a return

    def to_row(self) -> dict[str, float]:
        """Convert to numbers by column; the terms of the loss stand after the loss."""
        row: dict[str, float] = {}
        for entry in fields(self):
            row |= dict(self.terms) if entry.name == "terms" else {entry.name: getattr(self, entry.name)}
        return row

    @classmethod
    def from_row(cls, row: Mapping[str, float]) -> "EpochRecord":
        """Make a record of a row that `to_row` made."""
        known = {entry.name for entry in fields(cls)} - {"terms"}
        terms = {name: value for name, value in row.items() if name not in known}
        return cls(terms=terms, **{name: row[name] for name in known})

    @classmethod
    def of_epoch(
        cls,
        epoch: float,
        values: Mapping[str, Tensor],
        validation: Validation | None,
        *,
        audio_share: float,
        learning_rate: float,
        from_epoch: float,
    ) -> "EpochRecord":
        """Make the row of a period.

        Args:
            epoch: epochs trained at the end of the period.
            values: stacked values of all S steps, as `step_values` names them.
            validation: validation after the period; None without validation.
            audio_share: audio's share of both encoders' gradient norms.
            learning_rate: learning rate of the steps.
            from_epoch: the epoch whose weights the period began with; 0 for the first weights.
        """
        nan = float("nan")
        metrics = validation.metrics if validation else None
        return cls(
            epoch=epoch,
            loss=float(values["loss"].double().mean()),
            terms={
                name.removeprefix(_TERM): float(each.double().mean())
                for name, each in values.items()
                if name.startswith(_TERM)
            },
            S=metrics.S if metrics else nan,
            U=metrics.U if metrics else nan,
            HM=metrics.HM if metrics else nan,
            ZSL=metrics.ZSL if metrics else nan,
            beta=metrics.beta if metrics else nan,
            audio_share=audio_share,
            learning_rate=learning_rate,
            from_epoch=from_epoch,
        )


def write_history(path: Path, history: Sequence[EpochRecord]) -> None:
    """Write history.csv, one row per period."""
    write_table(path, [record.to_row() for record in history])


def read_history(path: Path) -> list[dict[str, float]]:
    """Read the rows of a history.csv, for drawing.

    Raises:
        StorageError: a file that cannot be read or is damaged.
    """
    try:
        return [{name: float(value) for name, value in row.items()} for row in read_table(path)]
    except ValueError as error:
        raise StorageError(f"{path} is damaged ({error}): train the run again") from error
