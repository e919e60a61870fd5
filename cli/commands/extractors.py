"""`avzsl extractors`."""

import dataclasses

from rich.table import Table

from cli import options
from cli.console import Terminal


def command(json_output: options.JsonOption = False) -> int:
    """List the extractors that avzsl extract --extractor takes, with their licences and whether their weights are here.

    Example: avzsl extractors
    """
    from pipeline.extraction.extractor_list import list_extractors

    terminal = Terminal(json_output=json_output)
    found = list_extractors()
    if json_output:
        terminal.document({"extractors": [dataclasses.asdict(entry) for entry in found]})
        return 0
    table = Table(box=None, padding=(0, 1))
    for name in ("extractor", "sees", "hears", "class texts"):
        table.add_column(name, overflow="fold")
    for entry in found:
        table.add_row(entry.name, entry.picture or "-", entry.sound or "-", "yes" if entry.text else "no")
    terminal.show(table)
    terminal.say("class texts: those with them recognise without training. Numbers are the widths of the vectors.")
    for entry in found:
        terminal.say(f"{entry.name}: {entry.summary}. Weights: {entry.state}; {entry.licence}")
    return 0
