"""`avzsl status`."""

import datetime as dt

from rich.table import Table
from rich.text import Text

from cli import options
from cli.console import Terminal
from cli.next_step import show_next, show_prediction_next

_COLOURS = {"done": "green", "partial": "yellow", "stale": "yellow", "damaged": "red", "missing": "dim"}


def command(
    workspace: options.WorkspaceOption = options.DEFAULT_WORKSPACE,
    json_output: options.JsonOption = False,
) -> int:
    """Show which stages of the workspace are done, partial, stale or missing, and which command to run next.

    Example: avzsl status
    """
    from pipeline.status import workspace_status

    terminal = Terminal(json_output=json_output)
    stages = workspace_status(options.open_workspace(workspace))
    if json_output:
        terminal.document(
            {
                "stages": [
                    {
                        "stage": entry.stage,
                        "state": entry.state,
                        "detail": entry.detail,
                        "made_at": entry.made_at or None,
                    }
                    for entry in stages
                ]
            }
        )
        return 0
    table = Table(box=None, show_header=False, padding=(0, 1))
    table.add_column(style="bold")
    table.add_column()
    table.add_column(overflow="fold")
    table.add_column(justify="right", no_wrap=True)
    for entry in stages:
        state = Text(entry.state, _COLOURS[entry.state])
        table.add_row(entry.stage, state, entry.detail, _ago(entry.made_at))
    terminal.show(table)
    due = next((entry.next_command for entry in stages if entry.next_command), "")
    if due:
        show_next(terminal, due, workspace)
    else:
        show_prediction_next(terminal, workspace)
    return 0


def _ago(made_at: str) -> str:
    """Write how long ago a time was, in the largest unit that fits."""
    if not made_at:
        return ""
    seconds = (dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(made_at)).total_seconds()
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit} ago"
    return "just now"
