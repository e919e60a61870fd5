"""The line `Next: ...`: a command that works when it is pasted, in the workspace of the command that showed it."""

import os
from pathlib import Path

from cli.console import Terminal
from cli.options import DEFAULT_WORKSPACE
from pipeline.base.wording import shell_quoted


def show_next(terminal: Terminal, command: str, workspace: Path) -> None:
    """Show the command to run next.

    Args:
        terminal: receives the line.
        command: the command with its arguments, without `avzsl` and without a workspace.
        workspace: the workspace of the present command.
    """
    terminal.command(f"Next: {pasted(command, workspace)}")


def pasted(command: str, workspace: Path) -> str:
    """Complete a command so that it works in the same shell: with the workspace, if it is not the one by default."""
    usual = os.environ.get("AVZSL_WORKSPACE") or str(DEFAULT_WORKSPACE)
    chosen = "" if str(workspace) == usual else f" -w {shell_quoted(str(workspace))}"
    return f"avzsl {command}{chosen}"


def show_prediction_next(terminal: Terminal, workspace: Path) -> None:
    """Show a prediction of a video of the workspace; the report if none of its videos is a file here."""
    from pipeline.base.workspace import Workspace
    from pipeline.datasets.dataset import example_video

    video = example_video(Workspace(workspace).dataset_folder)
    command = "report" if video is None else f"predict {shell_quoted(str(video))}"
    show_next(terminal, command, workspace)
