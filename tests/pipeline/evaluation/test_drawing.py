"""pipeline/evaluation/drawing.py: figures from another process, whose faults are one line."""

import multiprocessing
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.evaluation.drawing import DrawingError, EvaluationFigures, FigureProcess

HISTORY = [{"epoch": 1.0, "loss": 2.0, "S": 50.0, "U": 40.0, "HM": 44.4, "ZSL": 45.0}]


def figures(folder: Path) -> EvaluationFigures:
    """Two classes and one epoch."""
    return EvaluationFigures(folder, ["a", "b"], [True, False], np.eye(2, dtype=np.int64), HISTORY, 1)


def test_both_figures_are_drawn(tmp_path: Path) -> None:
    """The files are PNGs in the given folder."""
    with FigureProcess(draws=True) as process:
        drawn = process.draw(figures(tmp_path))
    assert [path.name for path in drawn] == ["confusion_matrix.png", "training_curves.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)


def test_without_a_process_nothing_is_drawn(tmp_path: Path) -> None:
    """No file is written."""
    with FigureProcess(draws=False) as process:
        assert process.draw(figures(tmp_path)) == ()
    assert not list(tmp_path.iterdir())


def test_where_nothing_may_be_written_the_earlier_figures_are_used(tmp_path: Path) -> None:
    """They show the same, if the metrics are the same."""
    (tmp_path / "training_curves.png").write_bytes(b"drawn before")
    with FigureProcess(draws=True, may_write=False) as process:
        assert process.draw(figures(tmp_path)) == (tmp_path / "training_curves.png",)
    assert (tmp_path / "training_curves.png").read_bytes() == b"drawn before"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """The message is one line with the path."""
    with (
        FigureProcess(draws=True) as process,
        pytest.raises(DrawingError, match=r"missing/confusion_matrix\.png") as error,
    ):
        process.draw(figures(tmp_path / "missing"))
    assert "\n" not in str(error.value)


def test_a_process_that_crashes_is_one_line(tmp_path: Path) -> None:
    """The evaluation goes on, as when the system ends a process because it needs memory."""
    with FigureProcess(draws=True) as process:
        (child,) = multiprocessing.active_children()
        child.kill()
        child.join()
        with pytest.raises(DrawingError, match="ended by itself") as error:
            process.draw(figures(tmp_path))
    assert "\n" not in str(error.value)


def test_a_process_that_cannot_be_started_is_one_line(tmp_path: Path) -> None:
    """The metrics are computed before the figures are missed; a low limit on open files refuses the pipe."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with FigureProcess(draws=True) as process:
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with pytest.raises(DrawingError, match=r"did not start: .*Too many open files"):
        process.draw(figures(tmp_path))


def test_matplotlib_that_does_not_load_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """As with too little memory for it: the other process shows no traceback."""
    fault = "libx.so: failed to map segment from shared object"
    (tmp_path / "matplotlib.py").write_text(f"raise ImportError({fault!r})")
    monkeypatch.syspath_prepend(tmp_path)
    with FigureProcess(draws=True) as process, pytest.raises(DrawingError, match=f"matplotlib does not load: {fault}"):
        process.draw(figures(tmp_path))
    assert capfd.readouterr().err == ""


def test_the_process_ends_if_its_parent_is_killed() -> None:
    """It must not keep the output of the killed command open, on which a caller may wait."""
    parent = """
import os, signal
from pipeline.evaluation.drawing import FigureProcess
with FigureProcess(draws=True):
    print("started", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", parent], check=False, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, b"started\n")


def test_neither_process_loads_what_only_the_other_one_needs() -> None:
    """An evaluation loads no matplotlib, and the figures load no torch."""
    for module, unwanted in (("evaluate", "matplotlib"), ("figures", "torch")):
        command = f"import sys, pipeline.evaluation.{module}; sys.exit({unwanted!r} in sys.modules)"
        assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0, module
