"""`avzsl export avca` and `avzsl export tcaf`."""

from pathlib import Path
from typing import Annotated

import typer

from cli import options
from cli.console import Terminal
from pipeline.base.wording import shell_quoted

app = typer.Typer(
    help="Write the workspace's features in the format that the AVCA, TCaF and ClipClap code reads.",
    no_args_is_help=True,
    context_settings=options.ANY_CASE,
)

TargetArgument = Annotated[Path, typer.Argument(help="Folder to write into; it must be new or empty.", metavar="DIR")]
BenchmarkOption = Annotated[
    str | None,
    typer.Option(
        "--benchmark",
        help="Dataset as which the published code reads the features: ucf, activitynet or vggsound.",
        metavar="NAME",
    ),
]
ExportedTextOption = Annotated[
    str | None,
    typer.Option("--text", help="Text encoder or file of vectors. By default the one recorded in the workspace."),
]


@app.command("avca")
def export_avca(
    target: TargetArgument,
    workspace: options.WorkspaceOption = options.DEFAULT_WORKSPACE,
    benchmark: BenchmarkOption = None,
    text: ExportedTextOption = None,
    json_output: options.JsonOption = False,
    quiet: options.QuietOption = False,
) -> int:
    """Export for the AVCA code: one vector per video, the mean over its seconds.

    Example: avzsl export avca datasets/UCF
    """
    return _export("avca", target, workspace, benchmark, text, Terminal(json_output=json_output, quiet=quiet))


@app.command("tcaf")
def export_tcaf(
    target: TargetArgument,
    workspace: options.WorkspaceOption = options.DEFAULT_WORKSPACE,
    benchmark: BenchmarkOption = None,
    text: ExportedTextOption = None,
    json_output: options.JsonOption = False,
    quiet: options.QuietOption = False,
) -> int:
    """Export for the TCaF and ClipClap code: one vector per second.

    Example: avzsl export tcaf datasets/UCF
    """
    return _export("tcaf", target, workspace, benchmark, text, Terminal(json_output=json_output, quiet=quiet))


def _export(
    layout: str, target: Path, workspace: Path, benchmark: str | None, text: str | None, terminal: Terminal
) -> int:
    from pipeline.avgzsl_benchmark.exporting.export_features import export_features
    from pipeline.datasets.official.protocol import BENCHMARKS

    opened = options.open_workspace(workspace)
    report = export_features(opened, layout, target, reporter=terminal, benchmark=benchmark, text=text)
    if terminal.json_output:
        terminal.document(report.to_json())
        return 0
    done = "Nothing to do: " if report.did_nothing else ""
    terminal.show(
        f"{done}{report.folder}: {report.videos} videos in {report.classes} classes, {report.files} feature files"
    )
    changed = [f"{name!r} to {other!r}" for name, other in report.renamed_classes.items()]
    if changed:
        terminal.say(
            f" classes renamed in the exported files: {', '.join(changed[:5])}{' ...' if len(changed) > 5 else ''}"
        )
    if report.renamed_videos:
        terminal.say(f" {report.renamed_videos} videos have shorter names in the exported files")
    dataset = BENCHMARKS[report.benchmark].dataset
    terminal.say(
        f"The published code reads it with --root_dir {shell_quoted(str(report.folder))} --dataset_name {dataset}"
    )
    return 0
