"""pipeline/evaluation/figures.py: readable PNG files from any numbers."""

import dataclasses
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image
from matplotlib.figure import Figure

from daan.batch import MODALITY_AXIS
from daan.qdma import BRANCH_AXIS
from pipeline.evaluation import figures
from pipeline.evaluation.figures import balance_figure, confusion_matrix_figure, training_curves
from pipeline.training.records import BalanceRecord, Distribution

UNUSED = Distribution(*[math.nan] * 6)


def epoch(number: int, value: float) -> dict[str, float]:
    """Make a row of a history."""
    return {"epoch": number, "loss": 1 / number, "S": value, "U": value, "HM": value, "ZSL": value, "beta": 0.0}


def has_colour(picture: np.ndarray, red: int, green: int, blue: int) -> np.ndarray:
    """Return flags (H, W) of the pixels with a colour."""
    return (np.abs(picture[..., :3] - np.array([red, green, blue]) / 255) < 0.02).all(axis=-1)


@pytest.mark.parametrize("values", [[], [40.0], [10.0, 30.0, 20.0], [math.nan, 20.0], [math.nan, math.nan]])
def test_training_curves_accept_any_history(tmp_path: Path, values: list[float]) -> None:
    """No epoch, one, many, and epochs without validation all give a figure of full size."""
    training_curves([epoch(number, value) for number, value in enumerate(values, 1)], tmp_path / "curves.png")
    assert image.imread(tmp_path / "curves.png").shape[:2] == (720, 960)


def test_the_epoch_that_is_used_is_marked(tmp_path: Path) -> None:
    """It need not have the highest HM: with few videos the last one is used. Without one, none is marked."""
    history = [epoch(n, 50.0 + (n == 3)) for n in range(1, 6)]
    columns, heights = [], []
    for used in (2, 4, None):
        training_curves(history, tmp_path / "curves.png", used)
        marked = has_colour(image.imread(tmp_path / "curves.png"), 0xCC, 0x79, 0xA7).sum(axis=0)
        columns.append(int(marked.argmax()))
        heights.append(int(marked.max()))
    assert columns[0] + 200 < columns[1]
    assert min(heights[:2]) > 300
    assert heights[2] == 0


@pytest.mark.parametrize("n_classes", [1, 2, 20, 100, 300])
def test_confusion_matrices_accept_any_number_of_classes(tmp_path: Path, n_classes: int) -> None:
    """The figure grows with the number of names, but the file stays small enough to open."""
    path = tmp_path / "confusion.png"
    names = [f"a rather long class name $with_signs^ {index}" for index in range(n_classes)]
    confusion_matrix_figure(np.eye(n_classes, dtype=int), names, [True] * n_classes, path)
    height, width = image.imread(path).shape[:2]
    assert 700 <= height <= 2700
    assert height <= width <= 3200
    assert path.stat().st_size < 2 << 20


def test_a_line_separates_seen_from_unseen_classes(tmp_path: Path) -> None:
    """It is only drawn if there are both."""
    lengths = []
    for seen in ([True, False, True, False], [True] * 4, [False] * 4):
        confusion_matrix_figure(np.eye(4), list("abcd"), seen, tmp_path / "confusion.png")
        lengths.append(int(has_colour(image.imread(tmp_path / "confusion.png"), 0xD5, 0x5E, 0x00).sum(axis=1).max()))
    assert lengths[0] > 300
    assert lengths[1:] == [0, 0]


def test_a_class_without_samples_is_grey(tmp_path: Path) -> None:
    """Its empty row has another colour than zeros in other rows."""
    confusion_matrix_figure([[3, 1], [0, 0]], ["a", "b"], [True, True], tmp_path / "confusion.png")
    picture = image.imread(tmp_path / "confusion.png")[..., :3]
    grey = (np.abs(picture - 0.85) < 0.01).all(axis=-1).sum()
    assert 0.2 < grey / (picture.shape[0] * picture.shape[1]) < 0.5


def test_a_folder_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    """`training_curves` does not create the folder."""
    with pytest.raises(FileNotFoundError):
        training_curves([epoch(1, 2.0)], tmp_path / "missing" / "curves.png")


def test_pyplot_is_not_imported() -> None:
    """Without pyplot there is no global state and no window system, so threads and servers may draw."""
    command = "import sys, pipeline.evaluation.figures; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0


def record(epoch: int, modality: str, branch: str) -> BalanceRecord:
    """Make a row whose norms differ from those of other rows."""
    norm = epoch * (1.0 if modality == "audio" else 2.0)
    rate = Distribution(mean=0.9, q05=0.5, q25=0.7, q50=0.9, q75=1.1, q95=1.5)
    return BalanceRecord(
        epoch, modality, branch, norm, 10 * norm, {"at_gamma": 12.0}, dict.fromkeys(("M", "V_c", "V_o"), rate)
    )


def rows(epochs: int) -> list[BalanceRecord]:
    """Make the rows of a training stage."""
    return [
        record(epoch, modality, branch)
        for epoch in range(1, epochs + 1)
        for modality in MODALITY_AXIS
        for branch in BRANCH_AXIS
    ]


@pytest.mark.parametrize(
    ("without", "panels"), [((), 10), (("V_o",), 8), (("M", "V_c", "V_o"), 4)], ids=["full", "convergence", "off"]
)
def test_rates_that_were_not_used_have_no_panel(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, without: tuple[str, ...], panels: int
) -> None:
    """There is one column per branch of QDMA, two rows of norms, and one row per rate."""
    drawn: list[Figure] = []
    monkeypatch.setattr(figures, "save_figure", lambda figure, _path: drawn.append(figure))
    history = [dataclasses.replace(row, rates={**row.rates, **dict.fromkeys(without, UNUSED)}) for row in rows(3)]

    balance_figure(history, tmp_path / "balance.png")

    axes = drawn[0].axes
    assert len(axes) == panels
    assert axes[0].lines[0].get_ydata().tolist() == [1, 2, 3]
    assert axes[0].lines[1].get_ydata().tolist() == [2, 4, 6]


@pytest.mark.parametrize("epochs", [1, 40])
def test_the_balance_figure_is_a_png(tmp_path: Path, epochs: int) -> None:
    """This holds for one epoch and for many."""
    balance_figure(rows(epochs), tmp_path / "balance.png")

    assert (tmp_path / "balance.png").read_bytes().startswith(b"\x89PNG")
