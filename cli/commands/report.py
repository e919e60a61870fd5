"""`avzsl report`."""

from typing import Annotated

import typer
from rich.table import Table

from cli import options
from cli.console import Terminal


def command(
    workspace: options.WorkspaceOption = options.DEFAULT_WORKSPACE,
    run: Annotated[
        str | None, typer.Option("--run", help="Name of a run in models/. By default the newest.", metavar="NAME")
    ] = None,
    json_output: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> int:
    """Write an HTML page about a run: metrics, training curves, and the balance of the modalities over the epochs.

    Example: avzsl report
    """
    from pipeline.evaluation.run_page import balance_row, write_report

    terminal = Terminal(json_output=json_output, quiet=quiet, verbose=verbose)
    report = write_report(options.open_workspace(workspace), run)
    if json_output:
        balance = [record.to_row() for record in report.balance]
        terminal.document({"run": report.run, "page": str(report.page), "balance": balance})
        return 0
    if report.balance:
        rates = f", and the modulation's mean rate {report.rate} by modality and part" if report.rate else ""
        terminal.say(f"Training stage 1: audio's share of the encoders' gradients{rates}:")
        table = Table()
        for name in report.balance_columns:
            table.add_column(name, justify="right")
        for epoch in report.shown_epochs:
            table.add_row(*balance_row(report, epoch))
        terminal.show(table)
    elif report.recorded:
        terminal.say("This method has no encoder per modality, so there is no balance of the modalities to show.")
    else:
        terminal.warn(
            "this run has no record of the balance of the modalities: it was trained before avzsl recorded it"
        )
    if not report.evaluated:
        terminal.warn("this run is not evaluated yet: run avzsl evaluate, then avzsl report again")
    terminal.show(f"{report.page}")
    for figure in report.figures:
        terminal.say(f" {figure}")
    return 0
