"""Tables and lines that several commands show."""

import math
import shutil
import textwrap
from typing import TYPE_CHECKING

from rich.table import Table

from cli.console import Terminal
from pipeline.base.wording import counted, grouped, shown_epoch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.comparison.report import Report, ReportFiles
    from pipeline.comparison.text_tables import TextTable
    from pipeline.training.fitting import OnEpoch
    from pipeline.training.records import EpochRecord


def epoch_lines(terminal: Terminal) -> "OnEpoch":
    """Return a callback that prints one line per validation, with a header before the first line of a stage."""
    last: tuple[str, float] | None = None

    def show(stage: str, record: "EpochRecord", seconds: float) -> None:
        nonlocal last
        if last is None or last[0] != stage or record.epoch <= last[1]:  # another training stage, or another run
            terminal.say(" epoch    loss      S      U     HM    ZSL  balance a/v       lr  seconds")
        elif record.from_epoch < last[1]:
            best = shown_epoch(record.from_epoch)
            terminal.say(f"        no better HM: the learning rate falls; on from the weights of epoch {best}")
        last = (stage, record.epoch)
        metrics = "  ".join(_percent(value) for value in (record.S, record.U, record.HM, record.ZSL))
        share = record.audio_share  # NaN for a method without an encoder per modality
        balance = "          -" if math.isnan(share) else f"{share:.2f} / {1 - share:.2f}"
        left = f" {shown_epoch(record.epoch):>5}  {record.loss:6.3f}  {metrics}"
        terminal.say(f"{left}  {balance}  {record.learning_rate:7.2g}  {seconds:7.1f}")

    return show


def _percent(value: float) -> str:
    return "    -" if math.isnan(value) else f"{value:5.1f}"


def show_report(report: "Report", files: "ReportFiles", terminal: Terminal) -> None:
    """Show the tables, notes and files of a report of several runs; with --json, its document."""
    if terminal.json_output:
        terminal.document(report.to_json())
        return
    for table in report.tables:
        terminal.show(_rich(table))
    for note in report.notes:
        for line in textwrap.wrap(note, shutil.get_terminal_size().columns):
            terminal.say(line)
    for path in (files.markdown, files.page, files.document):
        terminal.show(f" {path}")


def _rich(table: "TextTable") -> Table:
    """Convert to a table for the terminal; numbers are right-aligned."""
    shown = Table(
        title=table.title, title_justify="left", title_style="", padding=(0, 1, 0, 0), pad_edge=False, box=None
    )
    for index, name in enumerate(table.columns):
        shown.add_column(name, justify="right" if name and index and name != "run" else "left", no_wrap=True)
    for index, row in enumerate(table.rows):
        style = "bold" if index in table.strong else "dim" if index in table.quiet else ""
        shown.add_row(*row, style=style)
    return shown


def plain_table() -> Table:
    """Create a table without a header, for a name, a number and a text per row."""
    table = Table(box=None, show_header=False, padding=(0, 1))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def show_splits(table: Table, splits: "Mapping[str, tuple[int, int]]", origin: str) -> None:
    """Add one row per split to a table of `plain_table`.

    Args:
        table: receives the rows.
        splits: split -> numbers of its classes and videos.
        origin: where the splits come from.
    """
    table.add_row("splits", "", origin)
    for name, (classes, videos) in splits.items():
        table.add_row(f" {name}", grouped(videos), f"of {counted(classes, 'class')}")
