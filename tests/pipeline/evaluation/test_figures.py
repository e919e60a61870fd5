"""pipeline/evaluation/figures.py: readable PNG files from plain numbers, whatever the numbers are."""

import dataclasses
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image
from matplotlib.figure import Figure

from daan.modulation.csgm_rates import BRANCH_AXIS, MODALITY_AXIS
from pipeline.evaluation import figures
from pipeline.evaluation.figures import balance_picture, confusion_matrix_picture, training_curves
from pipeline.training.records import BalanceRecord, Distribution

NOTHING = Distribution(*[math.nan] * 6)


def epoch(number: int, value: float) -> dict[str, float]:
    """A row of a history."""
    return {"epoch": number, "loss": 1 / number, "S": value, "U": value, "HM": value, "ZSL": value, "beta": 0.0}


def has_colour(picture: np.ndarray, red: int, green: int, blue: int) -> np.ndarray:
    """Pixels (H, W) of a colour."""
    return (np.abs(picture[..., :3] - np.array([red, green, blue]) / 255) < 0.02).all(axis=-1)


@pytest.mark.parametrize("values", [[], [40.0], [10.0, 30.0, 20.0], [math.nan, 20.0], [math.nan, math.nan]])
def test_training_curves_take_any_history(tmp_path: Path, values: list[float]) -> None:
    """No epoch, one, many, and epochs without validation all give a picture of full size."""
    training_curves([epoch(number, value) for number, value in enumerate(values, 1)], tmp_path / "curves.png")
    assert image.imread(tmp_path / "curves.png").shape[:2] == (720, 960)


def test_the_best_epoch_is_marked(tmp_path: Path) -> None:
    """The same history with its best epoch elsewhere gives another picture."""
    for name, best in (("a.png", 2), ("b.png", 4)):
        training_curves([epoch(n, 50.0 + (n == best)) for n in range(1, 6)], tmp_path / name)
    first, second = (image.imread(tmp_path / name) for name in ("a.png", "b.png"))
    columns = [int(has_colour(picture, 0xCC, 0x79, 0xA7).sum(axis=0).argmax()) for picture in (first, second)]
    assert columns[0] + 200 < columns[1]


@pytest.mark.parametrize("n_classes", [1, 2, 20, 100, 300])
def test_confusion_pictures_take_any_number_of_classes(tmp_path: Path, n_classes: int) -> None:
    """The picture grows with the classes as far as names need it, and stays small enough to open."""
    path = tmp_path / "confusion.png"
    names = [f"a rather long class name $with_signs^ {place}" for place in range(n_classes)]
    confusion_matrix_picture(np.eye(n_classes, dtype=int), names, [True] * n_classes, path)
    height, width = image.imread(path).shape[:2]
    assert 700 <= height <= 2700
    assert height <= width <= 3200
    assert path.stat().st_size < 2 << 20


def test_a_line_parts_seen_from_unseen_classes(tmp_path: Path) -> None:
    """It is there exactly where there are both."""
    lengths = []
    for seen in ([True, False, True, False], [True] * 4, [False] * 4):
        confusion_matrix_picture(np.eye(4), list("abcd"), seen, tmp_path / "confusion.png")
        lengths.append(int(has_colour(image.imread(tmp_path / "confusion.png"), 0xD5, 0x5E, 0x00).sum(axis=1).max()))
    assert lengths[0] > 300
    assert lengths[1:] == [0, 0]


def test_a_class_without_samples_is_grey(tmp_path: Path) -> None:
    """An empty row looks different from a row of zeros."""
    confusion_matrix_picture([[3, 1], [0, 0]], ["a", "b"], [True, True], tmp_path / "confusion.png")
    picture = image.imread(tmp_path / "confusion.png")[..., :3]
    grey = (np.abs(picture - 0.85) < 0.01).all(axis=-1).sum()
    assert 0.2 < grey / (picture.shape[0] * picture.shape[1]) < 0.5


def test_a_folder_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    """The caller hears that nothing was written."""
    with pytest.raises(FileNotFoundError):
        training_curves([epoch(1, 2.0)], tmp_path / "missing" / "curves.png")


def test_no_window_system_and_no_pyplot_are_touched() -> None:
    """Figures are made without matplotlib's global state, so that threads and servers may draw."""
    command = "import sys, pipeline.evaluation.figures; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0


def record(epoch: int, modality: str, branch: str) -> BalanceRecord:
    """A row whose norms tell it from the others."""
    norm = epoch * (1.0 if modality == "audio" else 2.0)
    rate = Distribution(mean=0.9, q05=0.5, q25=0.7, q50=0.9, q75=1.1, q95=1.5)
    return BalanceRecord(epoch, modality, branch, norm, 10 * norm, 12.0, M=rate, V_c=rate, V_o=rate)


def rows(epochs: int) -> list[BalanceRecord]:
    """Of a stage of so many epochs."""
    return [
        record(epoch, modality, branch)
        for epoch in range(1, epochs + 1)
        for modality in MODALITY_AXIS
        for branch in BRANCH_AXIS
    ]


@pytest.mark.parametrize(
    ("without", "panels"), [((), 10), (("V_o",), 8), (("M", "V_c", "V_o"), 4)], ids=["full", "convergence", "off"]
)
def test_rates_that_took_no_part_have_no_panel(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, without: tuple[str, ...], panels: int
) -> None:
    """Two columns, one a part of QDMA; norms always, rates where they are."""
    drawn: list[Figure] = []
    monkeypatch.setattr(figures, "save_picture", lambda figure, _path: drawn.append(figure))
    history = [dataclasses.replace(row, **dict.fromkeys(without, NOTHING)) for row in rows(3)]

    balance_picture(history, tmp_path / "balance.png")

    axes = drawn[0].axes
    assert len(axes) == panels
    assert axes[0].lines[0].get_ydata().tolist() == [1, 2, 3]
    assert axes[0].lines[1].get_ydata().tolist() == [2, 4, 6]


@pytest.mark.parametrize("epochs", [1, 40])
def test_the_picture_is_a_png(tmp_path: Path, epochs: int) -> None:
    """Of one epoch as of many."""
    balance_picture(rows(epochs), tmp_path / "balance.png")

    assert (tmp_path / "balance.png").read_bytes().startswith(b"\x89PNG")
