"""`avzsl prepare`: a dataset from folders, lists and the benchmarks' own files."""

from pathlib import Path
from typing import Annotated

import typer

from cli import options
from cli.commands.prepare import splits, synthetic
from cli.commands.prepare.report import (
    Preparing,
    ProbeOption,
    SplitsOption,
    ToOption,
    VideosOption,
    WorkersOption,
)
from cli.console import Terminal

app = typer.Typer(
    rich_markup_mode="rich",
    help="Make a dataset: which videos there are, their classes, and what is trained and tested on.",
    epilog="Example: avzsl prepare ucf101 --videos UCF-101/ --splits class-split/",
)


@app.command("folder")
def folder(
    source: Annotated[Path, typer.Argument(help="Folder <class>/<video>.", metavar="DIR", show_default=False)],
    splits: SplitsOption = None,
    probe: ProbeOption = False,
    workers: WorkersOption = None,
    to: ToOption = None,
    workspace: options.WorkspaceOption = options.DEFAULT_WORKSPACE,
    json_output: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> int:
    """Class folders: each is a class, and what lies in it are its videos.

    Example: avzsl prepare folder videos/ --probe
    """
    from pipeline.datasets.sources.folder import find_folder

    preparing = Preparing(
        "folder",
        source,
        workspace=options.open_workspace(workspace),
        to=to,
        splits=splits,
        probe=probe,
        workers=workers,
        terminal=Terminal(json_output=json_output, quiet=quiet, verbose=verbose),
    )
    return preparing.run(lambda: find_folder(source))


@app.command("csv")
def csv(
    source: Annotated[
        Path,
        typer.Argument(
            help="Table with a path, a class and, for segments, start and end in seconds.",
            metavar="FILE",
            show_default=False,
        ),
    ],
    videos: Annotated[
        Path | None,
        typer.Option("--videos", help="Folder that paths are relative to; the table's by default.", metavar="DIR"),
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
    """A table of videos and classes, in whatever columns, with a first line of names or without.

    Example: avzsl prepare csv videos.csv
    """
    from pipeline.datasets.sources.csv_list import find_csv

    preparing = Preparing(
        "csv",
        source,
        workspace=options.open_workspace(workspace),
        to=to,
        splits=splits,
        probe=probe,
        workers=workers,
        terminal=Terminal(json_output=json_output, quiet=quiet, verbose=verbose),
    )
    return preparing.run(lambda: find_csv(source, videos))


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
    """UCF101: v_<Class>_gNN_cNN.avi, in class folders or all in one.

    Example: avzsl prepare ucf101 --videos UCF-101/ --splits UCF/class-split/
    """
    from pipeline.datasets.sources.ucf101 import find_ucf101

    preparing = Preparing(
        "ucf101",
        videos,
        workspace=options.open_workspace(workspace),
        to=to,
        splits=splits,
        probe=probe,
        workers=workers,
        terminal=Terminal(json_output=json_output, quiet=quiet, verbose=verbose),
    )
    return preparing.run(lambda: find_ucf101(videos))


@app.command("activitynet")
def activitynet(
    videos: VideosOption,
    annotations: Annotated[
        Path,
        typer.Option("--annotations", help="activity_net.v1-3.min.json.", metavar="FILE", show_default=False),
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
    """ActivityNet: v_<id>.mp4 or <id>.mp4; every annotated segment becomes a clip.

    Example: avzsl prepare activitynet --videos videos/ --annotations activity_net.v1-3.min.json
    """
    from pipeline.datasets.sources.activitynet import find_activitynet

    preparing = Preparing(
        "activitynet",
        videos,
        workspace=options.open_workspace(workspace),
        to=to,
        splits=splits,
        probe=probe,
        workers=workers,
        terminal=Terminal(json_output=json_output, quiet=quiet, verbose=verbose),
    )
    return preparing.run(lambda: find_activitynet(videos, annotations))


@app.command("vggsound")
def vggsound(
    videos: VideosOption,
    listing: Annotated[
        Path,
        typer.Option(
            "--csv", help="vggsound.csv: id, start, class, train or test.", metavar="FILE", show_default=False
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
    """VGGSound: <id>_<start>.mp4 in any of the usual forms, or whole videos <id>.mp4, of which ten seconds are taken.

    Example: avzsl prepare vggsound --videos videos/ --csv vggsound.csv
    """
    from pipeline.datasets.sources.vggsound import find_vggsound

    preparing = Preparing(
        "vggsound",
        videos,
        workspace=options.open_workspace(workspace),
        to=to,
        splits=splits,
        probe=probe,
        workers=workers,
        terminal=Terminal(json_output=json_output, quiet=quiet, verbose=verbose),
    )
    return preparing.run(lambda: find_vggsound(videos, listing))


app.command("splits")(splits.command)
app.command("synthetic")(synthetic.command)
