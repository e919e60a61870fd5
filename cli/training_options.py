"""Options of the commands that train, and the settings that they become."""

from typing import Annotated, Any

import typer

from cli import options

SeedsOption = Annotated[
    str | None,
    typer.Option("--seeds", help="Train a run each on the same splits, such as 0,1,2.", metavar="NUMBERS"),
]


def training_settings(
    *, unseen: str | None, unseen_fraction: float | None, seed: int | None, seeds: str | None
) -> dict[str, Any]:
    """Settings by dotted key; None where an option does not decide.

    An option outdoes what a configuration file says about the same thing: naming classes replaces its random share
    and the other way round, one seed replaces several.

    Raises:
        UsageError: no list of seeds, or beside --seed.
    """
    from pipeline.base.errors import UsageError

    if seed is not None and seeds is not None:
        raise UsageError("--seed and --seeds: give one of them (--seeds 0,1,2 trains three runs on the same splits)")
    names = options.split_names(unseen)
    if names == []:
        raise UsageError('--unseen names no class; give names such as --unseen "yoga, drumming"')
    at_random = unseen_fraction is not None and names is None
    return {
        "holdout.unseen": [] if at_random else names,
        "holdout.anew": True if at_random else None,
        "holdout.unseen_fraction": unseen_fraction,
        "holdout.seed": seed,
        "training.seed": seed,
        "training.seeds": [] if seed is not None else _seeds(seeds),
    }


def _seeds(text: str | None) -> list[int] | None:
    """Different whole numbers between commas; None stays None."""
    from pipeline.base.errors import UsageError

    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts) or len(set(map(int, parts))) < len(parts):
        raise UsageError(f"--seeds {text!r}: expected different whole numbers, such as 0,1,2")
    return [int(part) for part in parts]
