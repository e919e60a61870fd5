"""Record each epoch: losses, validation metrics, and the balance of the modalities (CSGM's rates, gradient norms).

Legend: S steps of an epoch, B pairs of a step. Modalities are in the order audio, visual; branches in the order
attention, bypass.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from torch import Tensor

from daan.batch import MODALITY_AXIS
from daan.modulation.csgm_rates import BRANCH_AXIS
from daan.training_step import Step
from pipeline.base.csv_tables import read_table, write_table
from pipeline.base.errors import StorageError
from pipeline.training.validation import Validation

_RATES = ("M", "V_c", "V_o")
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


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
_NUMBER_COLUMNS = (
    *("gradient_norm", "parameter_norm", "at_gamma"),
    *(f"{rate}_{name}" for rate in _RATES for name in _DISTRIBUTION_COLUMNS),
)


@dataclass(frozen=True)
class BalanceRecord:
    """A row of balance.csv: the numbers of one epoch, modality and branch."""

    epoch: float  # epochs trained so far
    modality: str
    branch: str  # attention or bypass; the column is named `part`
    gradient_norm: float  # mean over the steps, as the optimiser gets it, but without noise; NaN without this branch
    parameter_norm: float  # at the last step
    at_gamma: float  # percent of the pairs whose M has its lowest value
    M: Distribution  # modulation rate, eq. 5
    V_c: Distribution  # convergence rate, eq. 6
    V_o: Distribution  # optimisation rate, eq. 7

    def to_row(self) -> dict[str, str | int | float]:
        """Convert to plain values by column; a distribution becomes columns such as M_mean and M_q05."""
        row: dict[str, str | int | float] = {}
        for name, value in asdict(self).items():
            if isinstance(value, dict):
                row |= {f"{name}_{key}": number for key, number in value.items()}
            else:
                row["part" if name == "branch" else name] = value
        return row

    @classmethod
    def from_row(cls, row: Mapping[str, str | int | float]) -> "BalanceRecord":
        """Make a record of a row that `to_row` made."""
        return cls(
            epoch=_whole(float(row["epoch"])),
            modality=str(row["modality"]),
            branch=str(row["part"]),
            gradient_norm=float(row["gradient_norm"]),
            parameter_norm=float(row["parameter_norm"]),
            at_gamma=float(row["at_gamma"]),
            M=_distribution_in(row, "M"),
            V_c=_distribution_in(row, "V_c"),
            V_o=_distribution_in(row, "V_o"),
        )


def _whole(number: float) -> float:
    """Convert a whole number to an int."""
    return int(number) if number.is_integer() else number


def _distribution_in(row: Mapping[str, str | int | float], rate: str) -> Distribution:
    return Distribution(**{name: float(row[f"{rate}_{name}"]) for name in _DISTRIBUTION_COLUMNS})


def step_values(step: Step) -> dict[str, Tensor]:
    """Select the values of a step for its epoch's summary, without waiting for the device."""
    values = {"gradient_norm": step.norms.gradient, "parameter_norm": step.norms.parameter}
    if step.rates is not None:
        values |= {
            "M": step.rates.modulation,
            "V_c": step.rates.convergence[..., None].expand_as(step.rates.modulation),
            "V_o": step.rates.optimisation,
        }
    return values


def balance_records(epoch: float, values: Mapping[str, Tensor], *, gamma: float, weighs: bool) -> list[BalanceRecord]:
    """Summarise a period in four rows, one per modality and branch.

    Args:
        epoch: epochs trained at the end of the period.
        values: stacked values of all steps: norms (S, 2, 2), and rates (S, B, 2, 2) if gradients are modulated.
        gamma: lowest value of M.
        weighs: whether V_o is used.
    """
    records = []
    for m, modality in enumerate(MODALITY_AXIS):
        for p, branch in enumerate(BRANCH_AXIS):
            rates = {name: values[name][..., m, p].flatten() for name in _RATES if name in values}
            if not weighs:
                rates.pop("V_o", None)
            records.append(
                BalanceRecord(
                    epoch=epoch,
                    modality=modality,
                    branch=branch,
                    gradient_norm=float(values["gradient_norm"][:, m, p].mean()),
                    parameter_norm=float(values["parameter_norm"][-1, m, p]),
                    at_gamma=float((rates["M"] <= gamma).double().mean()) * 100 if rates else math.nan,
                    M=_distribution(rates.get("M")),
                    V_c=_distribution(rates.get("V_c")),
                    V_o=_distribution(rates.get("V_o")),
                )
            )
    return records


def _distribution(rates: Tensor | None) -> Distribution:
    if rates is None:
        return Distribution(*[math.nan] * len(fields(Distribution)))
    ordered = rates.double().cpu().sort().values
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
    """Write balance.csv, four rows per epoch."""
    write_table(path, [record.to_row() for record in records])


def read_balance(path: Path) -> list[BalanceRecord]:
    """Read the records of a balance.csv; an empty list if the file does not exist.

    Raises:
        StorageError: a damaged file.
    """
    if not path.exists():
        return []
    rows = read_table(path)
    for number, row in enumerate(rows, start=1):
        for column in _NUMBER_COLUMNS:
            if not _is_number(row.get(column, "")):
                raise StorageError(
                    f"{path} is damaged ({column} in row {number} is {row.get(column)!r}): train the run again"
                )
        if not _is_number(row.get("epoch", "")) or not {"modality", "part"} <= row.keys():
            raise StorageError(f"{path} is damaged (row {number} has no epoch, modality or part): train the run again")
    return [BalanceRecord.from_row(row) for row in rows]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class EpochRecord:
    """A row of history.csv: one period. Validation metrics are in percent, and NaN without validation.

    No value depends on time, so an interrupted training ends with exactly the same file.
    """

    epoch: float  # epochs trained so far; whole numbers if each epoch is validated once
    loss: float
    triplet: float
    composite: float
    regularisation: float
    S: float
    U: float
    HM: float
    ZSL: float
    beta: float
    audio_share: float  # audio's share of both encoders' gradient norms, 0 to 1
    learning_rate: float
    from_epoch: float  # the epoch whose weights the period began with: the one before, or an earlier one after a return

    @classmethod
    def of_epoch(
        cls,
        epoch: float,
        losses: Tensor,
        validation: Validation | None,
        *,
        audio_share: float,
        learning_rate: float,
        from_epoch: float,
    ) -> "EpochRecord":
        """Make the row of a period.

        Args:
            epoch: epochs trained at the end of the period.
            losses: (S, 4) losses of the S steps: total, triplet, composite, regularisation.
            validation: validation after the period; None without validation.
            audio_share: audio's share of both encoders' gradient norms.
            learning_rate: learning rate of the steps.
            from_epoch: the epoch whose weights the period began with; 0 for the first weights.
        """
        total, triplet, composite, regularisation = losses.cpu().double().mean(0).tolist()
        nan = float("nan")
        metrics = validation.metrics if validation else None
        return cls(
            epoch=epoch,
            loss=total,
            triplet=triplet,
            composite=composite,
            regularisation=regularisation,
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
    write_table(path, [asdict(record) for record in history])


def read_history(path: Path) -> list[dict[str, float]]:
    """Read the rows of a history.csv, for drawing.

    Raises:
        StorageError: a file that cannot be read or is damaged.
    """
    try:
        return [{name: float(value) for name, value in row.items()} for row in read_table(path)]
    except ValueError as error:
        raise StorageError(f"{path} is damaged ({error}): train the run again") from error
