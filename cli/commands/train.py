"""`avzsl train`."""

import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import options
from cli.console import Terminal
from cli.interruption import interruption
from cli.next_step import show_next
from cli.options import SeedsOption, training_settings
from cli.tables import epoch_lines
from pipeline.base.wording import counted, shown_epoch

if TYPE_CHECKING:
    from pipeline.base.workspace import Workspace
    from pipeline.settings.tree import Settings
    from pipeline.training.seeds import SeedsTraining
    from pipeline.training.train import TrainingReport

_METRICS = ("S", "U", "HM", "ZSL")


def command(
    workspace: options.WorkspaceOption = options.DEFAULT_WORKSPACE,
    unseen: options.UnseenOption = None,
    unseen_fraction: options.UnseenFractionOption = None,
    extractor: options.UsedExtractorOption = None,
    text: options.TextOption = None,
    method: Annotated[
        str | None,
        typer.Option("--method", help="Method to train, a name of avzsl methods. By default daan.", metavar="NAME"),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", help="Maximum number of epochs in training stage 1.")
    ] = None,
    seed: options.SeedOption = None,
    seeds: SeedsOption = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume/--no-resume",
            help="Continue an unfinished run with the same inputs and settings, or train from the start.",
        ),
    ] = True,
    preset: options.PresetOption = None,
    config: options.ConfigOption = None,
    assignments: options.SetOption = None,
    show_config: Annotated[
        bool, typer.Option("--show-config", help="Print every setting that training would use, and exit.")
    ] = False,
    device: options.DeviceOption = "auto",
    json_output: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> int:
    """Train DAAN, or another method, on the workspace's features. Some classes are held out as unseen classes.

    Example: avzsl train --unseen "yoga, drumming"
    """
    from pipeline.datasets.official.known_benchmark import refuse_other_preset
    from pipeline.settings.tree import load_settings

    terminal = Terminal(json_output=json_output, quiet=quiet, verbose=verbose)
    given = {
        "text.encoder": text,
        "training.method": method,
        "training.extractor": extractor,
        "training.epochs": epochs,
        **training_settings(unseen=unseen, unseen_fraction=unseen_fraction, seed=seed, seeds=seeds),
    }
    settings = load_settings(preset=preset, config_file=config, assignments=assignments or (), options=given)
    opened = options.open_workspace(workspace)
    refuse_other_preset(preset, opened)
    if show_config:
        _show_config(opened, settings)
        return 0
    start = _train_seeds if settings.training.seeds else _train
    start(opened, settings, device=device, terminal=terminal, resume=resume)
    return 0


def _show_config(workspace: "Workspace", settings: "Settings") -> None:
    """Print YAML for --config. Comments tell what `auto` means here, so that the file fits other workspaces too."""
    from pipeline.class_embeddings.embed import AUTO, chosen_spec
    from pipeline.training.network_size import show_before_training

    if settings.text.encoder == AUTO:
        typer.echo(f"# text.encoder {AUTO} is {chosen_spec(workspace, AUTO)} in this workspace")
    typer.echo(show_before_training(settings), nl=False)


def _train(workspace: "Workspace", settings: "Settings", *, device: str, terminal: Terminal, resume: bool) -> None:
    """Train one run and show its validation metrics."""
    from pipeline.base.devices import resolve_device
    from pipeline.training.train import train

    with interruption() as stop:
        report = train(
            workspace,
            settings,
            device=resolve_device(device),
            reporter=terminal,
            on_epoch=epoch_lines(terminal),
            stop=stop,
            resume=resume,
        )
    if terminal.json_output:
        terminal.document(_document(report))
    else:
        show_report(report, terminal)
        show_next(terminal, "evaluate", workspace.root)


def _train_seeds(
    workspace: "Workspace", settings: "Settings", *, device: str, terminal: Terminal, resume: bool
) -> None:
    """Train one run per seed and show the mean and standard deviation of their validation metrics."""
    from pipeline.base.devices import resolve_device
    from pipeline.training.seeds import train_seeds

    with interruption() as stop:
        report = train_seeds(
            workspace,
            settings,
            device=resolve_device(device),
            reporter=terminal,
            on_epoch=epoch_lines(terminal),
            on_trained=lambda trained: show_report(trained, terminal),
            stop=stop,
            resume=resume,
        )
    if terminal.json_output:
        runs = {run.run: _document(run) for run in report.reports}
        terminal.document(
            {"runs": runs, "mean": report.mean, "deviation": report.deviation, "seeds": len(report.reports)}
        )
    else:
        show_seeds(report, terminal)
        show_next(terminal, "evaluate", workspace.root)


def _document(report: "TrainingReport") -> dict[str, Any]:
    return {
        "run": report.run,
        "model": str(report.folder),
        "seed": report.seed,
        "seen": list(report.seen),
        "unseen": list(report.unseen),
        "best_epoch": report.best_epoch,
        "epoch_chosen": report.epoch_chosen,
        "validation": dict(report.validation),
    }


def show_report(report: "TrainingReport", terminal: Terminal) -> None:
    """Show one line with the model and its validation metrics."""
    metrics = [f"{name} {value:.1f}" for name in _METRICS if (value := report.validation.get(name)) is not None]
    epoch = shown_epoch(report.best_epoch)
    validated = f", validation {', '.join(metrics)}" if metrics else ""
    if report.best_epoch == 0:
        how = f"nothing to train{validated}"
    elif report.epoch_chosen:
        how = f"best epoch {epoch}{validated}"
    else:
        how = f"all {counted(int(report.best_epoch), 'epoch')}"
    done = "Nothing to do: trained already" if report.did_nothing else "trained"
    terminal.show(f"{done}, {report.folder} ({how})")


def show_seeds(report: "SeedsTraining", terminal: Terminal) -> None:
    """Show one line with the mean and sample standard deviation of the validation metrics over the seeds."""
    metrics = [
        f"{name} {report.mean[name]:.1f}" + ("" if math.isnan(spread) else f" ± {spread:.1f}")
        for name, spread in report.deviation.items()
        if not math.isnan(report.mean[name])
    ]
    seeds = ", ".join(str(run.seed) for run in report.reports)
    if metrics:
        terminal.show(f"seeds {seeds}: validation {', '.join(metrics)} (mean ± standard deviation)")
    else:
        terminal.show(f"seeds {seeds}: trained, without metrics, because there are too few validation videos")
