"""A line an epoch."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from cli.console import Terminal

if TYPE_CHECKING:
    from pipeline.fitting import EpochRecord


def epoch_lines(terminal: Terminal) -> "Callable[[str, EpochRecord], None]":
    """Prints a header when a stage begins, and then a line an epoch."""
    shown: set[str] = set()

    def show(stage: str, record: "EpochRecord") -> None:
        if stage not in shown:
            shown.add(stage)
            terminal.say(" epoch    loss      S      U     HM    ZSL  learning rate  seconds")
        figures = "  ".join(_percent(value) for value in (record.S, record.U, record.HM, record.ZSL))
        terminal.say(
            f" {record.epoch:5d}  {record.loss:6.3f}  {figures}  {record.learning_rate:13.2g}  {record.seconds:7.1f}"
        )

    return show


def _percent(value: float) -> str:
    return "    -" if math.isnan(value) else f"{value:5.1f}"
