"""The options, the work and the table that all subcommands of `avzsl prepare` with videos share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import options
from cli.console import Terminal
from cli.next_step import show_next
from cli.tables import plain_table, show_splits
from pipeline.base.wording import counted, grouped, shell_quoted

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.datasets.prepare import PreparationReport
    from pipeline.datasets.sources.found import Found

VideosOption = Annotated[
    Path,
    typer.Option(
        "--videos", help="Folder with the video files; subfolders are searched too.", metavar="DIR", show_default=False
    ),
]
SplitsOption = Annotated[
    Path | None,
    typer.Option(
        "--splits",
        help="Folder of official splits: class-split, or main_split or cls_split in it.",
        metavar="DIR",
    ),
]
ProbeOption = Annotated[
    bool,
    typer.Option(
        "--probe", help="Read every file once, to measure the hours and to find soundless and unreadable videos."
    ),
]
WorkersOption = Annotated[
    int | None, typer.Option("--workers", help="With --probe: number of processes. By default one per core.", min=1)
]
ToOption = Annotated[
    Path | None, typer.Option("--to", help="Folder to write into, instead of the workspace.", metavar="DIR")
]

_NAMES_SHOWN = 5


def prepare_dataset(
    name: str,
    source: Path,
    find: "Callable[[], Found]",
    *,
    splits: Path | None,
    probe: bool,
    workers: int | None,
    to: Path | None,
    workspace: Path,
    terminal: Terminal,
) -> int:
    """Find the videos of a source, write them as a dataset, and show a table about it.

    Args:
        name: name of the subcommand, which is recorded with the dataset.
        source: path of the source that the user gave.
        find: finds the videos of the source.
        splits: folder of official splits; None if there are none.
        probe: whether to read every video.
        workers: number of processes that read videos; None for one per core.
        to: folder to write into; None for the workspace.
        workspace: folder of the workspace.
        terminal: receives progress messages and the result.

    Returns:
        The exit code 0; everything that is wrong is raised.
    """
    from pipeline.datasets.dataset_folder import locked_folder
    from pipeline.datasets.moved import follow_move
    from pipeline.datasets.official.split_lists import read_official_splits
    from pipeline.datasets.origin import prepared_origin
    from pipeline.datasets.prepare import prepare
    from pipeline.features.known_files import known_files

    official = read_official_splits(splits) if splits else None
    used = options.open_workspace(workspace)
    with locked_folder(used, to, prepared_origin(name, source), source) as folder:
        if to is None:
            follow_move(folder.path, source, terminal, known_files=lambda: known_files(used))
        report = prepare(find(), folder, official=official, probe=probe, workers=workers, reporter=terminal)
    if terminal.json_output:
        terminal.document(report.to_json())
        return 0
    _show(report, terminal)
    manifest = "" if to is None else f" {shell_quoted(str(to / 'manifest.csv'))}"
    show_next(terminal, f"extract{manifest}", workspace)
    return 0


def _show(report: "PreparationReport", terminal: Terminal) -> None:
    """Show the table about a prepared dataset, then its notes."""
    table = plain_table()
    empty = report.empty_classes
    table.add_row("classes", grouped(report.classes), _named(empty, "without videos") if empty else "")
    table.add_row("videos", grouped(report.videos), str(report.folder / "manifest.csv"))
    table.add_row("hours", *_hours(report))
    table.add_row("missing", grouped(len(report.missing)), _missing_file(report, listed=bool(report.missing)))
    if report.unreadable is None:
        table.add_row("soundless", "?", "use --probe to check the files")
    else:
        table.add_row("soundless", grouped(report.soundless or 0), "no sound track" if report.soundless else "")
        if report.pictureless:
            table.add_row("no picture", grouped(report.pictureless), "sound only")
        table.add_row(
            "unreadable", grouped(len(report.unreadable)), _missing_file(report, listed=bool(report.unreadable))
        )
        for entry in report.unreadable[:_NAMES_SHOWN]:
            table.add_row("", "", f"{entry.video}: {entry.reason}")
    show_splits(table, report.split_counts, report.splits_from)
    if report.unmatched:
        table.add_row("unmatched", grouped(len(report.unmatched)), str(report.unmatched_file))
        table.add_row("", "", report.unmatched_words)
        for row in report.examples:
            table.add_row("", "", f"{row.kind} {row.name}: {row.reason}")
    terminal.show(table)
    for note in report.notes:
        terminal.warn(note)


def _named(names: tuple[str, ...], what: str) -> str:
    more = len(names) - _NAMES_SHOWN
    shown = ", ".join(names[:_NAMES_SHOWN]) + (f" and {grouped(more)} more" if more > 0 else "")
    return f"{grouped(len(names))} more {what}: {shown}"


def _hours(report: "PreparationReport") -> tuple[str, str]:
    known, hours = report.lengths_known, report.seconds / 3600
    if not known:
        return "?", "use --probe to measure them"
    in_seconds = f"{report.seconds:.0f} s" if hours < 1 else ""
    details = f"of {counted(known, 'video')} whose length is known" if known < report.videos else in_seconds
    return f"{hours:.1f}" if hours >= 10 else f"{hours:.2f}", details


def _missing_file(report: "PreparationReport", *, listed: bool) -> str:
    return str(report.missing_file) if listed else ""
