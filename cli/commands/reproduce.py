"""`avzsl reproduce`."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from cli import options
from cli.commands.import_features import ImportedSplitsOption, MethodOption, VectorsOption
from cli.console import Terminal
from cli.interruption import interruption
from cli.options import training_settings
from cli.tables import epoch_lines, show_report


def command(
    benchmark: Annotated[
        str, typer.Argument(help="Benchmark to reproduce: ucf, activitynet or vggsound.", metavar="BENCHMARK")
    ],
    features: Annotated[
        str,
        typer.Option(
            "--features",
            help="Official feature folder, or an avzsl workspace. main:, cls: or clip: in front of it says which kind "
            "of features is meant: SeLaVi, C3D and VGGish, or CLIP and CLAP.",
            metavar="[KIND:]DIR",
        ),
    ],
    methods: Annotated[
        str,
        typer.Option(
            "--methods",
            help="Methods to reproduce, names of avzsl methods with commas between them, or all. Each uses its preset "
            "for the benchmark.",
            metavar="NAMES",
        ),
    ] = "daan",
    seeds: options.RunSeedsOption = "0,1,2",
    ablation: Annotated[
        bool | None,
        typer.Option(
            "--ablation/--no-ablation",
            help="Also train and evaluate the ablations of the papers of DAAN and MFT. By default if DAAN is the only "
            "method.",
        ),
    ] = None,
    faithful: Annotated[
        bool,
        typer.Option(
            "--faithful",
            help="Repeat the faults of published code: every option faithful, and the order of class vectors.",
        ),
    ] = False,
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
    """Run the protocol of a benchmark for DAAN or other methods, and show the metrics next to the published ones.

    Finished runs are kept. After an interruption, run the same command again to continue.

    Example: avzsl reproduce ucf --features avgzsl_benchmark_non_averaged_datasets/UCF --seeds 0,1,2
    """
    from pipeline.avgzsl_benchmark.reproduction.benchmark_methods import benchmark_methods
    from pipeline.avgzsl_benchmark.reproduction.report import report_of
    from pipeline.avgzsl_benchmark.reproduction.reproduce import reproduce
    from pipeline.avgzsl_benchmark.reproduction.source import parse_source, workspace_of
    from pipeline.base.devices import resolve_device
    from pipeline.comparison.configured_methods import names_all, parse_methods
    from pipeline.comparison.report import write_report
    from pipeline.datasets.official.protocol import benchmark_named
    from pipeline.features.feature_kinds import kind_in
    from pipeline.training.methods import METHODS

    benchmark = benchmark_named(benchmark)
    if method is not None and method.lower() in METHODS:
        raise typer.BadParameter(f"--method names a folder of features; to choose what is trained: --methods {method}")
    terminal = Terminal(json_output=json_output, quiet=quiet, verbose=verbose)
    names = parse_methods(methods)
    given = training_settings(unseen=None, unseen_fraction=None, seed=None, seeds=seeds)
    source = parse_source(features, method=method, splits=splits, text=text)
    configure = partial(
        benchmark_methods,
        names,
        benchmark,
        faithful=faithful,
        config_file=config,
        assignments=assignments or (),
        options={**given, "text.encoder": text},
        optional=names_all(methods),
    )
    configure(kind=source.kind)  # a wrong setting is found before an import
    opened = workspace_of(source, benchmark, workspace, terminal)
    kind = kind_in(opened.current_features())
    with interruption() as stop:
        result = reproduce(
            benchmark,
            opened,
            configure(kind=source.kind or (kind.name if kind else None)),
            ablation=names == ("daan",) if ablation is None else ablation,
            device=resolve_device(device),
            reporter=terminal,
            on_epoch=epoch_lines(terminal),
            stop=stop,
        )
    report = report_of(result)
    show_report(
        report, write_report(report, opened.report_folder(f"reproduction-{benchmark}"), "reproduction"), terminal
    )
    return 0
