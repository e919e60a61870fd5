"""`avzsl import avca` and `avzsl import tcaf`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cli import options
from cli.console import Terminal

if TYPE_CHECKING:
    from pipeline.avgzsl_benchmark.importing.import_features import ImportReport

app = typer.Typer(help="Make a workspace of official feature folders.", no_args_is_help=True)

FolderArgument = Annotated[
    Path, typer.Argument(help="Folder of the dataset, with features/ and class-split/.", metavar="DIR")
]
MethodOption = Annotated[
    str | None,
    typer.Option("--method", help="Which folder below features/, such as cls_features.", metavar="NAME"),
]
SplitsOption = Annotated[
    Path | None,
    typer.Option("--splits", help="class-split, or a split in it, where it lies elsewhere.", metavar="DIR"),
]
TextOption = Annotated[
    str | None,
    typer.Option(
        "--text", help="File of class vectors where it lies elsewhere, or a text encoder.", metavar="FILE|NAME"
    ),
]


@app.command("avca")
def import_avca(
    folder: FolderArgument,
    workspace: options.WorkspaceOption = options.DEFAULT_WORKSPACE,
    method: MethodOption = None,
    splits: SplitsOption = None,
    text: TextOption = None,
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
    splits: SplitsOption = None,
    text: TextOption = None,
    json_output: options.JsonOption = False,
    quiet: options.QuietOption = False,
) -> int:
    """Import temporal features: features/main_features_non_averaged/{audio,video}/<stage>/<Class>.pkl.

    Pickles are read as plain data; one that wants to load more is refused.

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

    place = options.open_workspace(workspace)
    report = import_official(folder, layout, place, reporter=terminal, method=method, splits=splits, text=text)
    if terminal.json_output:
        terminal.document(report.to_json())
    else:
        _show(report, terminal)
        preset = f" --preset {report.benchmark}" if report.benchmark else ""
        terminal.say(f"Next: avzsl train{preset}")
    return 0


def _show(report: "ImportReport", terminal: Terminal) -> None:
    if report.did_nothing:
        terminal.show(f"Nothing to do: {report.features} was imported from these files")
    table = Table(box=None, show_header=False, padding=(0, 1))
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(overflow="fold")
    table.add_row("videos", str(report.videos), f"{report.seconds} rows")
    table.add_row("classes", str(report.classes), f"of {report.listed_classes} listed")
    table.add_row("widths", "", f"visual {report.visual_width}, audio {report.audio_width}")
    for modality, count in (("picture", report.without_visual), ("sound", report.without_audio)):
        if count:
            table.add_row("absent", str(count), f"videos without {modality}")
    for part, count in report.split_counts.items():
        table.add_row(part, str(count), "videos")
    terminal.show(table)
    terminal.say(f" {report.features}")
