"""`avzsl prepare`: make a dataset from class folders, a table, or the files of a benchmark."""

from pathlib import Path
from typing import Annotated

import typer

from cli import options
from cli.commands.prepare import splits, synthetic
from cli.commands.prepare.report import (
    ProbeOption,
    SplitsOption,
    ToOption,
    VideosOption,
    WorkersOption,
    prepare_dataset,
)
from cli.console import Terminal

app = typer.Typer(
    rich_markup_mode="rich",
    help="Make a dataset: a list of videos with their classes, and splits for training and testing.",
    epilog="Example: avzsl prepare ucf101 --videos UCF-101/ --splits class-split/",
)


@app.command("folder")
def folder(
    source: Annotated[Path, typer.Argument(help="Folder of <class>/<video> files.", metavar="DIR", show_default=False)],
    splits: SplitsOption = None,
    probe: ProbeOption = False,
    workers: WorkersOption = None,
    to: ToOption = None,
    workspace: options.WorkspaceOption = options.DEFAULT_WORKSPACE,
    json_output: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> int:
    """Make a dataset from class folders, which contain the videos of one class each.

    Example: avzsl prepare folder videos/ --probe
    """
    from pipeline.datasets.sources.folder import find_folder

    return prepare_dataset(
        "folder",
        source,
        lambda: find_folder(source),
        splits=splits,
        probe=probe,
        workers=workers,
        to=to,
        workspace=workspace,
        terminal=Terminal(json_output=json_output, quiet=quiet, verbose=verbose),
    )


@app.command("csv")
def csv(
    source: Annotated[
        Path,
        typer.Argument(
            help="Table with the path and the class of each video; for segments also start and end in seconds.",
            metavar="FILE",
            show_default=False,
        ),
    ],
    videos: Annotated[
        Path | None,
        typer.Option(
            "--videos", help="Folder that the paths are relative to. By default the folder of the table.", metavar="DIR"
        ),
    ] = None,
    splits: SplitsOption = None,
    probe: ProbeOption = False,
    workers: WorkersOption = None,
    to: ToOption = None,
    workspace: options.WorkspaceOption = options.DEFAULT_WORKSPACE,
    json_output: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> int:
    """Make a dataset from a table of videos and classes. It can have any column order, with or without a header line.

    Example: avzsl prepare csv videos.csv
    """
    from pipeline.datasets.sources.csv_list import find_csv

    return prepare_dataset(
        "csv",
        source,
        lambda: find_csv(source, videos),
        splits=splits,
        probe=probe,
        workers=workers,
        to=to,
        workspace=workspace,
        terminal=Terminal(json_output=json_output, quiet=quiet, verbose=verbose),
    )


@app.command("ucf101")
def ucf101(
    videos: VideosOption,
    splits: SplitsOption = None,
    probe: ProbeOption = False,
    workers: WorkersOption = None,
    to: ToOption = None,
    workspace: options.WorkspaceOption = options.DEFAULT_WORKSPACE,
    json_output: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> int:
    """Make a dataset from UCF101: files v_<Class>_gNN_cNN.avi, in class folders or in a single folder.

    Example: avzsl prepare ucf101 --videos UCF-101/ --splits UCF/class-split/
    """
    from pipeline.datasets.sources.ucf101 import find_ucf101

    return prepare_dataset(
        "ucf101",
        videos,
        lambda: find_ucf101(videos),
        splits=splits,
        probe=probe,
        workers=workers,
        to=to,
        workspace=workspace,
        terminal=Terminal(json_output=json_output, quiet=quiet, verbose=verbose),
    )


@app.command("activitynet")
def activitynet(
    videos: VideosOption,
    annotations: Annotated[
        Path,
        typer.Option(
            "--annotations", help="Annotation file activity_net.v1-3.min.json.", metavar="FILE", show_default=False
        ),
    ],
    splits: SplitsOption = None,
    probe: ProbeOption = False,
    workers: WorkersOption = None,
    to: ToOption = None,
    workspace: options.WorkspaceOption = options.DEFAULT_WORKSPACE,
    json_output: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> int:
    """Make a dataset from ActivityNet: files v_<id>.mp4 or <id>.mp4. Every annotated segment becomes a clip.

    Example: avzsl prepare activitynet --videos videos/ --annotations activity_net.v1-3.min.json
    """
    from pipeline.datasets.sources.activitynet import find_activitynet

    return prepare_dataset(
        "activitynet",
        videos,
        lambda: find_activitynet(videos, annotations),
        splits=splits,
        probe=probe,
        workers=workers,
        to=to,
        workspace=workspace,
        terminal=Terminal(json_output=json_output, quiet=quiet, verbose=verbose),
    )


@app.command("vggsound")
def vggsound(
    videos: VideosOption,
    listing: Annotated[
        Path,
        typer.Option(
            "--csv",
            help="Clip list vggsound.csv, with the columns id, start, class, and train or test.",
            metavar="FILE",
            show_default=False,
        ),
    ],
    splits: SplitsOption = None,
    probe: ProbeOption = False,
    workers: WorkersOption = None,
    to: ToOption = None,
    workspace: options.WorkspaceOption = options.DEFAULT_WORKSPACE,
    json_output: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> int:
    """Make a dataset from VGGSound: clips <id>_<start>.mp4, or whole videos <id>.mp4, which are cut to ten seconds.

    Example: avzsl prepare vggsound --videos videos/ --csv vggsound.csv
    """
    from pipeline.datasets.sources.vggsound import find_vggsound

    return prepare_dataset(
        "vggsound",
        videos,
        lambda: find_vggsound(videos, listing),
        splits=splits,
        probe=probe,
        workers=workers,
        to=to,
        workspace=workspace,
        terminal=Terminal(json_output=json_output, quiet=quiet, verbose=verbose),
    )


app.command("splits")(splits.command)
app.command("synthetic")(synthetic.command)
