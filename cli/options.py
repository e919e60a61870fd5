"""Options that several commands share, and what they become."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
