"""`avzsl extract`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from cli import options
from cli.console import Terminal
from cli.interruption import interruption
from cli.next_step import show_next
from pipeline.base.wording import counted

if TYPE_CHECKING:
    from pipeline.base.workspace import Workspace
    from pipeline.extraction.extract import ShardReport
    from pipeline.extraction.merge import ExtractionReport
    from pipeline.settings.extraction import ExtractionSettings

_FAILURES_SHOWN = 10


def command(
    source: Annotated[
        Path | None,
        typer.Argument(
            help="Folder of <class>/<video> files, or a manifest.csv. By default the dataset of the workspace.",
            show_default=False,
        ),
    ] = None,
    workspace: options.WorkspaceOption = options.DEFAULT_WORKSPACE,
    extractor: options.ExtractorOption = None,
    weights: options.WeightsOption = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            help="Preprocessing. SeLaVi's sound: avca (44.1 kHz, as in the benchmark), selavi (24 kHz, as the "
            "checkpoints were trained) or clusters (24 kHz, normalised, as in the authors' clustering script). "
            "Pictures of clip-clap: default, or clipclap (as ClipClap published them).",
        ),
    ] = None,
    windows: Annotated[
        str | None,
        typer.Option(
            "--windows",
            help="How a video is cut into seconds: seconds (whole seconds), or avca or tcaf, as the scripts did that "
            "made the benchmark's features.",
        ),
    ] = None,
    width: options.WidthOption = None,
    decoder: Annotated[
        str | None, typer.Option("--decoder", help="Library that decodes the videos: pyav or decord.")
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(
            "--dtype", help="Number format of the stored features: float32, or float16 for half the file size."
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            "--precision",
            help="Number format of the networks: float32, or bfloat16 or float16, which are faster on a GPU (bfloat16 "
            "also with --runtime openvino) but give different features.",
        ),
    ] = None,
    runtime: Annotated[
        str | None,
        typer.Option(
            "--runtime",
            help="How the networks run: auto (the fastest way here), eager (layer by layer), traced (fused, on a CPU) "
            "or openvino (on a CPU). All give the same features.",
        ),
    ] = None,
    workers: Annotated[
        str | None,
        typer.Option("--workers", help="Number of decoding processes, or auto to choose by CPU cores and device."),
    ] = None,
    batch_seconds: Annotated[
        int | None, typer.Option("--batch-seconds", help="Seconds of video that the networks process in one batch.")
    ] = None,
    device: options.DeviceOption = "auto",
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Retry videos that failed before.")] = False,
    allow_failures: options.AllowFailuresOption = False,
    shard: Annotated[
        str | None,
        typer.Option(
            "--part",
            help="Extract only shard i of n; other processes or machines extract the others. Join them with --merge.",
            metavar="i/n",
        ),
    ] = None,
    merge: Annotated[
        bool, typer.Option("--merge", help="Extract nothing, but join the shards extracted with --part.")
    ] = False,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="With --merge: join the shards even if videos are missing.")
    ] = False,
    preset: options.PresetOption = None,
    config: options.ConfigOption = None,
    assignments: options.SetOption = None,
    json_output: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> int:
    """Extract features of sound and picture from every second of the videos, unless they are extracted already.

    Example: avzsl extract videos/
    """
    from pipeline.settings.tree import given_settings

    if merge and (shard or retry_failed):
        raise typer.BadParameter("--merge extracts nothing: remove --part and --retry-failed")
    if allow_missing and not merge:
        raise typer.BadParameter("--allow-missing works only with --merge")
    terminal = Terminal(json_output=json_output, quiet=quiet, verbose=verbose)
    passed = {
        "extraction.extractor.name": extractor,
        "extraction.extractor.weights": weights,
        "extraction.extractor.recipe": recipe,
        "extraction.extractor.windows": windows,
        "extraction.extractor.width": width,
        "extraction.decoder": decoder,
        "extraction.dtype": dtype,
        "extraction.extractor.precision": precision,
        "extraction.runtime": runtime,
        "extraction.workers": workers,
        "extraction.batch_seconds": batch_seconds,
    }
    given = given_settings(preset=preset, config_file=config, assignments=assignments or (), options=passed)
    settings = given.validate().extraction
    work = _Work(options.open_workspace(workspace), source, settings, given.names_in("extraction"), terminal)
    if merge:
        failed = work.merge(allow_missing=allow_missing)
    elif shard:
        failed = work.extract_shard(shard, device=device, retry_failed=retry_failed)
    else:
        failed = work.extract(device=device, retry_failed=retry_failed)
    return 1 if failed and not allow_failures else 0


@dataclass(frozen=True)
class _Work:
    """The arguments of the command. Each method does one of its jobs and returns how many videos failed."""

    workspace: "Workspace"
    source: Path | None
    settings: "ExtractionSettings"
    passed: frozenset[str]
    terminal: Terminal

    def extract(self, *, device: str, retry_failed: bool) -> int:
        from pipeline.base.devices import resolve_device
        from pipeline.extraction.extract import extract

        with interruption() as stop:
            report = extract(
                self.workspace,
                self.source,
                self.settings,
                passed=self.passed,
                device=resolve_device(device, cpu_only=self.settings.needs_cpu),
                reporter=self.terminal,
                retry_failed=retry_failed,
                stop=stop,
            )
        return self._show(report)

    def extract_shard(self, shard: str, *, device: str, retry_failed: bool) -> int:
        from pipeline.base.devices import resolve_device
        from pipeline.extraction.extract import extract_shard
        from pipeline.extraction.shards import parse_shard

        with interruption() as stop:
            report = extract_shard(
                self.workspace,
                self.source,
                self.settings,
                passed=self.passed,
                shard=parse_shard(shard),
                device=resolve_device(device, cpu_only=self.settings.needs_cpu),
                reporter=self.terminal,
                retry_failed=retry_failed,
                stop=stop,
            )
        if self.terminal.json_output:
            self.terminal.document({"part": str(report.shard), **_counts(report)})
        else:
            _show_shard(report, self.terminal)
        return report.failed

    def merge(self, *, allow_missing: bool) -> int:
        from pipeline.extraction.extract import merge

        report = merge(
            self.workspace,
            self.source,
            self.settings,
            passed=self.passed,
            reporter=self.terminal,
            allow_missing=allow_missing,
        )
        return self._show(report)

    def _show(self, report: "ExtractionReport") -> int:
        if self.terminal.json_output:
            self.terminal.document({**_counts(report), "missing": report.missing, "features": str(report.features)})
        else:
            show_report(report, self.terminal)
            show_next(self.terminal, "train", self.workspace.root)
        return report.failed


def _counts(report: "ExtractionReport | ShardReport") -> dict[str, Any]:
    return {
        "videos": report.videos,
        "extracted": report.extracted,
        "reused": report.reused,
        "failed": report.failed,
        "failures": [{"video": video, "reason": reason} for video, reason in report.failures],
    }


def _show_shard(report: "ShardReport", terminal: Terminal) -> None:
    """Show one line about the shard, then its failures."""
    reused = f", {report.reused} of them in an earlier run" if report.reused else ""
    failed = f", {report.failed} failed" if report.failed else ""
    videos = counted(report.extracted + report.reused, "video")
    terminal.show(f"shard {report.shard}: {videos} extracted{reused}{failed}")
    _show_failures(report, terminal)
    terminal.say("Next, when all shards are extracted: avzsl extract --merge")


def _show_failures(report: "ExtractionReport | ShardReport", terminal: Terminal) -> None:
    for video, reason in report.failures[:_FAILURES_SHOWN]:
        terminal.show(f"  {video}: {reason}")
    if report.failed > _FAILURES_SHOWN:
        terminal.show(f"  ... and {report.failed - _FAILURES_SHOWN} more")


def show_report(report: "ExtractionReport", terminal: Terminal) -> None:
    """Show the table at the end of an extraction, or one line if there was nothing to do."""
    for video, warning in report.warnings:
        terminal.detail(f"{video}: {warning}")
    if report.did_nothing:
        known = (
            f" ({counted(report.failed, 'known failure')}; --retry-failed tries them again)" if report.failed else ""
        )
        videos = counted(report.extracted + report.reused, "video")
        terminal.show(f"Nothing to do: {report.features} holds {'the' if report.missing else 'all'} {videos}{known}.")
        return
    table = Table(box=None, show_header=False, padding=(0, 1))
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(overflow="fold")
    size = report.features.stat().st_size
    size_text = f"{size / 2**20:.1f} MiB" if size >= 2**20 else f"{size / 2**10:.0f} KiB"
    table.add_row(
        "extracted",
        str(report.extracted),
        f"{report.seconds} s in the file, {report.visual_width} + {report.audio_width} wide, {size_text}",
    )
    if report.missing:
        table.add_row("missing", str(report.missing), "not extracted yet, so not included")
    if report.reused:
        table.add_row("reused", str(report.reused), "extracted before")
    if report.silent:
        table.add_row("silent", str(report.silent), "no sound, which is marked as absent")
    if report.pictureless:
        table.add_row("no picture", str(report.pictureless), "sound only; the picture is marked as absent")
    if report.warnings:
        table.add_row("warnings", str(len(report.warnings)), "--verbose lists them")
    table.add_row("failed", str(report.failed), str(report.failures_file) if report.failed else "")
    terminal.show(table)
    _show_failures(report, terminal)
    terminal.say(f"{report.extractor}: {report.features}")
