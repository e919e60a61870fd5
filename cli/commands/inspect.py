"""`avzsl inspect`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cli import options
from cli.console import Terminal, fail
from pipeline.base.wording import byte_size, counted, grouped

if TYPE_CHECKING:
    from pipeline.features.inspection.parts_summary import PartsSummary
    from pipeline.features.inspection.report import StoreReport

_MOST_SHOWN = 10
# Attributes that identify the extractor, with the label in front of each; then the attributes shown in other rows.
_EXTRACTOR = {"extractor": "", "recipe": "recipe ", "decoder": "decoder ", "extractor_fingerprint": "fingerprint "}
_SHOWN_ELSEWHERE = {
    *("schema", "weights", "weights_sha256", "dtype", "content", "feature_width", "visual_width", "audio_width"),
    *_EXTRACTOR,
}


def command(
    store: Annotated[
        Path | None,
        typer.Argument(
            help="A features.h5 or a part file. By default the current features.h5 of the workspace.", metavar="FILE"
        ),
    ] = None,
    extractor: options.UsedExtractorOption = None,
    workspace: options.WorkspaceOption = options.DEFAULT_WORKSPACE,
    json_output: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> int:
    """Show the contents of a feature file, list odd seconds, and check the file for damage.

    Example: avzsl inspect
    """
    from pipeline.extraction.side_by_side import features_file
    from pipeline.features.inspection.report import inspect_store
    from pipeline.features.store import remedy

    terminal = Terminal(json_output=json_output, quiet=quiet, verbose=verbose)
    report = inspect_store(store or features_file(options.open_workspace(workspace), extractor), terminal)
    if json_output:
        terminal.document(report.to_json())
    else:
        _show(report, terminal)
    if report.whole:
        return 0
    damaged = [*report.problems, *(f"{name} cannot be read" for name in (report.parts.damaged if report.parts else ()))]
    more = f" (and {len(damaged) - 1} more)" if len(damaged) > 1 else ""
    fail(f"{report.path}: {damaged[0]}{more}: {remedy(report.path)}")
    return 1


def _show(report: "StoreReport", terminal: Terminal) -> None:
    width = " + ".join(str(entry.width) for entry in report.statistics)
    terminal.show(
        f"{report.path} · {byte_size(report.size_bytes)} · schema {report.schema} · "
        + " · ".join(
            text for text in ("/".join(dict.fromkeys(report.dtype.values())), width and f"{width} wide") if text
        )
    )
    facts = Table(box=None, show_header=False, padding=(0, 1))
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, text in _facts(report):
        facts.add_row(name, text)
    terminal.show(facts)
    if report.statistics:
        terminal.show(_statistics_table(report))
    _show_odd(report, terminal)
    _show_integrity(report, terminal)


def _facts(report: "StoreReport") -> Iterator[tuple[str, str]]:
    """Yield a name and a text for each fact about the store."""
    given = report.attributes
    identity = [f"{label}{given[name]}" for name, label in _EXTRACTOR.items() if name in given]
    yield "extractor", ", ".join(identity) or "unknown"
    sha256 = given.get("weights_sha256")
    yield "weights", f"{given.get('weights', 'unknown')}{f', sha256 {sha256}' if sha256 else ''}"
    yield (
        "made with",
        ", ".join(f"{name} {given[name]}" for name in sorted(given.keys() - _SHOWN_ELSEWHERE)) or "unknown",
    )
    classes = {name: count for name, count in report.classes.items() if name}
    each = f" ({min(classes.values())} to {max(classes.values())} per class)" if classes else ""
    yield "videos", f"{grouped(report.videos)} in {len(classes)} classes{each}"
    if report.seconds:
        spread = f"{report.seconds.minimum} to {report.seconds.maximum}, median {report.seconds.median:g}"
        yield "seconds", f"{grouped(report.seconds.total)} (per video: {spread})"
    yield (
        "absent",
        f"sound in {counted(report.absent['audio'], 'video')}, picture in {counted(report.absent['visual'], 'video')}",
    )
    if report.segments:
        yield "segments", f"{counted(report.segments, 'video')} are segments of longer files"
    if report.with_warnings:
        yield (
            "warnings",
            f"{counted(report.with_warnings, 'video')} decoded with a warning (column warnings of the index)",
        )
    if report.failures:
        yield "failed", f"{counted(report.failures, 'video')} listed without features"
    if report.parts:
        yield "part files", _part_files(report.parts)
        if report.parts.failed_videos:
            reasons = [f"{reason} ({count})" for reason, count in list(report.parts.reasons.items())[:3]]
            more = f"; {len(report.parts.reasons) - 3} more reasons" if len(report.parts.reasons) > 3 else ""
            yield "failures", f"{counted(report.parts.failed_videos, 'video')}: {'; '.join(reasons)}{more}"


def _part_files(parts: "PartsSummary") -> str:
    damaged = f", {len(parts.damaged)} cannot be read" if parts.damaged else ""
    entries = f"{counted(parts.videos, 'video')} and {parts.failures} failed"
    return f"{counted(parts.files, 'file')}, {byte_size(parts.size_bytes)}, {entries}{damaged}"


def _statistics_table(report: "StoreReport") -> Table:
    """Create the table of statistics by modality; a norm is the length of the vector of one second."""
    # With a box or wider gaps, its nine columns would not fit into 80 characters.
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("modality")
    for name in ("seconds", "mean", "deviation", "min", "max", "mean norm", "min norm", "max norm"):
        table.add_column(name, justify="right")
    for entry in report.statistics:
        numbers = (entry.mean, entry.deviation, entry.minimum, entry.maximum)
        norms = (entry.norm_mean, entry.norm_minimum, entry.norm_maximum)
        cells = (f"{value:.3g}" if entry.seconds else "-" for value in (*numbers, *norms))
        table.add_row(entry.modality, grouped(entry.seconds), *cells)
    return table


def _show_odd(report: "StoreReport", terminal: Terminal) -> None:
    """Show how many odd seconds of each kind there are, then list the first ones."""
    counts = [
        f"{count} {entry.modality} {kind}" for entry in report.statistics for kind, count in sorted(entry.odd.items())
    ]
    if not counts:
        if report.statistics:
            terminal.say("odd seconds: none")
        return
    terminal.warn(f"odd seconds: {', '.join(counts)}")
    for row in report.odd_rows[:_MOST_SHOWN]:
        where = "" if row.second is None else f", second {row.second}"
        terminal.show(f"  {row.modality} {row.kind}: {row.video}{where}")
    if sum(count for entry in report.statistics for count in entry.odd.values()) > _MOST_SHOWN:
        terminal.say(f"  only the first {_MOST_SHOWN} are listed; --json lists up to 10 of each kind")


def _show_integrity(report: "StoreReport", terminal: Terminal) -> None:
    for line in report.unchecked:
        terminal.warn(f"not checked: {line}")
    for line in report.problems:
        terminal.show(f"  damaged: {line}")
    for name in report.parts.damaged if report.parts else ():
        terminal.show(f"  damaged: {name} cannot be read")
    if report.whole:
        terminal.say("integrity: ok")
