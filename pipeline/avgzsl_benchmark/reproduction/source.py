"""Find the features of a reproduction: in a workspace, or in an official folder, which is imported into one."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from pipeline.avgzsl_benchmark.importing.feature_files import find_features, layouts_in, method_folders
from pipeline.avgzsl_benchmark.importing.import_features import import_official
from pipeline.avgzsl_benchmark.importing.official_folder import find_official
from pipeline.base.errors import UsageError
from pipeline.base.progress import Reporter
from pipeline.base.wording import did_you_mean, not_a_file
from pipeline.base.workspace import Workspace
from pipeline.datasets.official.known_benchmark import benchmark_in
from pipeline.features.feature_kinds import FEATURE_KINDS, widths_in


@dataclass(frozen=True)
class FeatureSource:
    """The folder that the user gave, and the options for its pieces.

    Attributes:
        folder: an avzsl workspace or an official feature folder.
        kind: main, cls or clip; None for what the folder has.
        method: the name of a folder below `features/`; None for the usual one.
        splits: the folder class-split; None to look next to the features.
        text: a file of class vectors, or the name of a text encoder; None for the folder's own vectors.
    """

    folder: Path
    kind: str | None = None
    method: str | None = None
    splits: Path | None = None
    text: str | None = None


def parse_source(
    features: str, *, method: str | None = None, splits: Path | None = None, text: str | None = None
) -> FeatureSource:
    """Parse the value of --features: a folder, or main:DIR, cls:DIR or clip:DIR.

    Args:
        features: the value.
        method: the name of a folder below `features/`.
        splits: the folder class-split.
        text: a file of class vectors, or the name of a text encoder.

    Raises:
        UsageError: a kind of features without a folder.
    """
    kind, colon, folder = features.partition(":")
    if kind.lower() in FEATURE_KINDS and not Path(features).exists():
        if not colon or not folder.strip():
            raise UsageError(f"--features {features} names no folder: give {kind.lower()}:DIR")
        return FeatureSource(Path(folder), kind=kind.lower(), method=method, splits=splits, text=text)
    near = did_you_mean(kind.lower(), FEATURE_KINDS)
    if colon and near and not Path(features).exists():
        known = ", ".join(FEATURE_KINDS)
        raise UsageError(f"--features {features}: {kind!r} is not a kind of features ({known}).{near}")
    return FeatureSource(Path(features), method=method, splits=splits, text=text)


def workspace_of(source: FeatureSource, benchmark: str, own: Path | None, reporter: Reporter) -> Workspace:
    """Return the workspace to reproduce in; import an official folder if necessary.

    Args:
        source: an avzsl workspace, which is used as it is, or an official feature folder.
        benchmark: a name of `BENCHMARKS`.
        own: the workspace that an official folder is imported into, unless it was imported before; None for
            avzsl-<benchmark>.
        reporter: receives the progress of the import.

    Raises:
        UsageError: a folder of neither kind, features of another benchmark, or options that do not fit a workspace.
    """
    folder = source.folder
    if not folder.is_dir():
        raise UsageError(not_a_file(folder) if not folder.exists() else f"{folder} is a file: give its folder")
    workspace = Workspace(folder)
    if (workspace.dataset_folder / "manifest.csv").is_file():
        _check_workspace(source, workspace, benchmark, own, reporter)
        return _of_kind(source, workspace)
    source = _with_method_of_kind(source)
    layouts = layouts_in(folder)
    if not layouts:
        raise UsageError(
            f"{folder} is neither an avzsl workspace (dataset/manifest.csv) nor an official feature folder "
            "(features/main_features/{audio,video}/stage_1_train)"
        )
    layout = "tcaf" if "tcaf" in layouts and _fits(source, "tcaf") else layouts[0]  # tcaf keeps the seconds
    _refuse_other(
        folder, find_official(folder, layout, method=source.method, splits=source.splits).classes.benchmark, benchmark
    )
    workspace = Workspace(own or Path(f"avzsl-{benchmark}"))
    report = import_official(
        folder,
        layout,
        workspace,
        reporter=reporter,
        method=source.method,
        splits=source.splits,
        text=source.text,
    )
    done = "imported before" if report.did_nothing else "imported"
    reporter.say(
        f"{done}: {report.videos} videos in {report.classes} classes from the {layout} layout, in {workspace.root}"
    )
    return _of_kind(source, workspace)


def _of_kind(source: FeatureSource, workspace: Workspace) -> Workspace:
    """Return the workspace if its features are of the kind that the user named."""
    if source.kind is not None:
        audio, visual = widths_in(workspace.current_features())
        kind = FEATURE_KINDS[source.kind]
        if (audio, visual) != (kind.audio_width, kind.visual_width):
            raise UsageError(
                f"--features {source.kind}:{source.folder}: {kind.title} give visual features of width "
                f"{kind.visual_width} and audio features of width {kind.audio_width}, but these are {visual} and "
                f"{audio} wide: name another kind, or give the folder alone"
            )
    return workspace


def _with_method_of_kind(source: FeatureSource) -> FeatureSource:
    """Choose the folder below `features/` by the kind of features; CLIP and CLAP features are in a folder cls_* too.

    Raises:
        UsageError: no folder of this kind, or several.
    """
    if source.kind is None or source.method is not None:
        return source
    start = "main" if source.kind == "main" else "cls"
    named = method_folders(source.folder)
    found = [name for name in named if name.startswith((start, "clip") if source.kind == "clip" else start)]
    if not found:
        known = ", ".join(named) or "none"
        raise UsageError(
            f"{source.folder} has no features of the kind {source.kind}: expected a folder features/{start}_features*; "
            f"it has {known}. To choose one of them, leave {source.kind}: out and give --method NAME"
        )
    usual = [name for name in found if name.endswith(("non_averaged", "no_averaged"))]  # they keep the seconds
    return dataclasses.replace(source, method=(usual or found)[0])


def _check_workspace(
    source: FeatureSource, workspace: Workspace, benchmark: str, own: Path | None, reporter: Reporter
) -> None:
    """Refuse a workspace that is known to contain another benchmark, and options that have no effect on a workspace."""
    if own is not None and own.resolve() != workspace.root.resolve():
        raise UsageError(f"{workspace.root} is a workspace and is used as it is: leave --workspace {own} out")
    given = {"--method": source.method, "--splits": source.splits}
    ignored = [option for option, value in given.items() if value is not None]
    if ignored:
        raise UsageError(
            f"{workspace.root} is a workspace, so its features are used: leave {' and '.join(ignored)} out"
        )
    _refuse_other(workspace.root, benchmark_in(workspace), benchmark)
    if not (workspace.dataset_folder / "splits.yaml").is_file():
        reporter.warn(
            f"{workspace.root} has no splits: classes are held out at random, which is not the benchmark's protocol"
        )


def _refuse_other(folder: Path, found: str | None, benchmark: str) -> None:
    if found not in {None, benchmark}:
        raise UsageError(f"{folder} has features of {found}: run avzsl reproduce {found}")


def _fits(source: FeatureSource, layout: str) -> bool:
    """Whether the method that the user chose has that layout."""
    if source.method is None:
        return True
    try:
        find_features(source.folder, layout, source.method)
    except UsageError:
        return False
    return True
