"""`avzsl evaluate`."""

from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer
from rich.table import Table

from cli import options
from cli.console import Terminal

if TYPE_CHECKING:
    from pipeline.evaluation import EvaluationReport


def command(
    workspace: options.WorkspaceOption = options.DEFAULT_WORKSPACE,
    run: Annotated[
        str | None, typer.Option("--run", help="Name of a run below models/; the newest by default.", metavar="NAME")
    ] = None,
    part: Annotated[str, typer.Option("--on", help="test or validation videos.", metavar="PART")] = "test",
    device: options.DeviceOption = "auto",
    json_output: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> int:
    """Score the model on videos it never trained on: seen classes, unseen classes, their harmonic mean, zero-shot.

    Example: avzsl evaluate
    """
    from pipeline.devices import resolve_device
    from pipeline.evaluation import evaluate

    if part not in {"test", "validation"}:
        raise typer.BadParameter(f"--on {part}: choose test or validation")
    terminal = Terminal(json_output=json_output, quiet=quiet, verbose=verbose)
    chosen = cast("Literal['test', 'validation']", part)
    report = evaluate(
        options.open_workspace(workspace), device=resolve_device(device), reporter=terminal, run=run, part=chosen
    )
    if json_output:
        terminal.document(report.to_json())
    else:
        show_report(report, terminal)
        terminal.say('Next: avzsl predict CLIP --classes "..."')
    return 0


def show_report(report: "EvaluationReport", terminal: Terminal) -> None:
    """The table of scores, beside what guessing would reach."""
    terminal.show(
        f"{report.videos} {report.part} videos, {report.seen} seen and {report.unseen} unseen classes, percent:"
    )
    table = Table()
    table.add_column("score")
    for name in ("S", "U", "HM", "ZSL"):
        table.add_column(name, justify="right")
    table.add_column("beta", justify="right")
    for name, scores in report.scores.items():
        mark = " *" if name == report.score else ""
        figures = [_figure(getattr(scores, column)) for column in ("S", "U", "HM", "ZSL")]
        table.add_row(f"{name}{mark}", *figures, f"{scores.beta:.2f}", style="bold" if mark else "")
    table.add_row("chance", "", "", "", _figure(report.chance), "", style="dim")
    terminal.show(table)
    terminal.say(
        "S, U: recall on seen, unseen classes among all; HM: their harmonic mean; ZSL: unseen among unseen; *: predicts"
    )
    if report.unseen == 1:
        terminal.warn("with a single unseen class ZSL is always 100: hold out more of them")
    if report.without_samples:
        terminal.warn(
            f"classes without {report.part} videos, left out of the means: {', '.join(report.without_samples)}"
        )
    for path in (report.metrics_file, *report.pictures):
        terminal.say(f" {path}")


def _figure(value: float) -> str:
    return "-" if value != value else f"{value:.2f}"  # noqa: PLR0124 - NaN is the only value unequal to itself
