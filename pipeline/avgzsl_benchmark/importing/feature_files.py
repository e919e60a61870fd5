"""Find the feature files of an official folder: one for each class, modality and protocol stage.

The folders are described in pipeline/avgzsl_benchmark/README.md.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.errors import UsageError
from pipeline.base.files import fingerprint, storage_errors
from pipeline.base.wording import did_you_mean, not_a_file
from pipeline.datasets.official.protocol import FOLDER_OF_MODALITY, STAGES

LAYOUT_OF_ENDING = {".h5": "avca", ".pkl": "tcaf"}
USUAL_METHODS = {"avca": ("main_features",), "tcaf": ("main_features_non_averaged", "main_features_no_averaged")}


@dataclass(frozen=True)
class FeatureFiles:
    """The files of one kind of features.

    Attributes:
        folder: `features/<method>`, with the folders audio/<stage>/ and video/<stage>/.
        files: name of a file without its ending -> modality -> protocol stage -> path.
    """

    folder: Path
    files: Mapping[str, Mapping[str, Mapping[str, Path]]]

    @property
    def paths(self) -> list[Path]:
        """The paths of all files, sorted."""
        return sorted(
            path for by_modality in self.files.values() for stages in by_modality.values() for path in stages.values()
        )

    def fingerprint(self) -> str:
        """Hash the names, sizes and times of all files; the hash differs if the features may have changed."""
        with storage_errors(self.folder):
            stats = [(str(path.relative_to(self.folder)), path.stat()) for path in self.paths]
        return fingerprint([[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats])


def find_features(source: Path, layout: str, method: str | None = None) -> FeatureFiles:
    """Find the feature files of a dataset's folder, of `features/`, or of a method's folder itself.

    Args:
        source: the folder that the user gave.
        layout: avca or tcaf.
        method: the name of a folder below `features/`; None for the usual one, or the only one.

    Raises:
        UsageError: no folder of features, several folders, or one of the other layout.
    """
    if not source.is_dir():
        raise UsageError(not_a_file(source) if not source.exists() else f"{source} is a file: give its folder")
    folder = _method_folder(source, layout, method)
    ending = next(one for one, name in LAYOUT_OF_ENDING.items() if name == layout)
    files: dict[str, dict[str, dict[str, Path]]] = {}
    for modality, name in FOLDER_OF_MODALITY.items():
        for stage in STAGES:
            for path in _visible(folder / name / stage):
                if path.suffix == ending:
                    files.setdefault(path.name.removesuffix(ending), {}).setdefault(modality, {})[stage] = path
    return FeatureFiles(folder, {name: files[name] for name in sorted(files)})


def layouts_in(source: Path) -> list[str]:
    """List the layouts of the features in a folder."""
    return sorted({layout for folder in _method_folders(source) for layout in _layouts(folder)})


def method_folders(source: Path) -> list[str]:
    """List the names of the folders of features: those in `features/`, or the given one."""
    return [folder.name for folder in _method_folders(source)]


def _method_folder(source: Path, layout: str, method: str | None) -> Path:
    found = {folder.name: folder for folder in _method_folders(source)}
    if method is not None and method not in found:
        known = ", ".join(found) or "none"
        raise UsageError(f"{source} has no features {method!r}; it has {known}.{did_you_mean(method, found)}")
    if method is not None:
        found = {method: found[method]}
    fitting = {name: folder for name, folder in found.items() if layout in _layouts(folder)}
    if not fitting:
        raise UsageError(_nothing_found(source, layout, found))
    usual = [name for name in USUAL_METHODS[layout] if name in fitting]
    if len(fitting) > 1 and not usual:
        raise UsageError(f"{source} has several kinds of features: choose with --method {' or '.join(fitting)}")
    return fitting[usual[0] if usual else next(iter(fitting))]


def _nothing_found(source: Path, layout: str, found: Mapping[str, Path]) -> str:
    """Explain why no features of a layout were found."""
    others = sorted({other for folder in found.values() for other in _layouts(folder)})
    if others:
        return f"{source} has features of the {others[0]} layout, not of {layout}: run avzsl import {others[0]}"
    ending = next(one for one, name in LAYOUT_OF_ENDING.items() if name == layout)
    return (
        f"{source} has no official features: expected "
        f"features/{USUAL_METHODS[layout][0]}/{{audio,video}}/stage_1_train/<Class>{ending}"
    )


def _method_folders(source: Path) -> list[Path]:
    """Find the folders with audio/ and video/: the given one, those in it, or those in its features/."""
    for candidates in ([source], _visible(source), _visible(source / "features")):
        found = [one for one in candidates if all((one / name).is_dir() for name in FOLDER_OF_MODALITY.values())]
        if found:
            return found
    return []


def _layouts(folder: Path) -> list[str]:
    """List the layouts of the files in a method's folder."""
    endings = {
        path.suffix
        for name in FOLDER_OF_MODALITY.values()
        for stage in STAGES
        for path in _visible(folder / name / stage)
    }
    return [layout for ending, layout in LAYOUT_OF_ENDING.items() if ending in endings]


def _visible(folder: Path) -> Sequence[Path]:
    """List the entries of a folder, sorted; none if it does not exist. Hidden files belong to other programs."""
    return list(_entries(folder)) if folder.is_dir() else []


def _entries(folder: Path) -> Iterator[Path]:
    with storage_errors(folder):
        yield from sorted(path for path in folder.iterdir() if not path.name.startswith("."))
