"""What the chained commands show at the end of every stage."""

from typing import TYPE_CHECKING

from cli.commands import evaluate, extract, train
from cli.console import Terminal
from cli.interruption import interruption
from cli.tables import epoch_lines

if TYPE_CHECKING:
    from pipeline.run import Listeners


def stage_tables(terminal: Terminal) -> "Listeners":
    """Shows each stage's report as it ends, so that a user sees how far the chain is."""
    from pipeline.run import Listeners

    return Listeners(
        on_extracted=lambda report: extract.show_report(report, terminal),
        on_epoch=epoch_lines(terminal),
        on_trained=lambda report: train.show_report(report, terminal),
        on_seeds_trained=lambda report: train.show_seeds(report, terminal),
        on_evaluated=lambda report: evaluate.show_report(report, terminal),
        on_seeds_evaluated=lambda report: evaluate.show_seeds(report, terminal),
        stoppable=interruption,
    )
