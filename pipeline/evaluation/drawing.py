"""Draw the figures of an evaluation in another process, which loads matplotlib while this one computes the metrics."""

import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from extractors.processes.worker_process import WorkerProcess
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
    history: Sequence[Mapping[str, float]]  # rows of history.csv of stage 1; empty if nothing was trained
    used_epoch: float  # the epoch of stage 1 that the model uses

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files of the confusion matrix and, if there was a training, of its curves."""
        names = ("confusion_matrix.png", "training_curves.png") if self.history else ("confusion_matrix.png",)
        return tuple(self.folder / name for name in names)


class FigureProcess:
    """A process that draws figures. It ends with the `with` block, or when this process ends.

    Args:
        draws: whether figures are wanted.
        may_write: whether they may be written; if not, those that were drawn before are used.

    Attributes:
        draws: whether figures are wanted; if not, nothing is drawn.
    """

    def __init__(self, *, draws: bool, may_write: bool = True) -> None:
        self.draws, self._may_write = draws, may_write
        self._worker: WorkerProcess | None = None
        self._not_started: OSError | None = None

    def __enter__(self) -> Self:
        """Start the process, which loads matplotlib at once. If the system starts none, `draw` says so."""
        if self.draws and self._may_write:
            try:
                self._worker = WorkerProcess(_draw_what_comes, name="avzsl figures")
            except OSError as error:  # figures must not cost the metrics
                self._not_started = error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process."""
        if self._worker is not None:
            self._worker.end()

    def draw(self, figures: EvaluationFigures) -> tuple[Path, ...]:
        """Draw figures and wait for them; return their files.

        Raises:
            DrawingError: a full disk, too little memory, or a process that did not start or that crashed. A fault of
                our code is raised as it is.
        """
        if self._not_started is not None:
            raise DrawingError(f"the process that draws them did not start: {self._not_started}")
        if self.draws and not self._may_write:
            return tuple(path for path in figures.paths if path.exists())
        if self._worker is None:
            return ()
        try:
            self._worker.connection.send(figures)
            fault: Exception | None = self._worker.connection.recv()
        except (EOFError, OSError) as error:
            raise DrawingError("the process that draws them ended by itself") from error
        if isinstance(fault, DrawingError):
            raise fault
        if isinstance(fault, (MemoryError, OSError, PipelineError)):  # it must not cost the metrics
            raise DrawingError(" ".join(f"{type(fault).__name__}: {fault}".split())) from fault
        if fault is not None:
            raise fault
        return figures.paths


def _draw_what_comes(connection: Connection) -> None:
    """Draw the figures that come through a pipe, until its other end closes; answer each with None or its fault."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this process
    draw = _loaded()
    while True:
        try:
            figures: EvaluationFigures = connection.recv()
            try:
                draw(figures)
            except Exception as fault:  # noqa: BLE001 - the parent raises it
                connection.send(fault)
            else:
                connection.send(None)
        except (EOFError, OSError):  # the parent has ended
            return


def _loaded() -> Callable[[EvaluationFigures], None]:
    """Load matplotlib and return a function that draws; if it does not load, the function raises a DrawingError."""
    try:
        from pipeline.evaluation.figures import confusion_matrix_figure, training_curves  # noqa: PLC0415 - only here
    except (ImportError, MemoryError, OSError, RuntimeError) as error:  # what a limit of the system causes
        reason = " ".join(f"matplotlib does not load: {error}".split())

        def refuse(figures: EvaluationFigures) -> None:  # noqa: ARG001 - as `draw`
            raise DrawingError(reason)

        return refuse

    def draw(figures: EvaluationFigures) -> None:
        confusion, *curves = figures.paths
        confusion_matrix_figure(figures.confusion, figures.names, figures.seen, confusion)
        for path in curves:
            training_curves(figures.history, path, figures.used_epoch)

    return draw
