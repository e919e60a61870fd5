"""Tables of text, for the terminal, Markdown and HTML."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.evaluation.html import Section
from pipeline.scoring.metrics import METRICS

_LARGE_MEAN, _LARGE_DEVIATION = 100, 10  # percent: such numbers have one decimal, so that a table fits 80 columns


@dataclass(frozen=True)
class TextTable:
    """A heading, columns, and rows of cells.

    Attributes:
        title: the heading.
        columns: the names of the columns.
        rows: the rows, with one cell per column.
        strong: indices of the rows that are highlighted.
        quiet: indices of the rows that explain the row above.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    strong: frozenset[int] = frozenset()
    quiet: frozenset[int] = frozenset()

    def to_markdown(self) -> str:
        """Write the table, without its title, as Markdown."""
        lines = [self.columns, ["-" * 3 for _ in self.columns]]
        for index, row in enumerate(self.rows):
            cells = [cell.replace("|", "\\|") for cell in row]
            lines.append([f"**{cell}**" if cell and index in self.strong else cell for cell in cells])
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def to_section(self) -> Section:
        """Make the section of an HTML page."""
        return Section(heading=self.title, columns=self.columns, rows=self.rows, strong=self.strong)


def shown_metrics(values: Mapping[str, float]) -> list[str]:
    """Show S, U, HM and ZSL in percent with two decimals."""
    return [shown_number(values[name]) for name in METRICS]


def shown_spread(mean: Mapping[str, float], deviation: Mapping[str, float]) -> list[str]:
    """Show S, U, HM and ZSL as mean ± deviation, in at most 12 characters; a deviation that is NaN is left out."""
    return [_mean_and_deviation(mean[name], deviation[name]) for name in METRICS]


def _mean_and_deviation(mean: float, deviation: float) -> str:
    shown = f"{mean:.1f}" if round(mean, 2) >= _LARGE_MEAN else shown_number(mean)
    if math.isnan(deviation):
        return shown
    return f"{shown} ± {deviation:.1f}" if round(deviation, 2) >= _LARGE_DEVIATION else f"{shown} ± {deviation:.2f}"


def shown_number(value: float) -> str:
    """Show a number with two decimals; a dash for NaN."""
    return "-" if math.isnan(value) else f"{value:.2f}"


def in_words(value: object) -> str:
    """Show a value of a JSON document in one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {in_words(entry)}" for name, entry in value.items())
    return str(value)
