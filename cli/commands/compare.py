"""`avzsl compare`."""

from typing import Annotated

import typer

from cli import options
from cli.console import Terminal
from cli.interruption import interruption
from cli.options import training_settings
from cli.tables import epoch_lines, show_report

MethodsOption = Annotated[
    str,
    typer.Option(
        "--methods",
        help="Methods to compare, names of avzsl methods with commas between them, or all. The others are compared "
        "with the first.",
        metavar="NAMES",
    ),
]


def command(
    methods: MethodsOption,
    workspace: options.WorkspaceOption = options.DEFAULT_WORKSPACE,
    seeds: options.RunSeedsOption = "0,1,2",
    unseen: options.UnseenOption = None,
    unseen_fraction: options.UnseenFractionOption = None,
    extractor: options.UsedExtractorOption = None,
    text: options.TextOption = None,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset",
            help="Dataset of the published settings, such as ucf or ucf-cls: each method uses its own preset for it.",
            metavar="NAME",
        ),
    ] = None,
    config: options.ConfigOption = None,
    assignments: options.SetOption = None,
    device: options.DeviceOption = "auto",
    json_output: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> int:
    """Train and evaluate several methods on the workspace's features, and show them in one table.

    Finished runs are kept. After an interruption, run the same command again to continue.

    Example: avzsl compare --methods daan,avca,mft --seeds 0,1,2
    """
    from pipeline.avgzsl_benchmark.reproduction.published import published_in
    from pipeline.base.devices import resolve_device
    from pipeline.comparison.compare import compare
    from pipeline.comparison.comparison_report import report_of
    from pipeline.comparison.configured_methods import configured_methods, names_all, parse_methods
    from pipeline.comparison.report import write_report
    from pipeline.datasets.official.known_benchmark import refuse_other_preset

    terminal = Terminal(json_output=json_output, quiet=quiet, verbose=verbose)
    names = parse_methods(methods)
    given = training_settings(unseen=unseen, unseen_fraction=unseen_fraction, seed=None, seeds=seeds)
    configured = configured_methods(
        names,
        preset=preset,
        config_file=config,
        assignments=assignments or (),
        options={**given, "text.encoder": text, "training.extractor": extractor},
        optional=names_all(methods),
    )
    opened = options.open_workspace(workspace)
    refuse_other_preset(preset, opened)
    with interruption() as stop:
        comparison = compare(
            configured,
            opened,
            device=resolve_device(device),
            reporter=terminal,
            on_epoch=epoch_lines(terminal),
            stop=stop,
            published=published_in(opened),
        )
    report = report_of(comparison)
    files = write_report(report, opened.report_folder(f"comparison-{'-'.join(names)}"), "comparison")
    show_report(report, files, terminal)
    return 0
