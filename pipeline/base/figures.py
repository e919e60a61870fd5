"""Save matplotlib figures."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_DOTS_PER_INCH = 120


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG file.

    Raises:
        OSError: the file cannot be written.
    """
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=_DOTS_PER_INCH, format="png")
