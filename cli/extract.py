"""`avzsl extract`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cli import options
from cli.console import Terminal

if TYPE_CHECKING:
    from pipeline.extraction import ExtractionReport


def command(
    source: Annotated[
        Path | None,
        typer.Argument(
            help="Folder <class>/<video>, or a manifest.csv. Left out: the dataset of the workspace.",
            show_default=False,
        ),
    ] = None,
    workspace: options.WorkspaceOption = options.DEFAULT_WORKSPACE,
    weights: options.WeightsOption = None,
    recipe: Annotated[
        str | None,
        typer.Option("--recipe", help="avca (44.1 kHz, the benchmark's) or selavi (24 kHz, the checkpoints')."),
    ] = None,
    width: options.WidthOption = None,
    decoder: Annotated[str | None, typer.Option("--decoder", help="pyav or decord.")] = None,
    dtype: Annotated[str | None, typer.Option("--dtype", help="float32, or float16 for half the disk.")] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", help="Decoding processes; all cores but one by default.")
    ] = None,
    batch_seconds: Annotated[
        int | None, typer.Option("--batch-seconds", help="Seconds of video the network sees at once.")
    ] = None,
    device: options.DeviceOption = "auto",
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try videos again that failed before.")] = False,
    allow_failures: options.AllowFailuresOption = False,
    preset: options.PresetOption = None,
    config: options.ConfigOption = None,
    assignments: options.SetOption = None,
    json_output: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> int:
    """Turn videos into per-second features of sound and picture. Finished videos are never extracted twice.

    Example: avzsl extract videos/
    """
    from pipeline.config import load_settings
    from pipeline.devices import resolve_device
    from pipeline.extraction import extract

    terminal = Terminal(json_output=json_output, quiet=quiet, verbose=verbose)
    given = {
        "extraction.extractor.weights": weights,
        "extraction.extractor.recipe": recipe,
        "extraction.extractor.width": width,
        "extraction.decoder": decoder,
        "extraction.dtype": dtype,
        "extraction.workers": workers,
        "extraction.batch_seconds": batch_seconds,
    }
    settings = load_settings(preset=preset, config_file=config, assignments=assignments or (), options=given)
    report = extract(
        options.open_workspace(workspace),
        source,
        settings.extraction,
        device=resolve_device(device),
        reporter=terminal,
        retry_failed=retry_failed,
    )
    if json_output:
        terminal.document(
            {
                "videos": report.videos,
                "extracted": report.extracted,
                "reused": report.reused,
                "failed": report.failed,
                "features": str(report.features),
                "failures": [{"video": video, "reason": reason} for video, reason in report.failures],
            }
        )
    else:
        show_report(report, terminal)
        terminal.say("Next: avzsl train")
    return 1 if report.failed and not allow_failures else 0


def show_report(report: "ExtractionReport", terminal: Terminal) -> None:
    """The table at the end of an extraction, or the one line that says there was nothing to do."""
    for video, warning in report.warnings:
        terminal.detail(f"{video}: {warning}")
    if report.did_nothing:
        known = f" ({report.failed} known failures; --retry-failed tries them again)" if report.failed else ""
        terminal.show(f"Nothing to do: {report.features} holds all {report.videos - report.failed} videos{known}.")
        return
    table = Table(box=None, show_header=False, padding=(0, 1))
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(overflow="fold")
    size = report.features.stat().st_size
    in_words = f"{size / 2**20:.1f} MiB" if size >= 2**20 else f"{size / 2**10:.0f} KiB"
    table.add_row(
        "extracted",
        str(report.extracted),
        f"{report.seconds} s in the file, {report.feature_width} + {report.feature_width} wide, {in_words}",
    )
    if report.reused:
        table.add_row("reused", str(report.reused), "extracted before")
    if report.silent:
        table.add_row("silent", str(report.silent), "no sound: marked absent")
    if report.pictureless:
        table.add_row("no picture", str(report.pictureless), "sound only: marked absent")
    if report.warnings:
        table.add_row("warnings", str(len(report.warnings)), "--verbose lists them")
    table.add_row("failed", str(report.failed), str(report.failures_file) if report.failed else "")
    for video, reason in report.failures[:10]:
        table.add_row("", "", f"{video}: {reason}")
    if len(report.failures) > 10:
        table.add_row("", "", f"... and {len(report.failures) - 10} more")
    terminal.show(table)
    terminal.say(f"{report.extractor}: {report.features}")
