"""Options that several commands share, and what they become."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pipeline.base.workspace import Workspace

WorkspaceOption = Annotated[
    Path,
    typer.Option(
        "--workspace",
        "-w",
        envvar="AVZSL_WORKSPACE",
        help="Folder that keeps features, models and reports.",
        show_default=True,
    ),
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:n.")]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on standard output, everything else on standard error.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Only results, warnings and errors.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Also details.")]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="YAML file of settings, as --show-config prints them.", metavar="FILE")
]
PresetOption = Annotated[
    str | None, typer.Option("--preset", help="A named set of settings, such as sample.", metavar="NAME")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Change one setting, such as --set training.epochs=20. May be repeated.", metavar="KEY=VALUE"
    ),
]
WeightsOption = Annotated[
    str | None,
    typer.Option(
        "--weights",
        help="auto, untrained, vgg_sound, kinetics, kinetics_sound, ave, or the file of a SeLaVi checkpoint.",
        metavar="NAME|FILE",
    ),
]
WidthOption = Annotated[
    int | None,
    typer.Option(
        "--width",
        help="Channels of the networks' first stage; 64 is SeLaVi's, fewer are faster (untrained weights only).",
    ),
]
TextOption = Annotated[
    str | None,
    typer.Option(
        "--text",
        help="minilm, a file of vectors (or fasttext:FILE, word2vec:FILE, glove:FILE), clip:FOLDER or clip:MODEL of "
        "the hub. Left out: the one the workspace came with, else minilm.",
        metavar="NAME|FILE",
    ),
]
UnseenOption = Annotated[
    str | None, typer.Option("--unseen", help='Classes to hold out, such as "yoga, drumming".', metavar="NAMES")
]
UnseenFractionOption = Annotated[
    float | None, typer.Option("--unseen-fraction", help="Share of the classes to hold out at random.")
]
SeedOption = Annotated[int | None, typer.Option("--seed", help="Of held-out classes and of training.")]
SeedsOption = Annotated[
    str | None,
    typer.Option("--seeds", help="Train a run each on the same splits, such as 0,1,2.", metavar="NUMBERS"),
]
AllowFailuresOption = Annotated[
    bool, typer.Option("--allow-failures", help="End with exit code 0 even if videos failed.")
]

DEFAULT_WORKSPACE = Path("avzsl-workspace")


def open_workspace(root: Path) -> "Workspace":
    """The workspace of a command."""
    from pipeline.base.workspace import Workspace

    return Workspace(root)


def split_names(text: str | None) -> list[str] | None:
    """Names between commas: "a, b" -> ["a", "b"]; None stays None."""
    if text is None:
        return None
    return [name.strip() for name in text.split(",") if name.strip()]


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
    names = split_names(unseen)
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
