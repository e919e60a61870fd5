"""Draw figures of a training and of an evaluation, without a display and without global state of matplotlib."""

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from pipeline.base.figures import save_figure
from pipeline.base.wording import shown_epoch

if TYPE_CHECKING:  # loading torch takes longer than drawing
    from pipeline.training.records import BalanceRecord

# Okabe and Ito's colours, which colour-blind readers can distinguish too; dashes distinguish the curves in grey.
_CURVES = {"S": ("#0072B2", "--"), "U": ("#E69F00", "-."), "HM": ("#000000", "-"), "ZSL": ("#009E73", ":")}
_BEST = "#CC79A7"
_MOST_COUNTED = 30  # with more classes, cells do not show their share
_MOST_NAMED = 120  # with more classes, names would be too small to read
_LONGEST_NAME = 30  # letters

# Two of Okabe and Ito's colours; dashes distinguish the curves in grey.
_STYLES = {"audio": ("#0072B2", "-"), "visual": ("#D55E00", "--")}
# What a method calls its parts -> the title of their panels; other parts have their name.
_TITLES = {"attention": "attention and refinement (p = 1)", "bypass": "temporal bypass (p = 2)"}


def training_curves(history: Sequence[Mapping[str, float]], path: Path, used_epoch: float | None = None) -> None:
    """Draw loss and validation metrics over the epochs as a PNG; mark the epoch that the model uses.

    Args:
        history: one row per epoch: epoch (from 1), loss, and S, U, HM, ZSL in percent; NaN without validation.
        path: the PNG to write, in a folder that exists.
        used_epoch: the epoch that training chose; None to mark none, as long as training goes on.

    Raises:
        OSError: a file that cannot be written.
    """
    figure = Figure(figsize=(8, 6), layout="constrained")
    loss, metrics = figure.subplots(2, 1, sharex=True)
    epochs = [row["epoch"] for row in history]
    mark = "o" if len(epochs) <= 30 else ""
    loss.plot(epochs, [row["loss"] for row in history], color="#D55E00", marker=mark, markersize=3)
    loss.set_ylabel("training loss")
    for name, (colour, dashes) in _CURVES.items():
        values = [row[name] for row in history]
        if np.isfinite(values).any():
            metrics.plot(epochs, values, color=colour, linestyle=dashes, marker=mark, markersize=3, label=name)
    metrics.set_ylabel("validation metric (%)")
    metrics.set_ylim(0, 103)  # a curve at 100 % would lie on the frame
    metrics.set_xlabel("epoch")
    metrics.xaxis.set_major_locator(MaxNLocator(integer=True))
    if used_epoch is not None:
        _mark_used(history, used_epoch, loss, metrics)
    if metrics.get_legend_handles_labels()[0]:
        figure.legend(loc="outside lower center", ncols=len(_CURVES))
    else:
        metrics.text(0.5, 0.5, "no validation", transform=metrics.transAxes, ha="center", va="center")
    for axes in (loss, metrics):
        axes.grid(visible=True, alpha=0.3)
    save_figure(figure, path)


def confusion_matrix_figure(matrix: ArrayLike, names: Sequence[str], seen: Sequence[bool], path: Path) -> None:
    """Draw a confusion matrix as a PNG, with a line between seen and unseen classes.

    Seen classes come first. Every row is in percent of its class's samples; a class without samples is grey.

    Args:
        matrix: (C, C) counts, one row per true class and one column per predicted class.
        names: names of the C classes.
        seen: (C,) flags of the classes that were trained on.
        path: the PNG to write, in a folder that exists.

    Raises:
        OSError: a file that cannot be written.
    """
    seen_first = np.argsort(~np.asarray(seen, bool), kind="stable")
    counts = np.asarray(matrix, np.float64)[np.ix_(seen_first, seen_first)]
    samples = counts.sum(axis=1, keepdims=True)
    shares = np.where(samples > 0, 100 * counts / np.maximum(samples, 1), np.nan)
    n_classes = len(names)
    side_inches = float(np.clip(3 + 0.24 * n_classes, 6, 22)) if n_classes <= _MOST_NAMED else 14.0
    figure = Figure(figsize=(side_inches * 1.15, side_inches), layout="constrained")
    axes = figure.subplots()
    axes.set_facecolor("0.85")
    # With many classes, cells are small and shares are low: the square root makes them visible.
    norm = PowerNorm(1.0 if n_classes <= _MOST_COUNTED else 0.5, vmin=0, vmax=100)
    image = axes.imshow(shares, cmap="Blues", norm=norm, interpolation="nearest")
    size = max(10.0, side_inches)  # points: labels grow with the figure
    bar = figure.colorbar(image, ax=axes, shrink=0.6)
    grey = "; grey: no samples" if np.isnan(shares).any() else ""
    bar.set_label(f"share of the true class's samples (%){grey}", fontsize=size)
    _name_classes(axes, [names[index] for index in seen_first], size)
    if n_classes <= _MOST_COUNTED:
        _write_shares(axes, shares)
    _separate_seen_from_unseen(axes, int(np.count_nonzero(seen)), n_classes, size)
    save_figure(figure, path)


