"""`avzsl demo`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import options
from cli.commands import predict
from cli.commands.stage_tables import stage_tables
from cli.console import Terminal
from cli.next_step import show_next
from pipeline.base.wording import shell_quoted

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
        clips = {"right": report.right, "judged": report.judged}
        evaluation, prediction = report.chain.evaluation.to_json(), report.prediction.to_json(None)
        terminal.document({"evaluation": evaluation, "unseen_clips": clips, "prediction": prediction})
    else:
        _show(report, terminal, workspace)
    return 0


def _show(report: "DemoReport", terminal: Terminal, workspace: Path) -> None:
    evaluation = report.chain.evaluation
    failures = report.chain.extraction.failures
    if failures:
        terminal.say(
            f"One sample is broken on purpose ({failures[0][0]}: {failures[0][1]}); the demo continued without it."
        )
    terminal.say(
        "The demo uses an untrained extractor, so that it needs no download. For your own videos use trained weights, "
        "such as avzsl extract --weights vgg_sound."
    )
    terminal.show("")
    terminal.show(
        f"Of the {report.judged} clips of the {evaluation.unseen} classes that were not used in training, "
        f"{report.right} are recognised among these classes; guessing would recognise "
        f"{report.judged / evaluation.unseen:.0f}."
    )
    for clip, prediction in zip(report.clips, report.prediction.predictions, strict=True):
        terminal.show("")
        terminal.show(f"A clip that is {'right' if clip.right else 'wrong'}, of the class {clip.true_class!r}:")
        predict.show_prediction(prediction, terminal)
    show_next(terminal, f"predict {shell_quoted(str(report.clips[0].path))} --classes 'a red ball, a star'", workspace)
