"""`avzsl train`."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli import options
from cli.console import Terminal
from cli.epoch_lines import epoch_lines

if TYPE_CHECKING:
    from pipeline.training import TrainingReport


def command(
    workspace: options.WorkspaceOption = options.DEFAULT_WORKSPACE,
    unseen: options.UnseenOption = None,
    unseen_fraction: options.UnseenFractionOption = None,
    text: Annotated[
        str | None,
        typer.Option("--text", help="minilm, or a file of vectors: word2vec, GloVe, .npy.", metavar="NAME|FILE"),
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="Epochs of stage 1 at most.")] = None,
    seed: options.SeedOption = None,
    resume: Annotated[
        bool, typer.Option("--resume/--no-resume", help="Go on with an unfinished run of the same inputs and settings.")
    ] = True,
    preset: options.PresetOption = None,
    config: options.ConfigOption = None,
    assignments: options.SetOption = None,
    show_config: Annotated[
        bool, typer.Option("--show-config", help="Print every setting as it would be used, and stop.")
    ] = False,
    device: options.DeviceOption = "auto",
    json_output: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> int:
    """Train DAAN on the workspace's features; some classes stay unseen, to test on.

    Example: avzsl train --unseen "yoga, drumming"
    """
    from pipeline.config import load_settings, show_settings

    terminal = Terminal(json_output=json_output, quiet=quiet, verbose=verbose)
    given = {
        "text.encoder": text,
        "holdout.unseen_fraction": unseen_fraction,
        "holdout.seed": seed,
        "training.epochs": epochs,
        "training.seed": seed,
    }
    settings = load_settings(preset=preset, config_file=config, assignments=assignments or (), options=given)
    if show_config:
        typer.echo(show_settings(settings), nl=False)
        return 0
    from pipeline.devices import resolve_device
    from pipeline.training import train

    report = train(
        options.open_workspace(workspace),
        settings,
        device=resolve_device(device),
        reporter=terminal,
        on_epoch=epoch_lines(terminal),
        unseen=options.split_names(unseen),
        hold_out_anew=unseen_fraction is not None,
        resume=resume,
    )
    if json_output:
        terminal.document(
            {
                "run": report.run,
                "model": str(report.folder),
                "seen": list(report.seen),
                "unseen": list(report.unseen),
                "best_epoch": report.best_epoch,
                "validation": dict(report.validation),
            }
        )
    else:
        show_report(report, terminal)
        terminal.say("Next: avzsl evaluate, or avzsl predict CLIP")
    return 0


def show_report(report: "TrainingReport", terminal: Terminal) -> None:
    """One line: the model, and what it was worth on validation."""
    figures = ", ".join(
        f"{name} {report.validation[name]:.1f}"
        for name in ("S", "U", "HM", "ZSL")
        if report.validation.get(name) is not None
    )
    validated = f", validation {figures}" if figures else ""
    done = "Nothing to do: trained already" if report.did_nothing else "trained"
    terminal.show(f"{done}, {report.folder} (epochs: {report.best_epoch}{validated})")
