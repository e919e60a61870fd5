"""`avzsl reproduce`."""

import shutil
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cli import options
from cli.commands.import_features import ImportedSplitsOption, MethodOption, VectorsOption
from cli.console import Terminal
from cli.interruption import interruption
from cli.options import training_settings
from cli.tables import epoch_lines

if TYPE_CHECKING:
    from pipeline.avgzsl_benchmark.reproduction.tables import TextTable


def command(
    benchmark: Annotated[
        str, typer.Argument(help="Benchmark to reproduce: ucf, activitynet or vggsound.", metavar="BENCHMARK")
    ],
    features: Annotated[
        Path,
        typer.Option("--features", help="Official feature folder, or an avzsl workspace.", metavar="DIR"),
    ],
    seeds: Annotated[
        str, typer.Option("--seeds", help="Random seeds: train one run per seed on the same splits.", metavar="NUMBERS")
    ] = "0,1,2",
    ablation: Annotated[
        bool, typer.Option("--ablation/--no-ablation", help="Also train and evaluate the paper's ablation.")
    ] = True,
    workspace: Annotated[
        Path | None,
        typer.Option(
            "--workspace", "-w", help="Workspace to import an official folder into. By default avzsl-BENCHMARK."
        ),
    ] = None,
    method: MethodOption = None,
    splits: ImportedSplitsOption = None,
    text: VectorsOption = None,
    config: options.ConfigOption = None,
    assignments: options.SetOption = None,
    device: options.DeviceOption = "auto",
    json_output: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> int:
    """Run the protocol of a benchmark and the paper's ablation, and show the metrics next to the published ones.

    Finished runs are kept. After an interruption, run the same command again to continue.

    Example: avzsl reproduce ucf --features avgzsl_benchmark_non_averaged_datasets/UCF --seeds 0,1,2
    """
    from pipeline.avgzsl_benchmark.reproduction.report import document_of, notes_of, write_reproduction
    from pipeline.avgzsl_benchmark.reproduction.reproduce import reproduce
    from pipeline.avgzsl_benchmark.reproduction.source import FeatureSource, workspace_of
    from pipeline.avgzsl_benchmark.reproduction.tables import tables
    from pipeline.base.devices import resolve_device
    from pipeline.datasets.official.protocol import benchmark_named
    from pipeline.settings.tree import load_settings

    benchmark = benchmark_named(benchmark)
    terminal = Terminal(json_output=json_output, quiet=quiet, verbose=verbose)
    given = training_settings(unseen=None, unseen_fraction=None, seed=None, seeds=seeds)
    settings = load_settings(
        preset=benchmark, config_file=config, assignments=assignments or (), options={**given, "text.encoder": text}
    )
    source = FeatureSource(features, method=method, splits=splits, text=text)
    opened = workspace_of(source, benchmark, workspace, terminal)
    with interruption() as stop:
        result = reproduce(
            benchmark,
            opened,
            settings,
            ablation=ablation,
            device=resolve_device(device),
            reporter=terminal,
            on_epoch=epoch_lines(terminal),
            stop=stop,
        )
    files = write_reproduction(result, opened)
    if json_output:
        terminal.document(document_of(result))
        return 0
    for table in tables(result):
        terminal.show(_rich(table))
    for note in notes_of(result):
        for line in textwrap.wrap(note, shutil.get_terminal_size().columns):
            terminal.say(line)
    for path in (files.markdown, files.page, files.document):
        terminal.show(f" {path}")
    return 0


def _rich(table: "TextTable") -> Table:
    """Convert to a table for the terminal; numbers are right-aligned."""
    shown = Table(title=table.title, title_justify="left", title_style="", padding=(0, 1), box=None)
    for index, name in enumerate(table.columns):
        shown.add_column(name, justify="right" if name and index and name != "run" else "left", no_wrap=True)
    for index, row in enumerate(table.rows):
        shown.add_row(*row, style="bold" if index in table.strong else "")
    return shown
