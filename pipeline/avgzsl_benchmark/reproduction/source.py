"""Find the features of a reproduction: in a workspace, or in an official folder, which is imported into one."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.avgzsl_benchmark.importing.feature_files import find_features, layouts_in
from pipeline.avgzsl_benchmark.importing.import_features import import_official
from pipeline.avgzsl_benchmark.importing.official_folder import find_official
from pipeline.base.errors import UsageError
from pipeline.base.progress import Reporter
from pipeline.base.wording import not_a_file
from pipeline.base.workspace import Workspace
from pipeline.datasets.dataset import dataset_record
from pipeline.datasets.official.protocol import BENCHMARKS


@dataclass(frozen=True)
class FeatureSource:
    """The folder that the user gave, and the options for its pieces.

    Attributes:
        folder: an avzsl workspace or an official feature folder.
        method: the name of a folder below `features/`; None for the usual one.
        splits: the folder class-split; None to look next to the features.
        text: a file of class vectors, or the name of a text encoder; None for the folder's own vectors.
    """

    folder: Path
    method: str | None = None
    splits: Path | None = None
    text: str | None = None


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
        return workspace
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
    return workspace


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
    _refuse_other(workspace.root, _benchmark_in(workspace), benchmark)
    if not (workspace.dataset_folder / "splits.yaml").is_file():
        reporter.warn(
            f"{workspace.root} has no splits: classes are held out at random, which is not the benchmark's protocol"
        )


def _benchmark_in(workspace: Workspace) -> str | None:
    """Return the benchmark that was imported or generated in a workspace; None if it is unknown."""
    dataset = dataset_record(workspace.dataset_folder)
    if "generated" in dataset:
        shape = str(dataset.get("source", "")).rpartition("--shape ")[2]
        return shape if shape in BENCHMARKS else None
    record = workspace.stages().get("features")
    found = record.summary.get("report", {}).get("benchmark") if record else None
    return str(found) if found else None


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
