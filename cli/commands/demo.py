"""`avzsl demo`."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import options
from cli.commands import predict
from cli.commands.stage_tables import stage_tables
from cli.console import Terminal
from cli.next_step import show_next

if TYPE_CHECKING:
    from pipeline.run import DemoReport


def command(
    workspace: Annotated[
        Path,
        typer.Option(
            "--workspace", "-w", help="Folder for the features, models and reports of the demo.", show_default=True
        ),
    ] = Path("avzsl-demo"),
    seed: Annotated[int | None, typer.Option("--seed", help="Random seed for training.")] = None,
    assignments: options.SetOption = None,
    device: options.DeviceOption = "auto",
    json_output: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> int:
    """Run all stages offline on the bundled sample videos: extract, train, evaluate, and predict an unseen class.

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
        callbacks=stage_tables(terminal),
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
    terminal.say(f"\nPrediction for a clip of {report.true_class!r}, a class that was not used in training:")
    predict.show_report(report.prediction, terminal)
    terminal.show(
        f"\nS {metrics.S:.1f}  U {metrics.U:.1f}  HM {metrics.HM:.1f}  ZSL {metrics.ZSL:.1f} percent; "
        f"guessing among {report.chain.evaluation.unseen} unseen classes gives ZSL {report.chain.evaluation.chance:.1f}"
    )
    for figure in report.chain.evaluation.figures:
        terminal.show(f" {figure}")
    failures = report.chain.extraction.failures
    if failures:
        terminal.say(
            f"One sample is broken on purpose ({failures[0][0]}: {failures[0][1]}); the demo continued without it."
        )
    terminal.say(
        "The demo uses an untrained extractor, so that it needs no download; trained weights give much better features."
    )
    show_next(terminal, f"predict {shlex.quote(str(report.clip))} --classes 'a red ball, a star'", workspace)
