"""Tables and lines that several commands show."""

import math
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from cli.console import Terminal
from pipeline.base.wording import counted, grouped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.training.fitting import OnEpoch
    from pipeline.training.records import EpochRecord


def epoch_lines(terminal: Terminal) -> "OnEpoch":
    """Prints a header when a stage begins, and then a line an epoch."""
    last: tuple[str, int] | None = None

    def show(stage: str, record: "EpochRecord", seconds: float) -> None:
        nonlocal last
        if last != (stage, record.epoch - 1):  # another stage, or another run's
            terminal.say(" epoch    loss      S      U     HM    ZSL  balance a/v       lr  seconds")
        last = (stage, record.epoch)
        figures = "  ".join(_percent(value) for value in (record.S, record.U, record.HM, record.ZSL))
        balance = f"{record.audio_share:.2f} / {1 - record.audio_share:.2f}"
        left = f" {record.epoch:5d}  {record.loss:6.3f}  {figures}"
        terminal.say(f"{left}  {balance}  {record.learning_rate:7.2g}  {seconds:7.1f}")

    return show


def _percent(value: float) -> str:
    return "    -" if math.isnan(value) else f"{value:5.1f}"


def plain_table() -> Table:
    """Three columns: what, how many, and words about it."""
    table = Table(box=None, show_header=False, padding=(0, 1))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def show_splits(table: Table, parts: "Mapping[str, tuple[int, int]]", origin: str) -> None:
    """Rows for the splits."""
    table.add_row("splits", "", escape(origin))
    for part, (classes, videos) in parts.items():
        table.add_row(f" {part}", grouped(videos), f"of {counted(classes, 'class')}")
