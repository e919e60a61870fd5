"""Read the videos of one class from its files of both modalities and all protocol stages, matched by name."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipeline.avgzsl_benchmark.layouts.class_file import ClassFile, Rows
from pipeline.base.errors import UsageError

ReadClassFile = Callable[[Path], ClassFile]


@dataclass(frozen=True)
class OfficialVideo:
    """A video of an official folder.

    Attributes:
        name: the name in the files.
        visual: features (T, D); None if no visual file lists the video.
        audio: features (T, E); None if no audio file lists the video.
        stages: protocol stages whose files list the video.
        shortened: whether one modality had more rows than the other.
    """

    name: str
    visual: Rows | None
    audio: Rows | None
    stages: frozenset[str]
    shortened: bool


@dataclass
class _Found:
    rows: Rows
    path: Path
    stages: set[str] = field(default_factory=set)


@dataclass
class ClassReader:
    """Reads classes one after the other and checks that all files have the same widths.

    Attributes:
        read: function that reads one file.
        widths: numbers per row, by modality; set by the first file that has rows.
        repeated: number of times a file listed a video again with the same features.
    """

    read: ReadClassFile
    widths: dict[str, int] = field(default_factory=dict)
    repeated: int = 0
    _first: dict[str, Path] = field(default_factory=dict)

    def find_width(self, modality: str, paths: Iterable[Path]) -> None:
        """Read files until one has rows, and record the width of the modality."""
        for path in paths:
            for rows in self.read(path).rows[:1]:
                self._check_width(modality, rows, path)
                return

    def videos(self, files: Iterable[tuple[str, str, Path]]) -> list[OfficialVideo]:
        """Read the videos of a class, in the order in which the files list them.

        Args:
            files: modality, protocol stage and path of each file.

        Raises:
            UsageError: a file with other content or another width, or two files with different features of a video.
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
                others = f"{known.path} and {file.path} list" if known.path != file.path else f"{file.path} lists twice"
                raise UsageError(f"{others} {name!r} with different features: one is wrong, extract the video again")
            self.repeated += stage in known.stages
            known.stages.add(stage)

    def _check_width(self, modality: str, rows: Rows, path: Path) -> None:
        width = self.widths.setdefault(modality, rows.shape[1])
        first = self._first.setdefault(modality, path)
        if rows.shape[1] != width:
            raise UsageError(
                f"{path}: its {modality} features are {rows.shape[1]} wide, those of {first} {width}: "
                "a dataset has one width per modality"
            )


def _video(name: str, visual: _Found | None, audio: _Found | None) -> OfficialVideo:
    stages = frozenset((visual.stages if visual else set()) | (audio.stages if audio else set()))
    visual_rows, audio_rows = (found.rows if found and len(found.rows) else None for found in (visual, audio))
    if visual_rows is None or audio_rows is None or len(visual_rows) == len(audio_rows):
        return OfficialVideo(name, visual_rows, audio_rows, stages, shortened=False)
    count = min(len(visual_rows), len(audio_rows))
    shortened = in_fewer_rows(visual_rows, count), in_fewer_rows(audio_rows, count)
    return OfficialVideo(name, *shortened, stages, shortened=True)


def in_fewer_rows(features: Rows, rows: int) -> Rows:
    """Average features (T, D) into fewer rows (rows, D), rows <= T.

    The video is divided into `rows` equal segments. Each new row is the mean of the old rows whose middle is in its
    segment.
    """
    if rows == len(features):
        return features
    segment = ((np.arange(len(features)) + 0.5) * rows / len(features)).astype(np.int64)
    starts = np.searchsorted(segment, np.arange(rows))
    counts = np.diff([*starts, len(features)])[:, None]
    fewer: Rows = (np.add.reduceat(features.astype(np.float64), starts, axis=0) / counts).astype(features.dtype)
    return fewer


def files_of_classes(
    files: Mapping[str, Mapping[str, Mapping[str, Path]]], class_of: Callable[[str], str]
) -> dict[str, list[tuple[str, str, Path]]]:
    """Group files by class: class -> its files (modality, protocol stage, path).

    Args:
        files: name of a file -> modality -> protocol stage -> path.
        class_of: name of a file -> class; several names may have the same class.
    """
    of_classes: dict[str, list[tuple[str, str, Path]]] = {}
    for name, by_modality in files.items():
        entries = of_classes.setdefault(class_of(name), [])
        entries += [
            (modality, stage, path) for modality, stages in by_modality.items() for stage, path in stages.items()
        ]
    return {name: of_classes[name] for name in sorted(of_classes)}
