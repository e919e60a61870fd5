"""`avzsl run`."""

from pathlib import Path
from typing import Annotated

import typer

from cli import options
from cli.commands.stage_tables import stage_tables
from cli.console import Terminal
from cli.next_step import show_prediction_next
from cli.options import SeedsOption, training_settings


def command(
    source: Annotated[
        Path, typer.Argument(help="Folder of <class>/<video> files, or a manifest.csv.", show_default=False)
    ],
    workspace: options.WorkspaceOption = options.DEFAULT_WORKSPACE,
    extractor: options.ExtractorOption = None,
    weights: options.WeightsOption = None,
    width: options.WidthOption = None,
    unseen: options.UnseenOption = None,
    unseen_fraction: options.UnseenFractionOption = None,
    seed: options.SeedOption = None,
    seeds: SeedsOption = None,
    preset: options.PresetOption = None,
    config: options.ConfigOption = None,
    assignments: options.SetOption = None,
    allow_failures: options.AllowFailuresOption = False,
    figures: options.FiguresOption = True,
    device: options.DeviceOption = "auto",
    json_output: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> int:
    """Run all stages: extract, train and evaluate. Finished stages are skipped.

    Example: avzsl run videos/
    """
    from pipeline.base.devices import resolve_device
    from pipeline.run import run_all, run_all_seeds
    from pipeline.settings.tree import given_settings

    terminal = Terminal(json_output=json_output, quiet=quiet, verbose=verbose)
    passed = {
        "extraction.extractor.name": extractor,
        "extraction.extractor.weights": weights,
        "extraction.extractor.width": width,
        **training_settings(unseen=unseen, unseen_fraction=unseen_fraction, seed=seed, seeds=seeds),
    }
    given = given_settings(preset=preset, config_file=config, assignments=assignments or (), options=passed)
    settings = given.validate()
    chain = run_all_seeds if settings.training.seeds else run_all
    report = chain(
        options.open_workspace(workspace),
        source,
        settings,
        passed=given.names_in("extraction"),
        device=resolve_device(device),
        reporter=terminal,
        callbacks=stage_tables(terminal),
        figures=figures,
    )
    if json_output:
        terminal.document(report.evaluation.to_json())
    else:
        show_prediction_next(terminal, workspace)
    return 1 if report.extraction.failed and not allow_failures else 0
