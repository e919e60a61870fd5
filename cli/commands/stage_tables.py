"""The tables that `run` and `demo` show after every stage."""

from typing import TYPE_CHECKING

from cli.commands import evaluate, extract, train
from cli.console import Terminal
from cli.interruption import interruption
from cli.tables import epoch_lines

if TYPE_CHECKING:
    from pipeline.run import Callbacks


def stage_tables(terminal: Terminal) -> "Callbacks":
    """Return callbacks that show the report of each stage as soon as the stage ends."""
    from pipeline.run import Callbacks

    return Callbacks(
        on_extracted=lambda report: extract.show_report(report, terminal),
        on_epoch=epoch_lines(terminal),
        on_trained=lambda report: train.show_report(report, terminal),
        on_seeds_trained=lambda report: train.show_seeds(report, terminal),
        on_evaluated=lambda report: evaluate.show_report(report, terminal),
        on_seeds_evaluated=lambda report: evaluate.show_seeds(report, terminal),
        stoppable=interruption,
    )
