"""The features.h5 that official feature files become, class by class."""

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
from pipeline.features.index import MODALITIES, SourceFile, StoredVideo, content_fingerprint
from pipeline.features.store import Attributes, FeatureRows
from pipeline.features.stream_writer import streamed_store

_READERS: Mapping[str, ReadClassFile] = {"avca": avca.read_class_file, "tcaf": tcaf.read_class_file}


@dataclass
class ImportedStore:
    """What is in the file, and what was found on the way."""

    videos: list[StoredVideo] = field(default_factory=list)
    parts: dict[str, list[str]] = field(default_factory=lambda: {part: [] for part in SPLIT_OF_STAGE.values()})
    widths: dict[str, int] = field(default_factory=dict)
    content: str = ""
    shortened: int = 0  # videos of which one modality had more rows
    repeated: int = 0  # videos that stood twice in a file
    partless: int = 0  # videos of stage_2_train alone
    unlisted: Counter[str] = field(default_factory=Counter)  # class that its part's list leaves out -> videos
    _class_of: dict[str, str] = field(default_factory=dict)

    def take(self, video: StoredVideo) -> None:
        """Note a video; UsageError where it is another class's, too."""
        other = self._class_of.setdefault(video.video, video.class_name)
        if other != video.class_name:
            raise UsageError(f"{video.video!r} is in the classes {other!r} and {video.class_name!r}: a video has one")
        self.videos.append(video)

    def warn(self, reporter: Reporter) -> None:
        """Say what was done about features that do not quite fit."""
        if self.shortened:
            reporter.warn(
                f"{counted(self.shortened, 'video')} with more rows of one modality than of the other: "
                "the longer one was averaged into as many as the shorter has"
            )
        if self.repeated:
            reporter.warn(
                f"{counted(self.repeated, 'video')} listed twice in a file, with the same features: taken once"
            )
        if self.partless:
            reporter.warn(f"{counted(self.partless, 'video')} of stage_2_train alone: in no part of the splits")
        if self.unlisted:
            names = ", ".join(sorted(self.unlisted))
            count = counted(self.unlisted.total(), "video")
            reporter.warn(f"classes that the split's lists leave out, as public code does ({count}): {names}")


def import_store(folder: OfficialFolder, path: Path, reporter: Reporter) -> ImportedStore:
    """Read every file once and write the features.

    Args:
        folder: what to read.
        path: the features.h5, which appears whole or not at all.
        reporter: sees the progress.

    Raises:
        UsageError: a file holds something else, widths or features disagree, a video or class is there twice.
        StorageError: the disk is full, or a file cannot be read.
    """
    reader, imported = ClassReader(_READERS[folder.layout]), ImportedStore()
    of_classes = files_of_classes(folder.features.files, lambda name: _class_called(name, folder))
    for modality in MODALITIES:
        reader.find_width(
            modality, (one for files in of_classes.values() for kind, _, one in files if kind == modality)
        )
    if not reader.widths:
        raise UsageError(f"{folder.features.folder} holds files, but no video in them")
    # A modality of which there is nothing is as wide as the other.
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
                _add_to_part(imported, stored.video, video, class_name, folder)
            tracker.advance()
        attributes = _attributes(folder, imported.widths, dtype)
        identity = fingerprint(attributes)
        imported.content = content_fingerprint(imported.videos, identity)
        store.finish({**attributes, "content": imported.content, "extractor_fingerprint": identity})
    imported.repeated = reader.repeated
    return imported


def _class_called(name: str, folder: OfficialFolder) -> str:
    found = folder.classes.called(name)
    if found is None:
        raise UsageError(
            f"{folder.features.folder} has features of {name!r}, which is no class of {folder.class_split}."
            f"{did_you_mean(name, folder.classes.phrases)}"
        )
    return found


def _stored(video: OfficialVideo, class_name: str, notes: ExportNotes | None) -> tuple[StoredVideo, FeatureRows]:
    """Index row and features of a video, with what avzsl noted when it was the one to export it."""
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


def _add_to_part(imported: ImportedStore, key: str, video: OfficialVideo, name: str, folder: OfficialFolder) -> None:
    """Public code takes a video's part from its folder, and leaves classes out that the part's list lacks."""
    parts = [part for stage, part in SPLIT_OF_STAGE.items() if stage in video.stages]
    imported.partless += not parts
    imported.shortened += video.shortened
    for part in parts:
        if name in folder.classes.listed.get(part, {name}):
            imported.parts[part].append(key)
        else:
            imported.unlisted[name] += 1


def _attributes(folder: OfficialFolder, widths: Mapping[str, int], dtype: str) -> Attributes:
    """Root attributes: whose features these are."""
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
    shape = {"feature_width": visual} if visual == audio else {"visual_width": visual, "audio_width": audio}
    return {**origin, **shape, "dtype": dtype}
