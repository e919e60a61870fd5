"""pipeline/balance_plot.py draws what there is."""

import dataclasses
import math
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from pipeline import balance_plot
from pipeline.balance_plot import balance_picture
from pipeline.training.records import MODALITIES, PARTS, BalanceRecord, Distribution

NOTHING = Distribution(*[math.nan] * 6)


def record(epoch: int, modality: str, part: str) -> BalanceRecord:
    """A row whose norms tell it from the others."""
    norm = epoch * (1.0 if modality == "audio" else 2.0)
    rate = Distribution(mean=0.9, q05=0.5, q25=0.7, q50=0.9, q75=1.1, q95=1.5)
    return BalanceRecord(epoch, modality, part, norm, 10 * norm, 12.0, M=rate, V_c=rate, V_o=rate)


def rows(epochs: int) -> list[BalanceRecord]:
    """Of a stage of so many epochs."""
    return [
        record(epoch, modality, part) for epoch in range(1, epochs + 1) for modality in MODALITIES for part in PARTS
    ]


@pytest.mark.parametrize(
    ("without", "panels"), [((), 10), (("V_o",), 8), (("M", "V_c", "V_o"), 4)], ids=["full", "convergence", "off"]
)
def test_rates_that_took_no_part_have_no_panel(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, without: tuple[str, ...], panels: int
) -> None:
    """Two columns, one a part of QDMA; norms always, rates where they are."""
    figures: list[Figure] = []
    monkeypatch.setattr(balance_plot, "save_picture", lambda figure, _path: figures.append(figure))
    history = [dataclasses.replace(row, **dict.fromkeys(without, NOTHING)) for row in rows(3)]

    balance_picture(history, tmp_path / "balance.png")

    axes = figures[0].axes
    assert len(axes) == panels
    assert axes[0].lines[0].get_ydata().tolist() == [1, 2, 3]
    assert axes[0].lines[1].get_ydata().tolist() == [2, 4, 6]


@pytest.mark.parametrize("epochs", [1, 40])
def test_the_picture_is_a_png(tmp_path: Path, epochs: int) -> None:
    """Of one epoch as of many."""
    balance_picture(rows(epochs), tmp_path / "balance.png")

    assert (tmp_path / "balance.png").read_bytes().startswith(b"\x89PNG")
