"""`avzsl evaluate`."""

from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer
from rich.table import Table

from cli import options
from cli.console import Terminal
from cli.next_step import show_prediction_next
from pipeline.base.wording import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.evaluation.evaluate import EvaluationReport
    from pipeline.evaluation.seeds import SeedsReport
    from pipeline.scoring.intervals import Interval
    from pipeline.scoring.metrics import Metrics


def command(
    workspace: options.WorkspaceOption = options.DEFAULT_WORKSPACE,
    run: Annotated[
        str | None, typer.Option("--run", help="Name of a run in models/. By default the newest.", metavar="NAME")
    ] = None,
    held_out: Annotated[
        str, typer.Option("--on", help="Held-out set to evaluate on: test or validation.", metavar="SET")
    ] = "test",
    intervals: Annotated[
        bool, typer.Option("--ci", help="Show 95 % intervals of the metrics, from a bootstrap over classes.")
    ] = False,
    grids: Annotated[
        bool, typer.Option("--grids", help="Show the metrics at the betas that the published code would choose too.")
    ] = False,
    figures: options.FiguresOption = True,
    device: options.DeviceOption = "auto",
    json_output: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> int:
    """Evaluate the model on held-out videos of seen and unseen classes.

    After training with several seeds, evaluate all runs and show the mean and standard deviation of each metric.

    Example: avzsl evaluate
    """
    from pipeline.base.devices import resolve_device
    from pipeline.evaluation.evaluate import evaluate
    from pipeline.evaluation.seeds import evaluate_seeds, seed_runs

    if held_out not in {"test", "validation"}:
        raise typer.BadParameter(f"--on {held_out}: choose test or validation")
    terminal = Terminal(json_output=json_output, quiet=quiet, verbose=verbose)
    chosen, opened = cast("Literal['test', 'validation']", held_out), options.open_workspace(workspace)
    runs = seed_runs(opened) if run is None else ()
    report: EvaluationReport | SeedsReport
    if runs:
        report = evaluate_seeds(
            opened, runs, device=resolve_device(device), reporter=terminal, held_out=chosen, figures=figures
        )
        show = partial(show_seeds, report, intervals=intervals)
    else:
        report = evaluate(
            opened, device=resolve_device(device), reporter=terminal, run=run, held_out=chosen, figures=figures
        )
        show = partial(show_report, report, intervals=intervals, grids=grids)
    if json_output:
        terminal.document(report.to_json())
    else:
        show(terminal)
        show_prediction_next(terminal, workspace)
    return 0


def show_report(
    report: "EvaluationReport", terminal: Terminal, *, intervals: bool = False, grids: bool = False
) -> None:
    """Show the metrics by score, and the ZSL of random guessing.

    Args:
        report: the report.
        terminal: receives the tables.
        intervals: whether to show the intervals of the metrics too.
        grids: whether to show the metrics at the betas of the published grids too.
    """
    _show_heading(report, terminal)
    table = _table("score", "S", "U", "HM", "ZSL", "beta")
    for name, metrics in report.metrics.items():
        _add_score(table, name, report.score, *_metrics_of(metrics), f"{metrics.beta:.2f}")
    if report.frozen is not None:
        table.add_row("zero-shot", *_metrics_of(report.frozen), f"{report.frozen.beta:.2f}", style="dim")
    table.add_row("chance", "", "", "", _number(report.chance), "", style="dim")
    terminal.show(table)
    if intervals:
        _show_intervals(report.intervals, report, terminal)
    if grids:
        _show_grids(report, terminal)
    _explain(report, terminal)
    error = report.calibration_error
    if error.videos:
        terminal.say(
            f"Probabilities among all {report.seen + report.unseen} classes: {100 * error.mean_confidence:.0f} % on "
            f"average for the first class, which is right for {100 * error.accuracy:.0f} % of the videos; "
            f"expected calibration error {100 * error.value:.0f} %."
        )
    for path in (report.metrics_file, *report.figures):
        terminal.say(f" {path}")


def show_seeds(seeds: "SeedsReport", terminal: Terminal, *, intervals: bool = False) -> None:
    """Show the table of means and sample standard deviations over the seeds; with `intervals`, theirs over classes."""
    first = seeds.reports[0]
    _show_heading(first, terminal)
    columns = ("S", "U", "HM", "ZSL")
    table = _table("score", *columns, title=f"mean ± standard deviation over {len(seeds.reports)} seeds")
    for name in first.metrics:
        pairs = ((seeds.mean[name][column], seeds.deviation[name][column]) for column in columns)
        _add_score(table, name, first.score, *(f"{_number(mean)} ± {_number(deviation)}" for mean, deviation in pairs))
    if first.frozen is not None:  # the same for every seed
        table.add_row("zero-shot", *_metrics_of(first.frozen), style="dim")
    table.add_row("chance", "", "", "", _number(first.chance), style="dim")
    terminal.show(table)
    if intervals:
        _show_intervals(seeds.intervals, first, terminal)
    _explain(first, terminal)
    for path in (seeds.file, *(report.metrics_file for report in seeds.reports)):
        terminal.say(f" {path}")


def _show_heading(report: "EvaluationReport", terminal: Terminal) -> None:
    terminal.show(
        f"{counted(report.videos, f'{report.held_out} video')}, {counted(report.seen, 'seen class')} and "
        f"{counted(report.unseen, 'unseen class')}, in percent:"
    )


def _show_intervals(
    intervals: "Mapping[str, Mapping[str, Interval]]", report: "EvaluationReport", terminal: Terminal
) -> None:
    """Show the lowest and highest value of each metric, and say if there are too few classes for them."""
    from pipeline.scoring.intervals import FEW_CLASSES

    columns = ("S", "U", "HM", "ZSL")
    table = _table("score", *columns, title="95 % intervals, by drawing classes with replacement")
    for name, of_score in intervals.items():
        _add_score(table, name, report.score, *(_interval(of_score[column]) for column in columns))
    terminal.show(table)
    if min(report.seen, report.unseen) < FEW_CLASSES:
        terminal.say(f"With fewer than {FEW_CLASSES} seen or unseen classes, such intervals are too narrow.")


def _show_grids(report: "EvaluationReport", terminal: Terminal) -> None:
    """Show the metrics at the betas that the published code would choose from its coarser grids."""
    from pipeline.scoring.calibration import PUBLISHED_GRIDS

    if not report.grid_metrics:
        return
    table = _table("score", "S", "U", "HM", "beta", title="with the best beta of a published grid")
    table.add_column("grid")
    for grid in (grid for grid in PUBLISHED_GRIDS if grid.name in report.grid_metrics):
        source = f"{grid.used_by}: 0 to {grid.betas[-1]:g} in {len(grid.betas)}"
        for name, metrics in report.grid_metrics[grid.name].items():
            cells = [_number(getattr(metrics, column)) for column in ("S", "U", "HM")]
            _add_score(table, name, report.score, *cells, f"{metrics.beta:.2f}", source)
    terminal.show(table)


def _explain(report: "EvaluationReport", terminal: Terminal) -> None:
    terminal.say(
        "S, U: recall of the seen and the unseen classes, choosing among all classes. HM: their harmonic mean. "
        "ZSL: recall of the unseen classes, choosing among the unseen ones. *: the score that avzsl predict uses."
    )
    if report.frozen is not None:
        terminal.say("zero-shot: the encoders of the features as they are, without this training.")
    if report.unseen == 1:
        terminal.warn("with a single unseen class ZSL is always 100: hold out more classes")
    if report.without_samples:
        terminal.warn(
            f"the means exclude classes without {report.held_out} videos: {', '.join(report.without_samples)}"
        )


def _table(first: str, *numbers: str, title: str | None = None) -> Table:
    """Create a table with a first column of names and further columns of numbers."""
    table = Table(title=title, title_justify="left", title_style="")
    table.add_column(first)
    for name in numbers:
        table.add_column(name, justify="right")
    return table


def _add_score(table: Table, name: str, predicts: str, *cells: str) -> None:
    """Add the row of a score; the score used for prediction is marked."""
    mark = " *" if name == predicts else ""
    table.add_row(f"{name}{mark}", *cells, style="bold" if mark else "")


def _metrics_of(metrics: "Metrics") -> tuple[str, ...]:
    return tuple(_number(getattr(metrics, column)) for column in ("S", "U", "HM", "ZSL"))


def _interval(interval: "Interval") -> str:
    low, high = interval
    return "-" if low != low else f"{low:.1f} to {high:.1f}"  # noqa: PLR0124 - NaN is the only value unequal to itself


def _number(value: float) -> str:
    return "-" if value != value else f"{value:.2f}"  # noqa: PLR0124 - NaN is the only value unequal to itself
