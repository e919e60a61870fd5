"""`avzsl evaluate`."""

from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer
from rich.table import Table

from cli import options
from cli.console import Terminal

if TYPE_CHECKING:
    from pipeline.evaluation.evaluate import EvaluationReport
    from pipeline.evaluation.seeds import SeedsReport


def command(
    workspace: options.WorkspaceOption = options.DEFAULT_WORKSPACE,
    run: Annotated[
        str | None, typer.Option("--run", help="Name of a run below models/; the newest by default.", metavar="NAME")
    ] = None,
    held_out: Annotated[str, typer.Option("--on", help="Which videos: test or validation.", metavar="SET")] = "test",
    device: options.DeviceOption = "auto",
    json_output: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> int:
    """Score the model on videos it never trained on: seen classes, unseen classes, their harmonic mean, zero-shot.

    After a training with several seeds all its runs are scored, and their mean and deviation shown.

    Example: avzsl evaluate
    """
    from pipeline.base.devices import resolve_device
    from pipeline.evaluation.evaluate import evaluate
    from pipeline.evaluation.seeds import evaluate_seeds, seed_runs

    if held_out not in {"test", "validation"}:
        raise typer.BadParameter(f"--on {held_out}: choose test or validation")
    terminal = Terminal(json_output=json_output, quiet=quiet, verbose=verbose)
    chosen, place = cast("Literal['test', 'validation']", held_out), options.open_workspace(workspace)
    runs = seed_runs(place) if run is None else ()
    report: EvaluationReport | SeedsReport
    if runs:
        report = evaluate_seeds(place, runs, device=resolve_device(device), reporter=terminal, held_out=chosen)
        show = partial(show_seeds, report)
    else:
        report = evaluate(place, device=resolve_device(device), reporter=terminal, run=run, held_out=chosen)
        show = partial(show_report, report)
    if json_output:
        terminal.document(report.to_json())
    else:
        show(terminal)
        terminal.say('Next: avzsl predict CLIP --classes "..."')
    return 0


def show_report(report: "EvaluationReport", terminal: Terminal) -> None:
    """The table of metrics, beside what guessing would reach; below it the same at the betas of published grids."""
    _show_heading(report, terminal)
    table = _table("score", "S", "U", "HM", "ZSL", "beta")
    for name, metrics in report.metrics.items():
        figures = [_figure(getattr(metrics, column)) for column in ("S", "U", "HM", "ZSL")]
        _add_score(table, name, report.score, *figures, f"{metrics.beta:.2f}")
    table.add_row("chance", "", "", "", _figure(report.chance), "", style="dim")
    terminal.show(table)
    _show_grids(report, terminal)
    _explain(report, terminal)
    for path in (report.metrics_file, *report.pictures):
        terminal.say(f" {path}")


def show_seeds(seeds: "SeedsReport", terminal: Terminal) -> None:
    """The table of means and sample standard deviations over the seeds."""
    first = seeds.reports[0]
    _show_heading(first, terminal)
    columns = ("S", "U", "HM", "ZSL")
    table = _table("score", *columns, title=f"mean ± deviation over {len(seeds.reports)} seeds")
    for name in first.metrics:
        pairs = ((seeds.mean[name][column], seeds.deviation[name][column]) for column in columns)
        _add_score(table, name, first.score, *(f"{_figure(mean)} ± {_figure(deviation)}" for mean, deviation in pairs))
    table.add_row("chance", "", "", "", _figure(first.chance), style="dim")
    terminal.show(table)
    _explain(first, terminal)
    for path in (seeds.file, *(report.metrics_file for report in seeds.reports)):
        terminal.say(f" {path}")


def _show_heading(report: "EvaluationReport", terminal: Terminal) -> None:
    terminal.show(
        f"{report.videos} {report.held_out} videos, {report.seen} seen and {report.unseen} unseen classes, percent:"
    )


def _show_grids(report: "EvaluationReport", terminal: Terminal) -> None:
    """What the coarser search of published code would have cost or gained."""
    from pipeline.scoring.calibration import PUBLISHED_GRIDS

    if not report.grid_metrics:
        return
    table = _table("score", "S", "U", "HM", "beta", title="with the beta of a published grid")
    table.add_column("grid")
    for grid in (grid for grid in PUBLISHED_GRIDS if grid.name in report.grid_metrics):
        source = f"{grid.used_by}: 0 to {grid.betas[-1]:g} in {len(grid.betas)}"
        for name, metrics in report.grid_metrics[grid.name].items():
            figures = [_figure(getattr(metrics, column)) for column in ("S", "U", "HM")]
            _add_score(table, name, report.score, *figures, f"{metrics.beta:.2f}", source)
    terminal.show(table)


def _explain(report: "EvaluationReport", terminal: Terminal) -> None:
    terminal.say(
        "S, U: recall on seen, unseen classes among all; HM: their harmonic mean; ZSL: unseen among unseen; *: predicts"
    )
    if report.unseen == 1:
        terminal.warn("with a single unseen class ZSL is always 100: hold out more of them")
    if report.without_samples:
        terminal.warn(
            f"classes without {report.held_out} videos, left out of the means: {', '.join(report.without_samples)}"
        )


def _table(first: str, *numbers: str, title: str | None = None) -> Table:
    """A table whose columns are numbers but for the first."""
    table = Table(title=title, title_justify="left", title_style="")
    table.add_column(first)
    for name in numbers:
        table.add_column(name, justify="right")
    return table


def _add_score(table: Table, name: str, predicts: str, *cells: str) -> None:
    """A score's row; the one that predicts stands out."""
    mark = " *" if name == predicts else ""
    table.add_row(f"{name}{mark}", *cells, style="bold" if mark else "")


def _figure(value: float) -> str:
    return "-" if value != value else f"{value:.2f}"  # noqa: PLR0124 - NaN is the only value unequal to itself
