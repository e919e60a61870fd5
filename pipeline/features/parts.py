"""The part files of one extractor: which videos are finished, and how new part files are written.

A part file never changes, and it appears whole or not at all. So a killed extraction loses at most the videos that
were not written yet. If a video was extracted twice, the newest part file counts.
"""

import contextlib
import dataclasses
import os
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from extractors.files.checksums import sha256_of_file
from pipeline.base.errors import DamagedFileError, StorageError
from pipeline.base.files import may_not_be_written, read_document, storage_errors, write_json
from pipeline.base.progress import Reporter
from pipeline.datasets.dataset import Video
from pipeline.features.attributes import Attributes
from pipeline.features.index import SourceFile, StoredFailure, StoredVideo
from pipeline.features.store import FeatureRows, merge_parts, open_store, write_part

MAX_PART_VIDEOS = 512
MAX_PART_SECONDS = 5000
MAX_PART_AGE_SECONDS = 30.0  # a kill loses about this much work at most, even on a slow machine

_Key = tuple[str, float | None, float | None]

_FILE = "checked.json"


def key_of(video: Video) -> _Key:
    """Return the key of a video: its name and its segment."""
    return video.key, video.start_seconds, video.end_seconds


def source_of(path: Path) -> SourceFile:
    """Return the hash, size and time of a file; zeros if it cannot be read, and decoding gives the reason."""
    try:
        if not path.is_file():
            return SourceFile("", 0, 0)
        stat = path.stat()
        return SourceFile(sha256_of_file(path), stat.st_size, stat.st_mtime_ns)
    except OSError:
        return SourceFile("", 0, 0)


def unchanged(path: str, source: SourceFile) -> bool:
    """Say whether a file is still the one that features were made from.

    The content decides. If size and time are the same, the file is not read. A missing file counts as unchanged: its
    features stay valid. A file that was unreadable counts as unchanged while it is still unreadable.
    """
    try:
        stat = os.stat(path)  # noqa: PTH116 - there may be 200,000 files
    except OSError:
        return True
    if (stat.st_size, stat.st_mtime_ns) == (source.size_bytes, source.modified_ns):
        return True
    return source_of(Path(path)).content_hash == source.content_hash


@dataclasses.dataclass(frozen=True, slots=True)
class _Location:
    """Where an entry is stored: the index of its part file, and its first row there."""

    entry: StoredVideo | StoredFailure
    part: int
    row: int


class FeatureParts:
    """The content of the part files in a folder.

    Args:
        folder: the folder of the part files; it need not exist.
        read_fully: which part files to read to their last byte: none of them, those that are not known to be whole
            (see `PartChecks`), or all of them.

    Attributes:
        parts: the part files that can be read, the newest last.
        damaged: the part files that cannot be read; their videos count as not extracted.
    """

    def __init__(self, folder: Path, *, read_fully: Literal["none", "unknown", "all"] = "none") -> None:
        """Read the index of every part file; nothing on disk changes."""
        self.folder = folder
        self.parts: list[Path] = []
        self.damaged: list[Path] = []
        self._checks = PartChecks(folder)
        self._locations: dict[_Key, _Location] = {}
        for path in sorted(folder.glob(f"part-{'[0-9]' * 6}-*.h5")):
            known = read_fully == "none" or (read_fully == "unknown" and self._checks.is_checked(path))
            try:
                self._add(path, fully=not known)
            except DamagedFileError:
                self.damaged.append(path)

    def back_up_damaged(self, reporter: Reporter) -> None:
        """Give damaged part files another name, and say so. Call this only while no other process adds part files."""
        with storage_errors(self.folder):
            for path in self.damaged:
                backup = path.with_suffix(".damaged")
                reporter.warn(
                    f"{path} is damaged: its videos are extracted again. "
                    f"The damaged file is saved as {backup.name}; you may delete it"
                )
                path.replace(backup)
        self.damaged = []

    def save_checks(self) -> None:
        """Record that all these part files are whole, because they were read or written just now."""
        self._checks.save()

    def _add(self, path: Path, *, fully: bool) -> None:
        with open_store(path) as store:
            videos, offsets, failures = store.videos(), store.offsets(), store.failures()
            if fully:
                store.check(store.features("visual"), store.features("audio"))
                self._checks.note(path)
        self.parts.append(path)
        part = len(self.parts) - 1
        for video, row in zip(videos, offsets.tolist(), strict=True):
            self._locations[video.key] = _Location(video, part, row)
        for failure in failures:
            self._locations[failure.key] = _Location(failure, part, 0)

    def entry(self, video: Video) -> StoredVideo | StoredFailure | None:
        """Return the newest entry of a video."""
        location = self._locations.get(key_of(video))
        return location.entry if location else None

    def valid_entry(self, video: Video) -> StoredVideo | StoredFailure | None:
        """Return the newest entry of a video if its file has not changed since."""
        entry = self.entry(video)
        return entry if entry and unchanged(video.location, entry.source) else None

    def write(
        self,
        videos: Sequence[tuple[StoredVideo, FeatureRows]],
        failures: Sequence[StoredFailure],
        *,
        widths: tuple[int, int],
        dtype: str,
        attributes: Attributes,
    ) -> None:
        """Add a part file. Its number follows the newest one; a random suffix separates files of several machines."""
        number = 1 + max((int(part.name.split("-")[1]) for part in self.parts), default=0)
        path = self.folder / f"part-{number:06d}-{secrets.token_hex(4)}.h5"
        write_part(path, videos, failures, widths=widths, dtype=dtype, attributes=attributes)
        self._add(path, fully=False)
        self._checks.note(path)

    def rows(self, videos: Sequence[Video]) -> list[StoredVideo]:
        """Return the index rows of the videos that have features, in their order, with their present classes."""
        entries = ((video, self.entry(video)) for video in videos)
        return [
            entry if entry.class_name == video.class_name else dataclasses.replace(entry, class_name=video.class_name)
            for video, entry in entries
            if isinstance(entry, StoredVideo)
        ]

    def merge(self, path: Path, rows: Sequence[StoredVideo], attributes: Attributes) -> None:
        """Copy the features of `rows`, in their order, into one file.

        Raises:
            DamagedFileError: features in a part file are not what was written there.
            StorageError: the disk is full.
        """
        locations = [self._locations[row.key] for row in rows]
        merge_parts(path, self.parts, rows, [(location.part, location.row) for location in locations], attributes)


