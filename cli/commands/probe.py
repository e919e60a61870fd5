"""`avzsl probe`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cli import options
from cli.console import Terminal, fail
from pipeline.base.wording import byte_size, counted

if TYPE_CHECKING:
    from pipeline.diagnostics.probe.probe import Probe
    from pipeline.diagnostics.probe.tracks import TrackRow


def command(
    clips: Annotated[list[Path], typer.Argument(help="Videos, or folders of videos.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="File for the contact sheet of one clip. By default in probes/ of the workspace.",
            metavar="PNG",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file given with --out if it exists.")] = False,
    decoder: Annotated[
        str | None,
        typer.Option(
            "--decoder",
            help="Library that decodes the clips: pyav or decord. By default as recorded in the workspace.",
            metavar="NAME",
        ),
    ] = None,
    workspace: options.WorkspaceOption = options.DEFAULT_WORKSPACE,
    json_output: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> int:
    """Show how clips are decoded: tracks, seconds, warnings, and a contact sheet of the frames and the sound.

    Example: avzsl probe clip.mp4
    """
    from pipeline.datasets.media_files import find_clips
    from pipeline.diagnostics.probe.probe import decoding_choice, picture_paths, probe

    terminal = Terminal(json_output=json_output, quiet=quiet, verbose=verbose)
    opened = options.open_workspace(workspace)
    found = find_clips(clips)
    pictures = picture_paths(opened, found, out, force=force)
    choice = decoding_choice(opened, decoder)
    probes = []
    for clip, picture in zip(found, pictures, strict=True):
        probes.append(probe(clip, picture, choice, terminal))
        if not json_output:
            _show(probes[-1], terminal)
        if probes[-1].reason:
            fail(f"{clip}: {probes[-1].reason}")
    if json_output:
        terminal.document({"clips": [entry.to_json() for entry in probes]})
    return 1 if any(entry.reason for entry in probes) else 0


def _show(result: "Probe", terminal: Terminal) -> None:
    from pipeline.diagnostics.probe.tracks import track_rows

    if result.media is not None:
        terminal.show(f"{result.path} · {byte_size(result.size_bytes)} · {result.media.container_words}")
        terminal.show(_tracks_table(track_rows(result.media)))
    if result.summary is None:
        return
    modalities = [name for name, present in _modalities(result) if present]
    terminal.show(
        f"{counted(result.summary.seconds, 'second')} of features from {' and '.join(modalities)}, "
        f"decoded by {result.choice.decoder} ({result.summary.duration_seconds:.2f} s)"
    )
    for warning in result.warnings:
        terminal.warn(warning)
    terminal.show(f" {result.picture}")


def _modalities(result: "Probe") -> list[tuple[str, bool]]:
    summary = result.summary
    if summary is None:
        return []
    rate = f"sound at {result.choice.audio_rate_hz / 1000:g} kHz"
    return [("30 frames per second", summary.has_visual), (rate, summary.has_audio)]


def _tracks_table(rows: "Sequence[TrackRow]") -> Table:
    """Create a table with one row per track; a star marks the tracks that are decoded."""
    table = Table(box=None, padding=(0, 1))
    table.add_column("", no_wrap=True, justify="right")
    for name in ("track", "codec", "format"):
        table.add_column(name, overflow="fold")
    for name in ("start", "length"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(row.number, row.kind, row.codec, row.format, row.start, row.length)
    return table
