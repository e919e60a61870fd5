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
        Path | None,
        typer.Option("--model", help="Folder of a model. By default the newest one in the workspace.", metavar="DIR"),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights",
            help="New path of the extractor's weights, if they were moved. A model of imported features needs the name "
            "or path of weights.",
            metavar="NAME|FILE",
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
    from pipeline.prediction.classes import parse_classes
    from pipeline.prediction.predict import predict

    terminal = Terminal(json_output=json_output, quiet=quiet, verbose=verbose)
    found = find_clips(clips)
    names = parse_classes(classes, _names_in(model, workspace) if classes else ())
    folder = model or options.open_workspace(workspace).current_model()
    report = predict(folder, found, names, device=resolve_device(device), reporter=terminal, weights=weights, text=text)
    if json_output:
        terminal.document(report.to_json(top_k))
    else:
        show_report(report, terminal, top_k)
    for video, reason in report.failures:
        fail(f"{video}: {reason}")
    return 1 if report.failures else 0


def _names_in(model: Path | None, workspace: Path) -> list[str]:
    """Return the names of the model's classes; none without a model, of which a later step tells."""
    from pipeline.base.errors import PipelineError
    from pipeline.training.trained_model import read_description

    try:
        return [
            entry.name for entry in read_description(model or options.open_workspace(workspace).current_model()).classes
        ]
    except PipelineError:
        return []


def show_report(report: "PredictionReport", terminal: Terminal, top_k: int | None = None) -> None:
    """Show one table per clip: its classes, most likely first, with their probabilities and calibrated distances."""
    for prediction in report.predictions:
        show_prediction(prediction, terminal, top_k)


def show_prediction(prediction: "VideoPrediction", terminal: Terminal, top_k: int | None = None) -> None:
    """Show the classes of one clip, and what decided."""
    terminal.show(f"{prediction.video} · {prediction.seconds} s · {_modalities(prediction)}")
    terminal.show(_table(prediction, top_k))
    if prediction.decided_by == "calibration":
        terminal.show(" decided by the calibration: without it, another class would come first")
    elif prediction.decided_by:
        terminal.show(f" decided mainly by {prediction.decided_by}")
    if prediction.unsure and len(prediction.classes) > 1:
        terminal.show(
            " unsure: this clip is farther from every name than 95 % of the validation clips are from their nearest one"
        )
    for warning in prediction.warnings:
        terminal.warn(f"{prediction.video}: {warning}")


def _table(prediction: "VideoPrediction", top_k: int | None) -> Table:
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
            "" if entry.seen else "not in training",
        )
    return table


def _modalities(prediction: "VideoPrediction") -> str:
    if prediction.has_audio and prediction.has_visual:
        return "sound and picture"
    return "sound only" if prediction.has_audio else "picture only"
