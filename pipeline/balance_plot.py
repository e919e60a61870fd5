"""A picture of how the two modalities learn side by side."""

from collections.abc import Callable, Sequence
from math import isfinite
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.base.figures import save_picture
from pipeline.training.records import MODALITIES, PARTS, BalanceRecord

# Two of Okabe and Ito's colours; dashes tell them apart in grey.
_LOOKS = {"audio": ("#0072B2", "-"), "visual": ("#D55E00", "--")}
_TITLES = {"attention": "attention and refinement (p = 1)", "bypass": "temporal bypass (p = 2)"}


def balance_picture(records: Sequence[BalanceRecord], path: Path) -> None:
    """Draws, for each part of QDMA, both modalities' gradient and parameter norms and CSGM's rates over the epochs.

    Bands hold the middle half of the pairs. Rates that took no part are left out.

    Args:
        records: of a whole stage.
        path: of the PNG; its folder exists.

    Raises:
        OSError: the picture cannot be written.
    """
    rates = [name for name in ("M", "V_c", "V_o") if any(isfinite(getattr(row, name).mean) for row in records)]
    names = ["gradient norm", "parameter norm", *(f"rate {name}" for name in rates)]
    figure = Figure(figsize=(10, 1 + 2.2 * len(names)), layout="constrained")
    panels = figure.subplots(len(names), len(PARTS), sharex=True, sharey="row", squeeze=False)
    for column, part in enumerate(PARTS):
        panels[0][column].set_title(_TITLES[part])
        rows = [record for record in records if record.part == part]
        _norms(panels[0][column], rows, lambda record: record.gradient_norm)
        _norms(panels[1][column], rows, lambda record: record.parameter_norm)
        for place, rate in enumerate(rates, start=2):
            _rates(panels[place][column], rows, rate)
        panels[-1][column].set_xlabel("epoch")
        panels[-1][column].xaxis.set_major_locator(MaxNLocator(integer=True))
    for row in panels[:2]:  # norms, from 0 on; both panels of a row share their scale, so only once all is drawn
        row[0].set_ylim(0, 1.05 * max(line.get_ydata().max() for axes in row for line in axes.lines))
    for name, row in zip(names, panels, strict=True):
        row[0].set_ylabel(name)
        for axes in row:
            axes.grid(visible=True, alpha=0.3)
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=len(MODALITIES))
    save_picture(figure, path)


def _norms(axes: Axes, rows: Sequence[BalanceRecord], norm: Callable[[BalanceRecord], float]) -> None:
    for modality, (colour, dashes) in _LOOKS.items():
        chosen = [row for row in rows if row.modality == modality]
        axes.plot(
            [row.epoch for row in chosen],
            [norm(row) for row in chosen],
            color=colour,
            linestyle=dashes,
            label=modality,
            marker="o" if len(chosen) == 1 else "",
        )


def _rates(axes: Axes, rows: Sequence[BalanceRecord], rate: str) -> None:
    """The mean, and a band from the first to the third quartile."""
    for modality, (colour, dashes) in _LOOKS.items():
        chosen = [row for row in rows if row.modality == modality]
        epochs = [row.epoch for row in chosen]
        spread = [getattr(row, rate) for row in chosen]
        marker = "o" if len(chosen) == 1 else ""
        axes.plot(epochs, [each.mean for each in spread], color=colour, linestyle=dashes, marker=marker)
        axes.fill_between(
            epochs, [each.q25 for each in spread], [each.q75 for each in spread], color=colour, alpha=0.15, linewidth=0
        )
    axes.axhline(1, color="0.4", linewidth=0.8)
