"""`avzsl prepare splits`."""

from typing import Annotated

import typer

from cli import options
from cli.commands.prepare.report import ToOption
from cli.console import Terminal
from cli.next_step import show_next
from cli.tables import plain_table, show_splits
from pipeline.base.wording import shell_quoted


def command(
    unseen_test: Annotated[
        str | None,
        typer.Option(
            "--unseen-test", help="Number of unseen classes for testing, such as 12, or their fraction, such as 0.25."
        ),
    ] = None,
    unseen_val: Annotated[
        str | None,
        typer.Option(
            "--unseen-val",
            help="Number of unseen classes for validation, such as 8, or their fraction of the remaining classes.",
        ),
    ] = None,
    seen_test: Annotated[
        float | None, typer.Option("--seen-test", help="Fraction of the videos of each seen class for testing.")
    ] = None,
    seen_val: Annotated[
        float | None,
        typer.Option("--seen-val", help="Fraction of the remaining videos of each seen class for validation."),
    ] = None,
    least_videos: Annotated[
        int,
        typer.Option(
            "--least-videos", help="Minimum number of videos of a class; smaller classes are in no split.", min=1
        ),
    ] = 1,
    seed: Annotated[int, typer.Option("--seed", help="Random seed.", min=0)] = 0,
    to: ToOption = None,
    workspace: options.WorkspaceOption = options.DEFAULT_WORKSPACE,
    json_output: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> int:
    """Make random splits for an existing dataset. They have the two-stage form of the benchmark.

    Example: avzsl prepare splits --unseen-test 12 --unseen-val 8 --seed 0
    """
    from pipeline.datasets.dataset_folder import locked_folder
    from pipeline.datasets.prepare import counts_by_split
    from pipeline.datasets.prepare_splits import prepare_splits
    from pipeline.datasets.splits.amounts import Amounts, parse_amount

    terminal = Terminal(json_output=json_output, quiet=quiet, verbose=verbose)
    amounts = Amounts(
        unseen_test=parse_amount(unseen_test, "unseen_test"),
        unseen_val=parse_amount(unseen_val, "unseen_val"),
        seen_test=seen_test,
        seen_val=seen_val,
    )
    opened = options.open_workspace(workspace)
    with locked_folder(opened, to, "splits", opened.root) as folder:
        made = prepare_splits(folder, amounts, seed=seed, least_videos=least_videos, reporter=terminal)
    splits = counts_by_split(made.splits, made.dataset)
    if json_output:
        counts = {name: {"classes": classes, "videos": videos} for name, (classes, videos) in splits.items()}
        terminal.document({"splits": counts, "file": str(made.file), "classes_in_no_part": list(made.small)})
        return 0
    table = plain_table()
    show_splits(table, splits, f"{made.file}, seed {seed}")
    terminal.show(table)
    show_next(terminal, "status" if to is None else f"extract {shell_quoted(str(to / 'manifest.csv'))}", workspace)
    return 0
