"""Where the features of an official folder lie: a file for each class, modality and stage (benchmark.md)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.errors import UsageError
from pipeline.base.files import fingerprint, storage_errors
from pipeline.base.wording import did_you_mean, does_not_exist
from pipeline.datasets.official.protocol import FOLDER_OF_MODALITY, STAGES

LAYOUT_OF_ENDING = {".h5": "avca", ".pkl": "tcaf"}
USUAL_METHODS = {"avca": ("main_features",), "tcaf": ("main_features_non_averaged", "main_features_no_averaged")}


@dataclass(frozen=True)
class FeatureFiles:
    """The files of one kind of features.

    Attributes:
        folder: `features/<method>`, which holds audio/<stage>/ and video/<stage>/.
        files: name of a file without its ending -> modality -> stage -> its path.
    """

    folder: Path
    files: Mapping[str, Mapping[str, Mapping[str, Path]]]

    @property
    def paths(self) -> list[Path]:
        """All of them, sorted."""
        return sorted(
            path for by_modality in self.files.values() for stages in by_modality.values() for path in stages.values()
        )

    def fingerprint(self) -> str:
        """A hash over names, sizes and times of all files: another one where the features may have changed."""
        with storage_errors(self.folder):
            stats = [(str(path.relative_to(self.folder)), path.stat()) for path in self.paths]
        return fingerprint([[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats])


def find_features(source: Path, layout: str, method: str | None = None) -> FeatureFiles:
    """The feature files of a dataset's folder, of `features/`, or of a method's folder itself.

    Args:
        source: what the user gave.
        layout: avca or tcaf.
        method: which of several folders below `features/`; None: the usual one, or the only one there is.

    Raises:
        UsageError: there is none, several, or one of the other layout.
    """
    if not source.is_dir():
        raise UsageError(does_not_exist(source) if not source.exists() else f"{source} is a file: give its folder")
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
    """The layouts of which a folder holds features."""
    return sorted({layout for folder in _method_folders(source) for layout in _layouts(folder)})


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
    """What is wrong where no features of a layout are."""
    others = sorted({other for folder in found.values() for other in _layouts(folder)})
    if others:
        return f"{source} holds features of the {others[0]} layout, not of {layout}: run avzsl import {others[0]}"
    ending = next(one for one, name in LAYOUT_OF_ENDING.items() if name == layout)
    return (
        f"{source} holds no official features: expected "
        f"features/{USUAL_METHODS[layout][0]}/{{audio,video}}/stage_1_train/<Class>{ending}"
    )


def _method_folders(source: Path) -> list[Path]:
    """Folders with audio/ and video/: the one given, or those in it, or in its features/."""
    for candidates in ([source], _visible(source), _visible(source / "features")):
        found = [one for one in candidates if all((one / name).is_dir() for name in FOLDER_OF_MODALITY.values())]
        if found:
            return found
    return []


def _layouts(folder: Path) -> list[str]:
    """Which layouts' files lie in the stages of a method's folder."""
    endings = {
        path.suffix
        for name in FOLDER_OF_MODALITY.values()
        for stage in STAGES
        for path in _visible(folder / name / stage)
    }
    return [layout for ending, layout in LAYOUT_OF_ENDING.items() if ending in endings]


def _visible(folder: Path) -> Sequence[Path]:
    """What lies in a folder, sorted; nothing where it does not exist. Hidden files are other programs'."""
    return list(_entries(folder)) if folder.is_dir() else []


def _entries(folder: Path) -> Iterator[Path]:
    with storage_errors(folder):
        yield from sorted(path for path in folder.iterdir() if not path.name.startswith("."))
