"""`avzsl prepare synthetic`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import options
from cli.console import Terminal
from cli.next_step import show_next
from cli.tables import plain_table, show_splits
from pipeline.base.wording import byte_size, grouped

if TYPE_CHECKING:
    from pipeline.avgzsl_benchmark.synthetic.prepare import SyntheticReport


def command(
    shape: Annotated[
        str,
        typer.Option(
            "--shape",
            help="Shape of the data: ucf, activitynet or vggsound (1.8 GiB), or small for a quick test.",
        ),
    ] = "small",
    benchmark: Annotated[
        Path | None,
        typer.Option(
            "--benchmark",
            help="Folder with UCF/class-split and w2v_features, for official class names, sizes and class vectors.",
            metavar="DIR",
        ),
    ] = None,
    recipe_name: Annotated[
        str,
        typer.Option(
            "--recipe",
            help="Properties of the data: plain, or lifelike, which switches on every property of real videos. "
            "pipeline/avgzsl_benchmark/README.md explains them.",
            metavar="NAME",
        ),
    ] = "plain",
    audio_strength: Annotated[
        float | None,
        typer.Option(
            "--audio-strength", help="How strongly the audio features depend on the class. By default 0.4 (plain)."
        ),
    ] = None,
    visual_strength: Annotated[
        float | None,
        typer.Option(
            "--visual-strength", help="How strongly the visual features depend on the class. By default 0.8 (plain)."
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Random seed.", min=0)] = 0,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Change one value of the recipe, such as --set noise=0.5. Other values are own, second_noise, "
            "missing_audio, missing_visual, dtype, zeros, spectrum, autocorrelation, background, background_strength, "
            "order_pairs, order_strength, unreliable, foreign_sound and shared. Can be repeated.",
            metavar="NAME=VALUE",
        ),
    ] = None,
    workspace: options.WorkspaceOption = options.DEFAULT_WORKSPACE,
    json_output: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> int:
    """Make a workspace of generated features in the shape of a benchmark, to try settings without videos.

    Example: avzsl prepare synthetic --shape ucf --audio-strength 0.2
    """
    from pipeline.avgzsl_benchmark.synthetic.prepare import prepare_synthetic, recipe_of

    terminal = Terminal(json_output=json_output, quiet=quiet, verbose=verbose)
    values = {"audio_strength": audio_strength, "visual_strength": visual_strength, "seed": seed}
    recipe = recipe_of(values, assignments or (), recipe_name)
    opened = options.open_workspace(workspace)
    with opened.locked("prepare synthetic"):
        report = prepare_synthetic(opened, shape, benchmark, recipe, terminal)
    if json_output:
        counts = {name: {"classes": count[0], "videos": count[1]} for name, count in report.split_counts.items()}
        document = {name: getattr(report, name) for name in ("classes", "listed_classes", "videos", "seconds")}
        files = {"features": str(report.features), "class_vectors": str(report.text)}
        made = {"splits": counts, "class_names": report.class_names, "recipe": dict(report.recipe)}
        terminal.document(document | made | files)
    else:
        _show(report, terminal)
        preset = "" if shape == "small" else f" --preset {shape}"
        show_next(terminal, f"train{preset}", workspace)
    return 0


def _show(report: "SyntheticReport", terminal: Terminal) -> None:
    table = plain_table()
    empty = report.listed_classes - report.classes
    without_videos = f", and {empty} more without videos" if empty else ""
    table.add_row("classes", grouped(report.classes), f"names: {report.class_names}{without_videos}")
    table.add_row("videos", grouped(report.videos), f"{grouped(report.seconds)} s of features")
    table.add_row("features", "", f"{report.features} ({byte_size(report.features.stat().st_size)})")
    table.add_row("text", "", f"{report.text}, used by avzsl train in this workspace")
    recipe = ", ".join(f"{name} {value}" for name, value in report.recipe.items())
    table.add_row("recipe", "", recipe)
    show_splits(table, report.split_counts, str(report.folder / "splits.yaml"))
    terminal.show(table)
