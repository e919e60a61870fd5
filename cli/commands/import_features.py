"""`avzsl import avca` and `avzsl import tcaf`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cli import options
from cli.console import Terminal
from cli.next_step import show_next

if TYPE_CHECKING:
    from pipeline.avgzsl_benchmark.importing.import_features import ImportReport

app = typer.Typer(
    help="Make a workspace from an official feature folder.",
    no_args_is_help=True,
    context_settings=options.ANY_CASE,
)

FolderArgument = Annotated[
    Path,
    typer.Argument(help="Official folder of the dataset, which contains features/ and class-split/.", metavar="DIR"),
]
MethodOption = Annotated[
    str | None,
    typer.Option(
        "--method", help="Kind of features: the name of a folder in features/, such as cls_features.", metavar="NAME"
    ),
]
ImportedSplitsOption = Annotated[
    Path | None,
    typer.Option(
        "--splits",
        help="Folder class-split, or one of the splits in it, if it is not in the dataset's folder.",
        metavar="DIR",
    ),
]
VectorsOption = Annotated[
    str | None,
    typer.Option(
        "--text",
        help="File of class vectors, if it is not in the dataset's folder, or a text encoder.",
        metavar="FILE|NAME",
    ),
]


@app.command("avca")
def import_avca(
    folder: FolderArgument,
    workspace: options.WorkspaceOption = options.DEFAULT_WORKSPACE,
    method: MethodOption = None,
    splits: ImportedSplitsOption = None,
    text: VectorsOption = None,
    json_output: options.JsonOption = False,
    quiet: options.QuietOption = False,
) -> int:
    """Import averaged features: features/main_features/{audio,video}/<stage>/<Class>.h5.

    Example: avzsl import avca avgzsl_benchmark_datasets/UCF
    """
    return _import("avca", folder, workspace, method, splits, text, Terminal(json_output=json_output, quiet=quiet))


@app.command("tcaf")
def import_tcaf(
    folder: FolderArgument,
    workspace: options.WorkspaceOption = options.DEFAULT_WORKSPACE,
    method: MethodOption = None,
    splits: ImportedSplitsOption = None,
    text: VectorsOption = None,
    json_output: options.JsonOption = False,
    quiet: options.QuietOption = False,
) -> int:
    """Import temporal features: features/main_features_non_averaged/{audio,video}/<stage>/<Class>.pkl.

    Pickles are read as plain data. A pickle that would load anything else is refused.

    Example: avzsl import tcaf avgzsl_benchmark_non_averaged_datasets/UCF
    """
    return _import("tcaf", folder, workspace, method, splits, text, Terminal(json_output=json_output, quiet=quiet))


def _import(
    layout: str,
    folder: Path,
    workspace: Path,
    method: str | None,
    splits: Path | None,
    text: str | None,
    terminal: Terminal,
) -> int:
    from pipeline.avgzsl_benchmark.importing.import_features import import_official

    opened = options.open_workspace(workspace)
    report = import_official(folder, layout, opened, reporter=terminal, method=method, splits=splits, text=text)
    if terminal.json_output:
        terminal.document(report.to_json())
    else:
        _show(report, terminal)
        preset = f" --preset {report.benchmark}" if report.benchmark else ""
        show_next(terminal, f"train{preset}", workspace)
    return 0


def _show(report: "ImportReport", terminal: Terminal) -> None:
    if report.did_nothing:
        terminal.show(f"Nothing to do: {report.features} is already imported from these files")
    table = Table(box=None, show_header=False, padding=(0, 1))
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(overflow="fold")
    table.add_row("videos", str(report.videos), f"{report.seconds} rows")
    table.add_row("classes", str(report.classes), f"of {report.listed_classes} listed classes")
    table.add_row("widths", "", f"visual {report.visual_width}, audio {report.audio_width}")
    for modality, count in (("picture", report.without_visual), ("sound", report.without_audio)):
        if count:
            table.add_row("absent", str(count), f"videos without {modality}")
    for split, count in report.split_counts.items():
        table.add_row(split, str(count), "videos")
    terminal.show(table)
    terminal.say(f" {report.features}")
