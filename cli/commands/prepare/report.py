"""What all ways of preparing share: their options, and what they show."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from cli.console import Terminal
from cli.tables import plain_table, show_splits
from pipeline.base.wording import counted, grouped

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.base.workspace import Workspace
    from pipeline.datasets.prepare import PreparationReport
    from pipeline.datasets.sources.found import Found

VideosOption = Annotated[
    Path, typer.Option("--videos", help="Folder of the video files.", metavar="DIR", show_default=False)
]
SplitsOption = Annotated[
    Path | None,
    typer.Option(
        "--splits", help="Official splits: the folder class-split, or main_split or cls_split in it.", metavar="DIR"
    ),
]
ProbeOption = Annotated[
    bool, typer.Option("--probe", help="Read every file once: real hours, and what is soundless or unreadable.")
]
WorkersOption = Annotated[
    int | None, typer.Option("--workers", help="With --probe: processes; one for every core by default.", min=1)
]
ToOption = Annotated[
    Path | None, typer.Option("--to", help="Write into this folder instead of the workspace.", metavar="DIR")
]

_CLASSES_NAMED = 5


class Preparing:
    """The options of one call; `run` does the work.

    Args:
        words: the command without its options, as it is remembered.
        source: what the user points at.
        workspace: where to.
        to: a folder instead of the workspace; None: there is none.
        splits: of the benchmark; None: no such.
        probe: whether to read every file.
        workers: processes that do; None: one for every core.
        terminal: shows what was done.
    """

    def __init__(
        self,
        words: str,
        source: Path,
        *,
        workspace: "Workspace",
        to: Path | None,
        splits: Path | None,
        probe: bool,
        workers: int | None,
        terminal: Terminal,
    ) -> None:
        self._source, self._workspace, self._to = source, workspace, to
        self._origin = f"avzsl prepare {words} {source.absolute()}"
        self._splits, self._probe, self._workers, self._terminal = splits, probe, workers, terminal

    def run(self, find: "Callable[[], Found]") -> int:
        """Find the videos, prepare them, show the table; always 0, what is wrong is raised."""
        from pipeline.datasets.dataset_folder import locked_folder
        from pipeline.datasets.official.split_lists import read_official_splits
        from pipeline.datasets.prepare import prepare

        official = read_official_splits(self._splits) if self._splits else None
        with locked_folder(self._workspace, self._to, self._origin, self._source) as folder:
            report = prepare(
                find(),
                folder,
                official=official,
                probe=self._probe,
                workers=self._workers,
                reporter=self._terminal,
            )
        if self._terminal.json_output:
            self._terminal.document(report.to_json())
            return 0
        show_report(report, self._terminal)
        to = "" if self._to is None else f" {self._to / 'manifest.csv'}"
        self._terminal.say(f"Next: avzsl extract{to}")
        return 0


def show_report(report: "PreparationReport", terminal: Terminal) -> None:
    """The table at the end of a preparation, and its notes."""
    table = plain_table()
    empty = report.empty_classes
    table.add_row("classes", grouped(report.classes), _named(empty, "without videos") if empty else "")
    table.add_row("videos", grouped(report.videos), escape(str(report.folder / "manifest.csv")))
    table.add_row("hours", *_hours(report))
    table.add_row("missing", grouped(len(report.missing)), _listed_in(report, bool(report.missing)))
    if report.unreadable is None:
        table.add_row("soundless", "?", "--probe checks the files")
    else:
        table.add_row("soundless", grouped(report.soundless or 0), "no sound track" if report.soundless else "")
        if report.pictureless:
            table.add_row("no picture", grouped(report.pictureless), "sound only")
        table.add_row("unreadable", grouped(len(report.unreadable)), _listed_in(report, bool(report.unreadable)))
        for entry in report.unreadable[:_CLASSES_NAMED]:
            table.add_row("", "", escape(f"{entry.video}: {entry.reason}"))
    show_splits(table, report.split_counts, report.splits_from)
    if report.unmatched:
        table.add_row("unmatched", grouped(len(report.unmatched)), escape(str(report.unmatched_file)))
        table.add_row("", "", report.unmatched_words)
        for row in report.examples:
            table.add_row("", "", escape(f"{row.kind} {row.name}: {row.reason}"))
    terminal.show(table)
    for note in report.notes:
        terminal.warn(note)


def _named(names: tuple[str, ...], what: str) -> str:
    more = len(names) - _CLASSES_NAMED
    shown = ", ".join(names[:_CLASSES_NAMED]) + (f" and {grouped(more)} more" if more > 0 else "")
    return escape(f"{grouped(len(names))} more {what}: {shown}")


def _hours(report: "PreparationReport") -> tuple[str, str]:
    known, hours = report.lengths_known, report.seconds / 3600
    if not known:
        return "?", "--probe measures them"
    words = f"{report.seconds:.0f} s" if hours < 1 else ""
    of_some = f"of {counted(known, 'video')} whose length is known" if known < report.videos else words
    return f"{hours:.1f}" if hours >= 10 else f"{hours:.2f}", of_some


def _listed_in(report: "PreparationReport", there: bool) -> str:
    return escape(str(report.missing_file)) if there else ""
