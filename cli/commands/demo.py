"""`avzsl demo`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import options
from cli.commands import predict
from cli.commands.stage_tables import stage_tables
from cli.console import Terminal

if TYPE_CHECKING:
    from pipeline.run import DemoReport


def command(
    workspace: Annotated[
        Path,
        typer.Option("--workspace", "-w", help="Folder of the demo's features, models and reports.", show_default=True),
    ] = Path("avzsl-demo"),
    seed: options.SeedOption = None,
    assignments: options.SetOption = None,
    device: options.DeviceOption = "auto",
    json_output: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> int:
    """The whole main job, offline, on the bundled sample videos: extract, train, evaluate, predict an unseen class.

    Example: avzsl demo
    """
    from pipeline.base.devices import resolve_device
    from pipeline.run import demo
    from pipeline.settings.tree import given_settings

    terminal = Terminal(json_output=json_output, quiet=quiet, verbose=verbose)
    given = given_settings(preset="sample", assignments=assignments or (), options={"training.seed": seed})
    report = demo(
        options.open_workspace(workspace),
        given.validate(),
        passed=given.names_in("extraction"),
        device=resolve_device(device),
        reporter=terminal,
        listeners=stage_tables(terminal),
    )
    if json_output:
        terminal.document(
            {"evaluation": report.chain.evaluation.to_json(), "prediction": report.prediction.to_json(None)}
        )
    else:
        _show(report, terminal, workspace)
    return 0


def _show(report: "DemoReport", terminal: Terminal, workspace: Path) -> None:
    metrics = report.chain.evaluation.metrics[report.chain.evaluation.score]
    terminal.say(f"\nA clip of a class that was never trained on, {report.true_class!r}:")
    predict.show_report(report.prediction, terminal)
    terminal.show(
        f"\nS {metrics.S:.1f}  U {metrics.U:.1f}  HM {metrics.HM:.1f}  ZSL {metrics.ZSL:.1f} percent; "
        f"guessing among {report.chain.evaluation.unseen} unseen classes gives ZSL {report.chain.evaluation.chance:.1f}"
    )
    for picture in report.chain.evaluation.pictures:
        terminal.show(f" {picture}")
    failures = report.chain.extraction.failures
    if failures:
        terminal.say(
            f"One sample is broken on purpose ({failures[0][0]}: {failures[0][1]}); the rest went on without it."
        )
    terminal.say(
        "The extractor is untrained here, so that nothing needs downloading; real weights see and hear far better."
    )
    terminal.say(
        f'Next: avzsl predict {report.clip} -w {workspace} --classes "a red ball, a star", or avzsl run videos/'
    )
