"""Write the features.h5 from official feature files, class by class."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.avgzsl_benchmark.importing.class_reader import ClassReader, OfficialVideo, ReadClassFile, files_of_classes
from pipeline.avgzsl_benchmark.importing.official_folder import OfficialFolder
from pipeline.avgzsl_benchmark.layouts import avca, tcaf
from pipeline.avgzsl_benchmark.layouts.notes import ExportNotes
from pipeline.base.errors import UsageError
from pipeline.base.files import fingerprint
from pipeline.base.progress import Reporter
from pipeline.base.wording import counted, did_you_mean
from pipeline.datasets.official.protocol import SPLIT_OF_STAGE, STAGES
from pipeline.features.attributes import Attributes, widths_as_attributes
from pipeline.features.index import MODALITIES, SourceFile, StoredVideo, content_fingerprint
from pipeline.features.store import FeatureRows
from pipeline.features.stream_writer import streamed_store

_READERS: Mapping[str, ReadClassFile] = {"avca": avca.read_class_file, "tcaf": tcaf.read_class_file}


@dataclass
class ImportedStore:
    """The content of the written file, and the irregularities that were found."""

    videos: list[StoredVideo] = field(default_factory=list)
    videos_by_split: dict[str, list[str]] = field(
        default_factory=lambda: {split: [] for split in SPLIT_OF_STAGE.values()}
    )
    widths: dict[str, int] = field(default_factory=dict)
    content: str = ""
    shortened: int = 0  # videos with more rows of one modality than of the other
    repeated: int = 0  # videos that a file lists twice
    without_split: int = 0  # videos that only stage_2_train has, so that they are in no split
    unlisted: Counter[str] = field(default_factory=Counter)  # class missing in the list of the split -> videos
    _class_of: dict[str, str] = field(default_factory=dict)

    def take(self, video: StoredVideo) -> None:
        """Add a video.

        Raises:
            UsageError: a video that is also in another class.
        """
        other = self._class_of.setdefault(video.video, video.class_name)
        if other != video.class_name:
            raise UsageError(
                f"{video.video!r} is in the classes {other!r} and {video.class_name!r}: a video has one class"
            )
        self.videos.append(video)

    def warn(self, reporter: Reporter) -> None:
        """Warn about features that do not quite fit, and say how they were handled."""
        if self.shortened:
            reporter.warn(
                f"{counted(self.shortened, 'video')} with more rows of one modality than of the other: "
                "the longer modality was averaged to the length of the shorter"
            )
        if self.repeated:
            reporter.warn(
                f"{counted(self.repeated, 'video')} listed twice in a file, with the same features: used once"
            )
        if self.without_split:
            reporter.warn(f"{counted(self.without_split, 'video')} only in stage_2_train: not in any split")
        if self.unlisted:
            names = ", ".join(sorted(self.unlisted))
            count = counted(self.unlisted.total(), "video")
            reporter.warn(
                f"{count} left out, as in the published code, since the split's lists lack their classes: {names}"
            )


def import_store(folder: OfficialFolder, path: Path, reporter: Reporter) -> ImportedStore:
    """Read every file once and write the features.

    Args:
        folder: the official folder to read.
        path: the features.h5 to write, completely or not at all.
        reporter: receives the progress.

    Raises:
        UsageError: a file with other content, widths or features that disagree, a video in two classes, or an unknown
            class.
        StorageError: a full disk, or a file that cannot be read.
    """
    reader, imported = ClassReader(_READERS[folder.layout]), ImportedStore()
    of_classes = files_of_classes(folder.features.files, lambda name: _class_named(name, folder))
    for modality in MODALITIES:
        reader.find_width(
            modality, (one for files in of_classes.values() for kind, _, one in files if kind == modality)
        )
    if not reader.widths:
        raise UsageError(f"{folder.features.folder} has files, but no videos in them")
    # A modality without any features gets the width of the other.
    imported.widths = {name: reader.widths.get(name) or max(reader.widths.values()) for name in MODALITIES}
    dtype = folder.notes.dtype if folder.notes and folder.layout == "tcaf" else "float32"
    with (
        streamed_store(path, imported.widths, dtype) as store,
        reporter.track("reading classes", len(of_classes)) as tracker,
    ):
        for class_name, files in of_classes.items():
            videos = reader.videos(sorted(files, key=lambda file: STAGES.index(file[1])))
            entries = [_stored(video, class_name, folder.notes) for video in videos]
            store.append(entries)
            for (stored, _), video in zip(entries, videos, strict=True):
                imported.take(stored)
                _add_to_splits(imported, stored.video, video, class_name, folder)
            tracker.advance()
        attributes = _attributes(folder, imported.widths, dtype)
        identity = fingerprint(attributes)
        imported.content = content_fingerprint(imported.videos, identity)
        store.finish({**attributes, "content": imported.content, "extractor_fingerprint": identity})
    imported.repeated = reader.repeated
    return imported


def _class_named(name: str, folder: OfficialFolder) -> str:
    found = folder.classes.called(name)
    if found is None:
        raise UsageError(
            f"{folder.features.folder} has features of {name!r}, which is not a class of {folder.class_split}."
            f"{did_you_mean(name, folder.classes.phrases)}"
        )
    return found


def _stored(video: OfficialVideo, class_name: str, notes: ExportNotes | None) -> tuple[StoredVideo, FeatureRows]:
    """Return the index row and features of a video, with the notes of an export by avzsl."""
    name = video.name
    absent = [modality for modality in MODALITIES if notes and name in notes.absent_names(modality)]
    visual = None if "visual" in absent else video.visual
    audio = None if "audio" in absent else video.audio
    digest = hashlib.sha256()
    for rows in (visual, audio):
        digest.update(b"" if rows is None else rows.tobytes())
        digest.update(b"|")
    seconds = next(len(rows) for rows in (video.visual, video.audio) if rows is not None)
    start, end = notes.segments.get(name, (None, None)) if notes else (None, None)
    stored = StoredVideo(
        video=notes.videos.get(name, name) if notes else name,
        source=SourceFile(digest.hexdigest(), 0, 0),
        seconds=seconds,
        has_audio=audio is not None,
        has_visual=visual is not None,
        duration_seconds=notes.duration_seconds.get(name, float(seconds)) if notes else float(seconds),
        class_name=notes.classes.get(class_name, class_name) if notes else class_name,
        start_seconds=start,
        end_seconds=end,
        warnings=notes.warnings.get(name, "") if notes else "",
    )
    return stored, FeatureRows(visual, audio)


def _add_to_splits(imported: ImportedStore, key: str, video: OfficialVideo, name: str, folder: OfficialFolder) -> None:
    """Add a video to its splits, as the published code does.

    The folder of a video gives its split. Classes that are missing in the list of the split are left out.
    """
    splits = [split for stage, split in SPLIT_OF_STAGE.items() if stage in video.stages]
    imported.without_split += not splits
    imported.shortened += video.shortened
    for split in splits:
        if name in folder.classes.listed.get(split, {name}):
            imported.videos_by_split[split].append(key)
        else:
            imported.unlisted[name] += 1


def _attributes(folder: OfficialFolder, widths: Mapping[str, int], dtype: str) -> Attributes:
    """Return the root attributes, which name the origin of the features."""
    if folder.notes is not None:
        origin = dict(folder.notes.attributes)
    else:
        origin = {
            "extractor": "imported",
            "layout": folder.layout,
            "method": folder.features.folder.name,
            "weights": "imported",
            "decoder": "none",
        }
    if folder.layout == "avca":
        origin["averaged"] = True
    visual, audio = widths["visual"], widths["audio"]
    shape = widths_as_attributes(visual=visual, audio=audio)
    return {**origin, **shape, "dtype": dtype}
