"""What a stage of training found, epoch by epoch: history.csv."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor

from pipeline.base.csv_tables import read_table, write_table
from pipeline.base.errors import StorageError
from pipeline.training.validation import Validation


@dataclass(frozen=True)
class EpochRecord:
    """A row of history.csv; validation figures in percent, NaN where nothing is validated.

    Nothing here depends on time, so that an interrupted training ends with the same file, byte by byte.
    """

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
    audio_share: float  # of both encoders' gradient norms, 0 to 1
    learning_rate: float

    @classmethod
    def of_epoch(
        cls, epoch: int, losses: Tensor, validation: Validation | None, *, audio_share: float, learning_rate: float
    ) -> "EpochRecord":
        """The row of an epoch.

        Args:
            epoch: from 1.
            losses: (S, 4) of its S steps: total, triplet, composite, regularisation.
            validation: after it; None: there is none.
            audio_share: of the encoders' gradient norms.
            learning_rate: of its steps.
        """
        total, triplet, composite, regularisation = losses.cpu().double().mean(0).tolist()
        nan = float("nan")
        scores = validation.scores if validation else None
        return cls(
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
            audio_share=audio_share,
            learning_rate=learning_rate,
        )


def write_history(path: Path, history: Sequence[EpochRecord]) -> None:
    """Write history.csv, a row an epoch."""
    write_table(path, [asdict(record) for record in history])


def read_history(path: Path) -> list[dict[str, float]]:
    """The rows of a history.csv, for drawing.

    Raises:
        StorageError: it cannot be read, or is damaged.
    """
    try:
        return [{name: float(value) for name, value in row.items()} for row in read_table(path)]
    except ValueError as error:
        raise StorageError(f"{path} is damaged ({error}): train the run again") from error
