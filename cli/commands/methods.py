"""`avzsl methods`."""

import dataclasses

from rich.table import Table

from cli import options
from cli.console import Terminal


def command(json_output: options.JsonOption = False) -> int:
    """List the methods that avzsl train --method takes, with their papers.

    Example: avzsl methods
    """
    from pipeline.training.methods import STATUS, describe_methods

    terminal = Terminal(json_output=json_output)
    methods = describe_methods()
    if json_output:
        terminal.document({"methods": [dataclasses.asdict(entry) for entry in methods]})
        return 0
    table = Table(box=None, padding=(0, 1))
    for name in ("method", "year", "reads", "score", "what it is"):
        table.add_column(name, overflow="fold")
    for entry in methods:
        what = f"{entry.title}: {entry.summary} ({STATUS[entry.status]}; {entry.paper})."
        what += f" Presets: {', '.join(entry.presets)}" if entry.presets else " It has no presets."
        table.add_row(entry.name, str(entry.year), entry.inputs, entry.score, what)
    terminal.show(table)
    terminal.say("reads: seconds, or the mean of a video's seconds. Options: avzsl train --method NAME --show-config")
    return 0
