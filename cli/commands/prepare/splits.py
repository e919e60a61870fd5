"""`avzsl prepare splits`."""

from typing import Annotated

import typer

from cli import options
from cli.commands.prepare.report import ToOption
from cli.console import Terminal
from cli.tables import plain_table, show_splits


def command(
    unseen_test: Annotated[
        str | None,
        typer.Option("--unseen-test", help="Classes to test on that are never trained on: 12, or a share: 0.25."),
    ] = None,
    unseen_val: Annotated[
        str | None, typer.Option("--unseen-val", help="Classes that validation holds out, of those left: 8, or 0.2.")
    ] = None,
    seen_test: Annotated[
        float | None, typer.Option("--seen-test", help="Share of each seen class's videos to test on.")
    ] = None,
    seen_val: Annotated[
        float | None, typer.Option("--seen-val", help="Share of what is left of each class for validation.")
    ] = None,
    least_videos: Annotated[
        int, typer.Option("--least-videos", help="Classes with fewer videos are in no part.", min=1)
    ] = 1,
    seed: Annotated[int, typer.Option("--seed", help="Of every choice.", min=0)] = 0,
    to: ToOption = None,
    workspace: options.WorkspaceOption = options.DEFAULT_WORKSPACE,
    json_output: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> int:
    """Splits in the benchmark's two-stage form for a dataset that is here: classes and videos held out at random.

    Example: avzsl prepare splits --unseen-test 12 --unseen-val 8 --seed 0
    """
    from pipeline.datasets.dataset_folder import locked_folder
    from pipeline.datasets.hold_out import Amounts, parse_classes
    from pipeline.datasets.prepare import counts_by_split
    from pipeline.datasets.prepare_splits import prepare_splits

    terminal = Terminal(json_output=json_output, quiet=quiet, verbose=verbose)
    amounts = Amounts(
        unseen_test=parse_classes(unseen_test, "unseen_test"),
        unseen_val=parse_classes(unseen_val, "unseen_val"),
        seen_test=seen_test,
        seen_val=seen_val,
    )
    place = options.open_workspace(workspace)
    with locked_folder(place, to, "splits", place.root) as folder:
        made = prepare_splits(folder, amounts, seed=seed, least_videos=least_videos, reporter=terminal)
    parts = counts_by_split(made.splits, made.dataset)
    if json_output:
        counts = {part: {"classes": classes, "videos": videos} for part, (classes, videos) in parts.items()}
        terminal.document({"splits": counts, "file": str(made.file), "classes_in_no_part": list(made.small)})
        return 0
    table = plain_table()
    show_splits(table, parts, f"{made.file}, seed {seed}")
    terminal.show(table)
    terminal.say("Next: avzsl extract, or avzsl train where features are there already")
    return 0
