"""`avzsl status`."""

import datetime as dt

from rich.markup import escape
from rich.table import Table

from cli import options
from cli.console import Terminal

_COLOURS = {"done": "green", "partial": "yellow", "stale": "yellow", "missing": "dim"}


def command(
    workspace: options.WorkspaceOption = options.DEFAULT_WORKSPACE,
    json_output: options.JsonOption = False,
) -> int:
    """Say what the workspace holds: every stage done, partial, stale or missing, and what to run next.

    Example: avzsl status
    """
    from pipeline.status import workspace_status

    terminal = Terminal(json_output=json_output)
    stages = workspace_status(options.open_workspace(workspace))
    if json_output:
        terminal.document(
            {
                "stages": [
                    {"stage": one.stage, "state": one.state, "detail": one.detail, "made_at": one.made_at or None}
                    for one in stages
                ]
            }
        )
        return 0
    table = Table(box=None, show_header=False, padding=(0, 1))
    table.add_column(style="bold")
    table.add_column()
    table.add_column(overflow="fold")
    table.add_column(justify="right", no_wrap=True)
    for one in stages:
        table.add_row(one.stage, f"[{_COLOURS[one.state]}]{one.state}[/]", escape(one.detail), _ago(one.made_at))
    terminal.show(table)
    due = next((one.next_command for one in stages if one.next_command), "avzsl predict CLIP")
    terminal.say(f"Next: {due}")
    return 0


def _ago(made_at: str) -> str:
    """How long ago, in the largest fitting unit."""
    if not made_at:
        return ""
    seconds = (dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(made_at)).total_seconds()
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit} ago"
    return "just now"