class PartWriter:
    """Collects finished videos and failures, and writes a part file when there are enough of them."""

    def __init__(self, parts: FeatureParts, *, widths: tuple[int, int], dtype: str, attributes: Attributes) -> None:
        self._parts, self._widths, self._dtype, self._attributes = parts, widths, dtype, attributes
        self._videos: list[tuple[StoredVideo, FeatureRows]] = []
        self._failures: list[StoredFailure] = []
        self._started = time.monotonic()

    def add(self, entry: StoredVideo | StoredFailure, rows: FeatureRows | None = None) -> None:
        """Take one finished video with its features, or one failure without."""
        if isinstance(entry, StoredFailure):
            self._failures.append(entry)
        else:
            self._videos.append((entry, rows or FeatureRows(None, None)))
        seconds = sum(video.seconds for video, _ in self._videos)
        count = len(self._videos) + len(self._failures)
        old = time.monotonic() - self._started > MAX_PART_AGE_SECONDS
        if count >= MAX_PART_VIDEOS or seconds >= MAX_PART_SECONDS or old:
            self.flush()

    def flush(self) -> None:
        """Write the entries that were collected."""
        if self._videos or self._failures:
            self._parts.write(
                self._videos, self._failures, widths=self._widths, dtype=self._dtype, attributes=self._attributes
            )
        self._videos, self._failures = [], []
        self._started = time.monotonic()


class PartChecks:
    """The sizes and times of the part files in a folder that are known to be whole."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / _FILE
        self._before = self._read()
        self._stamps = dict(self._before)

    def is_checked(self, part: Path) -> bool:
        """Say whether a part file is still the one that was recorded."""
        return self._stamps.get(part.name) == _stamp(part)

    def note(self, part: Path) -> None:
        """Record that a part file is whole, as it is now."""
        self._stamps[part.name] = _stamp(part)

    def save(self) -> None:
        """Write the changes. If several processes write at once, the last one wins; the other part files are read.

        Where nothing may be written, the changes are lost, because they only save time.
        """
        if self._stamps != self._before:
            stamps = {**self._read(), **self._stamps}
            self._before = {name: stamp for name, stamp in stamps.items() if (self._file.parent / name).exists()}
            try:
                write_json(self._file, self._before)
            except StorageError as error:
                if not may_not_be_written(error):
                    raise

    def _read(self) -> dict[str, list[int]]:
        if self._file.exists():
            with contextlib.suppress(StorageError):  # without the record, all part files are read
                return read_document(self._file, dict[str, list[int]], StorageError)
        return {}


def _stamp(part: Path) -> list[int]:
    stat = part.stat()
    return [stat.st_size, stat.st_mtime_ns]
