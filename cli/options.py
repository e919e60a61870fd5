"""Options that several commands share, and functions that interpret their values."""

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
        help="Folder for features, models and reports.",
        show_default=True,
    ),
]
DeviceOption = Annotated[str, typer.Option("--device", help="Device to compute on: auto, cpu, cuda or cuda:n.")]
JsonOption = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON document on standard output, and everything else on standard error."),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show only results, warnings and errors.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Show details as well.")]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="YAML file of settings, as printed by avzsl train --show-config.", metavar="FILE"),
]
PresetOption = Annotated[
    str | None,
    typer.Option(
        "--preset",
        help="Named set of settings: sample, ucf, activitynet or vggsound. For a rival of DAAN, avzsl methods lists "
        "them, such as avca-ucf.",
        metavar="NAME",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Change one setting, such as --set training.epochs=20. Can be repeated.", metavar="KEY=VALUE"
    ),
]
ExtractorOption = Annotated[
    str | None,
    typer.Option(
        "--extractor",
        help="What sees and hears: selavi (by default), clip-clap, pe-av, r2plus1d or vggish-c3d. avzsl extractors "
        "describes them. Later commands use the one that was extracted last.",
        metavar="NAME",
        show_default=False,
    ),
]
UsedExtractorOption = Annotated[
    str | None,
    typer.Option(
        "--extractor",
        help="Extractor whose features to use, if the workspace holds those of several. By default the one that was "
        "used last.",
        metavar="NAME",
        show_default=False,
    ),
]
WeightsOption = Annotated[
    str | None,
    typer.Option(
        "--weights",
        help="Weights of the feature extractor: auto, or a file or folder. Of SeLaVi also untrained, vgg_sound, "
        "kinetics, kinetics_sound or ave; those with a name have the licence CC-BY-NC 4.0: not for commercial use. "
        "For clip-clap a folder with the folders of both models.",
        metavar="NAME|PATH",
    ),
]
WidthOption = Annotated[
    int | None,
    typer.Option(
        "--width",
        help="Base width of the extractor's networks in channels. Published weights need 64; with untrained weights, a "
        "smaller width is faster.",
    ),
]
TextOption = Annotated[
    str | None,
    typer.Option(
        "--text",
        help="Text encoder: minilm, a file of vectors (or fasttext:FILE, word2vec:FILE, glove:FILE), or the text tower "
        "of a model: clip:FOLDER, clap:FOLDER, pe-av:FOLDER or clip-clap:FOLDER+FOLDER, each also by its name on the "
        "Hugging Face hub. By default the one paired with the extractor of the features, else the one recorded in the "
        "workspace, else minilm.",
        metavar="NAME|FILE",
    ),
]
UnseenOption = Annotated[
    str | None,
    typer.Option("--unseen", help='Classes to hold out from training, such as "yoga, drumming".', metavar="NAMES"),
]
UnseenFractionOption = Annotated[
    float | None, typer.Option("--unseen-fraction", help="Fraction of the classes to hold out from training at random.")
]
SeedOption = Annotated[
    int | None, typer.Option("--seed", help="Random seed for the choice of held-out classes and for training.")
]
SeedsOption = Annotated[
    str | None,
    typer.Option(
        "--seeds", help="Random seeds, such as 0,1,2: train one run per seed on the same splits.", metavar="NUMBERS"
    ),
]
RunSeedsOption = Annotated[
    str,
    typer.Option("--seeds", help="Random seeds: train one run per seed on the same splits.", metavar="NUMBERS"),
]
AllowFailuresOption = Annotated[
    bool, typer.Option("--allow-failures", help="Return exit code 0 even if videos failed.")
]
FiguresOption = Annotated[
    bool, typer.Option("--figures/--no-figures", help="Draw figures. Without them the command is faster.")
]

# For groups whose commands are names of the field: `import AVCA` is as good as `import avca`.
ANY_CASE: dict[str, Any] = {"token_normalize_func": str.lower}

DEFAULT_WORKSPACE = Path("avzsl-workspace")


def open_workspace(root: Path) -> "Workspace":
    """Return the workspace in the folder `root`, which need not exist yet, without what killed commands left there."""
    from pipeline.base.errors import UsageError
    from pipeline.base.wording import not_a_file
    from pipeline.base.workspace import Workspace

    if root.is_symlink() and not root.exists():
        raise UsageError(f"{not_a_file(root)} Give another folder with --workspace")
    workspace = Workspace(root)
    workspace.sweep()
    return workspace


def split_names(text: str | None) -> list[str] | None:
    """Split a list at its commas into names that are not empty: `a, "b, c"` -> ["a", "b, c"]. None stays None."""
    from pipeline.base import csv_tables

    return None if text is None else [name for name in csv_tables.split_names(text) if name]


def training_settings(
    *, unseen: str | None, unseen_fraction: float | None, seed: int | None, seeds: str | None
) -> dict[str, Any]:
    """Convert options into settings: dotted key -> value, or None if the options do not determine the setting.

    An option overrides the configuration file. Naming the held-out classes replaces a random fraction, and a fraction
    replaces named classes. One seed replaces several.

    Raises:
        UsageError: seeds that are not different whole numbers, --seeds together with --seed, or --unseen without a
            class.
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
    """Parse a comma-separated list of different whole numbers; None stays None."""
    from pipeline.base.errors import UsageError

    if text is None:
        return None
    numbers = [number.strip() for number in text.split(",")]
    if not all(number.isdecimal() for number in numbers) or len(set(map(int, numbers))) < len(numbers):
        raise UsageError(f"--seeds {text!r}: expected different whole numbers, such as 0,1,2")
    return [int(number) for number in numbers]
