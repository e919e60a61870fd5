"""The videos of one class from all its files: both modalities and every stage, matched by name."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipeline.avgzsl_benchmark.layouts.class_file import ClassFile, Rows
from pipeline.base.errors import UsageError

ReadClassFile = Callable[[Path], ClassFile]


@dataclass(frozen=True)
class OfficialVideo:
    """A video: features (T, D) and (T, E), None where no file of the modality lists it, and the stages that list it."""

    name: str
    visual: Rows | None
    audio: Rows | None
    stages: frozenset[str]
    shortened: bool  # one modality had more rows than the other


@dataclass
class _Found:
    rows: Rows
    path: Path
    stages: set[str] = field(default_factory=set)


@dataclass
class ClassReader:
    """Reads classes one after the other, and remembers what all files have in common.

    Attributes:
        read: reads one file.
        widths: numbers in a row, by modality; filled in by the first file that has rows.
        repeated: how often a video stood twice in a file, with the same features.
    """

    read: ReadClassFile
    widths: dict[str, int] = field(default_factory=dict)
    repeated: int = 0
    _first: dict[str, Path] = field(default_factory=dict)

    def find_width(self, modality: str, paths: Iterable[Path]) -> None:
        """Read files until one says how wide a modality's rows are."""
        for path in paths:
            for rows in self.read(path).rows[:1]:
                self._check_width(modality, rows, path)
                return

    def videos(self, files: Iterable[tuple[str, str, Path]]) -> list[OfficialVideo]:
        """The videos of a class in the order in which they are met.

        Args:
            files: modality, stage and path of each file.

        Raises:
            UsageError: a file holds something else, another width, or other features of a video than another file.
        """
        found: dict[str, dict[str, _Found]] = {"visual": {}, "audio": {}}
        for modality, stage, path in files:
            self._add(found[modality], modality, stage, self.read(path))
        names = dict.fromkeys(name for by_name in found.values() for name in by_name)
        videos = [_video(name, found["visual"].get(name), found["audio"].get(name)) for name in names]
        return [video for video in videos if video.visual is not None or video.audio is not None]

    def _add(self, found: dict[str, _Found], modality: str, stage: str, file: ClassFile) -> None:
        for name, rows in zip(file.names, file.rows, strict=True):
            self._check_width(modality, rows, file.path)
            known = found.setdefault(name, _Found(rows, file.path))
            if known.rows is not rows and not np.array_equal(known.rows, rows):
                where = f"{file.path} holds" if known.path != file.path else f"{file.path} holds twice"
                other = f" than {known.path}" if known.path != file.path else ""
                raise UsageError(f"{where} {name!r} with other features{other}: one of them is wrong, extract it again")
            self.repeated += stage in known.stages
            known.stages.add(stage)

    def _check_width(self, modality: str, rows: Rows, path: Path) -> None:
        width = self.widths.setdefault(modality, rows.shape[1])
        first = self._first.setdefault(modality, path)
        if rows.shape[1] != width:
            raise UsageError(
                f"{path}: its {modality} features are {rows.shape[1]} wide, those of {first} {width}: "
                "one dataset has one width a modality"
            )


def _video(name: str, visual: _Found | None, audio: _Found | None) -> OfficialVideo:
    stages = frozenset((visual.stages if visual else set()) | (audio.stages if audio else set()))
    pictures, sounds = (found.rows if found and len(found.rows) else None for found in (visual, audio))
    if pictures is None or sounds is None or len(pictures) == len(sounds):
        return OfficialVideo(name, pictures, sounds, stages, shortened=False)
    rows = min(len(pictures), len(sounds))
    return OfficialVideo(name, in_fewer_rows(pictures, rows), in_fewer_rows(sounds, rows), stages, shortened=True)


def in_fewer_rows(features: Rows, rows: int) -> Rows:
    """(T, D) as (rows, D), rows <= T: each is the mean of those whose middle lies in its share of the video."""
    if rows == len(features):
        return features
    place = ((np.arange(len(features)) + 0.5) * rows / len(features)).astype(np.int64)
    starts = np.searchsorted(place, np.arange(rows))
    counts = np.diff([*starts, len(features)])[:, None]
    fewer: Rows = (np.add.reduceat(features.astype(np.float64), starts, axis=0) / counts).astype(features.dtype)
    return fewer


def files_of_classes(
    files: Mapping[str, Mapping[str, Mapping[str, Path]]], class_of: Callable[[str], str]
) -> dict[str, list[tuple[str, str, Path]]]:
    """Class -> its files (modality, stage, path); names of files that differ in case are one class.

    Args:
        files: name of a file -> modality -> stage -> path.
        class_of: name of a file -> class.
    """
    of_classes: dict[str, list[tuple[str, str, Path]]] = {}
    for name, by_modality in files.items():
        entries = of_classes.setdefault(class_of(name), [])
        entries += [
            (modality, stage, path) for modality, stages in by_modality.items() for stage, path in stages.items()
        ]
    return {name: of_classes[name] for name in sorted(of_classes)}
