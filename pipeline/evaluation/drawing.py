"""Draw the figures of an evaluation in another process, which loads matplotlib while this one computes the metrics."""

import multiprocessing
import signal
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pipeline.base.errors import PipelineError


class DrawingError(Exception):
    """The figures could not be drawn; the message gives the reason in one line."""


@dataclass(frozen=True)
class EvaluationFigures:
    """What the figures of an evaluation show. Legend: C classes."""

    folder: Path  # an existing folder
    names: Sequence[str]  # (C,)
    seen: Sequence[bool]  # (C,)
    confusion: NDArray[np.int64]  # (C, C) counts by true class (rows) and predicted class
    history: Sequence[Mapping[str, float]]  # rows of history.csv of stage 1
    used_epoch: float  # the epoch of stage 1 that the model uses

    @property
    def paths(self) -> tuple[Path, Path]:
        """The files of the confusion matrix and of the training curves."""
        return self.folder / "confusion_matrix.png", self.folder / "training_curves.png"


class FigureProcess:
    """A process that draws figures. It ends with the `with` block.

    Attributes:
        draws: whether there is a process; without one nothing is drawn.
    """

    def __init__(self, *, draws: bool) -> None:
        self.draws = draws
        self._executor: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        """Start the process, which loads matplotlib at once."""
        if self.draws:
            context = multiprocessing.get_context("spawn")
            self._executor = ProcessPoolExecutor(1, mp_context=context, initializer=_start)
            self._executor.submit(_load)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process."""
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)

    def draw(self, figures: EvaluationFigures) -> tuple[Path, ...]:
        """Draw figures and wait for them; return their files.

        Raises:
            DrawingError: a full disk, or a process that crashed. A fault of our code is raised as it is.
        """
        if self._executor is None:
            return ()
        try:
            self._executor.submit(_draw, figures).result()
        except (OSError, PipelineError, BrokenProcessPool) as error:  # they must not cost the metrics
            raise DrawingError(" ".join(f"{type(error).__name__}: {error}".split())) from error
        return figures.paths


def _start() -> None:
    """Leave Ctrl-C to the parent, which ends this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _load() -> None:
    """Load matplotlib."""
    import pipeline.evaluation.figures  # noqa: F401, PLC0415 - the parent must not load it


def _draw(figures: EvaluationFigures) -> None:
    """Draw the confusion matrix and the training curves."""
    from pipeline.evaluation.figures import confusion_matrix_figure, training_curves  # noqa: PLC0415 - as above

    confusion, curves = figures.paths
    confusion_matrix_figure(figures.confusion, figures.names, figures.seen, confusion)
    training_curves(figures.history, curves, figures.used_epoch)
