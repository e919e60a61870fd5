"""Save a matplotlib figure; colours shared by all figures."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_DOTS_PER_INCH = 120


def save_picture(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG; OSError where it cannot be written."""
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=_DOTS_PER_INCH, format="png")