def _mark_used(history: Sequence[Mapping[str, float]], used_epoch: float, loss: Axes, metrics: Axes) -> None:
    """Draw a line at an epoch, and name it with its HM."""
    for axes in (loss, metrics):
        axes.axvline(used_epoch, color=_BEST, linewidth=1.5)
    means = [row["HM"] for row in history if row["epoch"] == used_epoch and isfinite(row["HM"])]
    of_epoch = f": validation HM {means[0]:.2f} %" if means else ""
    loss.set_title(f"epoch {shown_epoch(used_epoch)} is used{of_epoch}")


def _name_classes(axes: Axes, names: Sequence[str], size: float) -> None:
    """Label one tick per class; if the names would overlap, label a few ticks with numbers instead."""
    numbered = " (number, seen classes first)" if len(names) > _MOST_NAMED else ""
    axes.set_xlabel("predicted class" + numbered, fontsize=size)
    axes.set_ylabel("true class" + numbered, fontsize=size)
    if numbered:
        return
    short = [name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…" for name in names]
    axes.set_xticks(range(len(names)), short, rotation=90, fontsize=8, parse_math=False)
    axes.set_yticks(range(len(names)), short, fontsize=8, parse_math=False)


def _write_shares(axes: Axes, shares: NDArray[np.float64]) -> None:
    """Write the shares into the cells, except those that round to 0 %."""
    for row, column in np.argwhere(shares >= 0.5):
        share = shares[row, column]
        colour = "white" if share > 55 else "black"
        axes.text(column, row, f"{share:.0f}", ha="center", va="center", fontsize=7, color=colour)


def _separate_seen_from_unseen(axes: Axes, n_seen: int, n_classes: int, size: float) -> None:
    """Draw a line between seen and unseen classes, if there are both."""
    axes.set_title(f"confusion matrix of {n_seen} seen and {n_classes - n_seen} unseen classes", fontsize=size + 2)
    if not 0 < n_seen < n_classes:
        return
    for draw in (axes.axhline, axes.axvline):
        draw(n_seen - 0.5, color="#D55E00", linewidth=1.5)
    right = n_classes - 0.5 + 0.01 * n_classes
    for text, centre in (("seen", (n_seen - 1) / 2), ("unseen", (n_seen + n_classes - 1) / 2)):
        axes.text(right, centre, text, color="#D55E00", rotation=270, va="center", ha="left", fontsize=size)


def balance_figure(records: Sequence["BalanceRecord"], path: Path) -> None:
    """Draw both modalities' gradient norms, parameter norms and rates over the epochs, per part of the method.

    Bands contain the middle half of the pairs. Rates that were not used are left out.

    Args:
        records: records of a whole training stage.
        path: the PNG to write, in a folder that exists.

    Raises:
        OSError: a file that cannot be written.
    """
    rates = [name for name in records[0].rates if any(isfinite(row.rates[name].mean) for row in records)]
    names = ["gradient norm", "parameter norm", *(f"rate {name}" for name in rates)]
    figure = Figure(figsize=(10, 1 + 2.2 * len(names)), layout="constrained")
    parts = list(dict.fromkeys(record.part for record in records))
    panels = figure.subplots(len(names), len(parts), sharex=True, sharey="row", squeeze=False)
    for column, part in enumerate(parts):
        panels[0][column].set_title(_TITLES.get(part, part))
        rows = [record for record in records if record.part == part]
        _draw_norms(panels[0][column], rows, lambda record: record.gradient_norm)
        _draw_norms(panels[1][column], rows, lambda record: record.parameter_norm)
        for index, rate in enumerate(rates, start=2):
            _draw_rates(panels[index][column], rows, rate)
        panels[-1][column].set_xlabel("epoch")
        panels[-1][column].xaxis.set_major_locator(MaxNLocator(integer=True))
    # The scale of norms starts at 0. The panels of a row share it, so it is set after all curves are drawn.
    for row in panels[:2]:
        row[0].set_ylim(0, 1.05 * max(line.get_ydata().max() for axes in row for line in axes.lines))
    for name, row in zip(names, panels, strict=True):
        row[0].set_ylabel(name)
        for axes in row:
            axes.grid(visible=True, alpha=0.3)
    title = "bands: the middle half of the pairs" if rates else None
    handles = panels[0][0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=len(_STYLES), title=title)
    save_figure(figure, path)


def _draw_norms(axes: Axes, rows: Sequence["BalanceRecord"], norm: Callable[["BalanceRecord"], float]) -> None:
    """Draw a norm of both modalities over the epochs."""
    for modality, (colour, dashes) in _STYLES.items():
        chosen = [row for row in rows if row.modality == modality]
        axes.plot(
            [row.epoch for row in chosen],
            [norm(row) for row in chosen],
            color=colour,
            linestyle=dashes,
            label=modality,
            marker="o" if len(chosen) == 1 else "",
        )


def _draw_rates(axes: Axes, rows: Sequence["BalanceRecord"], rate: str) -> None:
    """Draw the mean of a rate, and a band from the first to the third quartile."""
    for modality, (colour, dashes) in _STYLES.items():
        chosen = [row for row in rows if row.modality == modality]
        epochs = [row.epoch for row in chosen]
        spread = [row.rates[rate] for row in chosen]
        marker = "o" if len(chosen) == 1 else ""
        axes.plot(epochs, [each.mean for each in spread], color=colour, linestyle=dashes, marker=marker)
        axes.fill_between(
            epochs, [each.q25 for each in spread], [each.q75 for each in spread], color=colour, alpha=0.15, linewidth=0
        )
    axes.axhline(1, color="0.4", linewidth=0.8)
