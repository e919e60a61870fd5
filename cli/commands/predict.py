"""`avzsl predict`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cli import options
from cli.console import Terminal, fail

if TYPE_CHECKING:
    from pipeline.prediction.predict import PredictionReport, VideoPrediction

_BAR_CELLS = 10
_FITS = {True: "fits", False: "does not fit", None: "not known whether it fits"}


def command(
    clips: Annotated[list[Path], typer.Argument(help="Videos, or folders of videos.", show_default=False)],
    classes: Annotated[
        str | None,
        typer.Option(
            "--classes",
            help='Class names to choose among, such as "dog barking, yoga". Quotes keep a comma inside a name. A class '
            'can have several phrases: "dog barking|a dog barks". Or a file: one name per line, or a CSV table with '
            "the columns class and phrase. By default all classes of the model.",
            metavar="NAMES|FILE",
        ),
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option("--top-k", "-k", min=1, help="Number of classes to show for each clip. By default all."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            help="Folder of a model. By default the newest one in the workspace. zero-shot, or zero-shot:EXTRACTOR, "
            "recognises without training, which is also done where there is no model.",
            metavar="DIR|zero-shot",
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights",
            help="New path of the extractor's weights, if they were moved. A model of imported features needs the name "
            "or path of weights. Without training, the folder of the models to use.",
            metavar="NAME|PATH",
        ),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(
            "--text", help="New path of the file of class vectors or of CLIP's folder, if it was moved.", metavar="FILE"
        ),
    ] = None,
    workspace: options.WorkspaceOption = options.DEFAULT_WORKSPACE,
    device: options.DeviceOption = "auto",
    json_output: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> int:
    """Predict the classes of video clips. You can give any class names, also of classes without training videos.

    The percentages are among the names that you give.

    Example: avzsl predict clip.mp4 --classes "dog barking, playing drums, yoga"
    """
    from pipeline.base.devices import resolve_device
    from pipeline.datasets.media_files import find_clips
    from pipeline.prediction.choice import choose_model, known_names, predict_chosen
    from pipeline.prediction.classes import parse_classes

    terminal = Terminal(json_output=json_output, quiet=quiet, verbose=verbose)
    found = find_clips(clips)
    chosen = choose_model(options.open_workspace(workspace), model, weights=weights, text=text)
    names = parse_classes(classes, known_names(chosen) if classes else ())
    report = predict_chosen(chosen, found, names, device=resolve_device(device), reporter=terminal)
    if json_output:
        terminal.document(report.to_json(top_k))
    else:
        show_report(report, terminal, top_k)
    for video, reason in report.failures:
        fail(f"{video}: {reason}")
    return 1 if report.failures else 0


def show_report(report: "PredictionReport", terminal: Terminal, top_k: int | None = None) -> None:
    """Show one table per clip: its classes, most likely first, with their probabilities and calibrated distances."""
    for prediction in report.predictions:
        show_prediction(prediction, terminal, top_k, frozen=report.frozen)


def show_prediction(
    prediction: "VideoPrediction", terminal: Terminal, top_k: int | None = None, *, frozen: bool = False
) -> None:
    """Show the classes of one clip, and what decided."""
    terminal.show(f"{prediction.video} · {prediction.seconds} s · {_modalities(prediction)}")
    terminal.show(_table(prediction, top_k, frozen=frozen))
    if prediction.decided_by == "calibration":
        terminal.show(" decided by the calibration: without it, another class would come first")
    elif prediction.decided_by:
        terminal.show(f" decided mainly by {prediction.decided_by}")
    if prediction.none_of_these and len(prediction.classes) > 1:
        terminal.show(' none of these: this clip is no nearer to any name than to "a video" and "a sound"')
    if prediction.unsure and len(prediction.classes) > 1:
        terminal.show(
            " unsure: this clip is farther from every name than 95 % of the validation clips are from their nearest one"
        )
    for warning in prediction.warnings:
        terminal.warn(f"{prediction.video}: {warning}")


def _table(prediction: "VideoPrediction", top_k: int | None, *, frozen: bool) -> Table:
    names = len(prediction.classes)
    table = Table(box=None, padding=(0, 1))
    table.add_column("class", overflow="fold")
    table.add_column("")
    table.add_column(f"among {names} names" if names > 1 else "", justify="right")
    table.add_column("distance", justify="right")
    table.add_column("")
    for entry in prediction.classes[:top_k]:
        table.add_row(
            entry.name,
            "█" * round(_BAR_CELLS * (entry.probability or 0)),
            _FITS[prediction.fits] if entry.probability is None else f"{100 * entry.probability:.1f} %",
            f"{entry.distance:.3f}",
            "" if entry.seen or frozen else "not in training",
        )
    return table


def _modalities(prediction: "VideoPrediction") -> str:
    if prediction.has_audio and prediction.has_visual:
        return "sound and picture"
    return "sound only" if prediction.has_audio else "picture only"
