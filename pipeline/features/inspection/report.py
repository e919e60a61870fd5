"""The content of a feature file, and whether it is whole. The file is only read, one block at a time."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.progress import Reporter
from pipeline.base.wording import counted
from pipeline.features.index import table_checksum
from pipeline.features.inspection.checksums import FeatureChecksums
from pipeline.features.inspection.index_check import IndexSummary, read_index
from pipeline.features.inspection.parts_summary import PartsSummary, parts_beside
from pipeline.features.inspection.second_statistics import REPEATED, ModalityStatistics, modality_statistics
from pipeline.features.inspection.stored_file import StoredFile, opened


@dataclass(frozen=True)
class OddRow:
    """A second that deserves a look.

    Attributes:
        modality: visual or audio.
        kind: what is odd about it.
        video: the name of the video, with its segment if it is one.
        second: the index of the second in the video, from 0; None for every second.
    """

    modality: str
    kind: str
    video: str
    second: int | None


@dataclass(frozen=True)
class SecondsSummary:
    """The lengths of the videos, in seconds."""

    total: int
    minimum: int
    median: float
    maximum: int


@dataclass(frozen=True)
class StoreReport:
    """The content of a store.

    Attributes:
        path: the file.
        size_bytes: the size of the file.
        schema: the version of the layout.
        dtype: the type of the features of each modality.
        attributes: which extractor made the features, and how.
        videos: how many videos there are.
        classes: how many videos each class has; '' for videos without a class.
        seconds: the lengths of the videos; None without videos.
        absent: how many videos lack each modality.
        segments: how many videos are a segment of a file.
        with_warnings: how many videos were decoded with a warning.
        failures: how many videos a part file lists as failed.
        statistics: one entry for each modality; empty if the index does not fit.
        odd_rows: the first odd seconds of each kind.
        problems: one line for each damage.
        unchecked: one line for each check that was not possible.
        parts: the part files in the same folder; None outside a workspace.
    """

    path: Path
    size_bytes: int
    schema: int
    dtype: Mapping[str, str]
    attributes: Mapping[str, Any]
    videos: int
    classes: Mapping[str, int]
    seconds: SecondsSummary | None
    absent: Mapping[str, int]
    segments: int
    with_warnings: int
    failures: int
    statistics: tuple[ModalityStatistics, ...]
    odd_rows: tuple[OddRow, ...]
    problems: tuple[str, ...]
    unchecked: tuple[str, ...]
    parts: PartsSummary | None

    @property
    def whole(self) -> bool:
        """Whether nothing is damaged, neither the store nor its part files."""
        return not self.problems and not (self.parts and self.parts.damaged)

    def to_json(self) -> dict[str, Any]:
        """Return the document of `inspect --json`."""
        document = dataclasses.asdict(self)
        for entry in document["statistics"]:
            del entry["odd_rows"], entry["unreadable"]  # the named lists odd_rows and problems contain them
        return document | {"path": str(self.path), "whole": self.whole}


def inspect_store(path: Path, reporter: Reporter) -> StoreReport:
    """Read all of a features.h5 or a part file once.

    Raises:
        UsageError: there is no such file.
        StorageError: the file is not a feature file, or too damaged to say anything about it.
    """
    with opened(path) as file:
        features, attributes = file.features, file.attributes
        index = read_index(
            file.index_blocks(),
            len(file.index),
            rows=max(len(data) for data in features.values()),
            extractor=str(attributes.get("extractor_fingerprint", "")),
        )
        checksums = FeatureChecksums(index.videos)
        statistics = _all_statistics(features, index, checksums, reporter) if index.fits else ()
        return StoreReport(
            path=path,
            size_bytes=path.stat().st_size,
            schema=file.schema,
            dtype={name: str(data.dtype) for name, data in features.items()},
            attributes=attributes,
            videos=index.videos,
            classes=index.classes,
            seconds=_seconds(index),
            absent=index.absent,
            segments=index.segments,
            with_warnings=index.with_warnings,
            failures=file.failures,
            statistics=statistics,
            odd_rows=_named(file, statistics, index),
            problems=(
                *_table_problems(file, index),
                *index.problems,
                *([file.changed_attributes] if file.changed_attributes else []),
                *_shape_problems(features, attributes),
                *_content_problems(index, attributes),
                *(_unreadable(entry) for entry in statistics if entry.unreadable),
                *_checksum_problems(file, index, checksums),
            ),
            unchecked=tuple(_unchecked(index, attributes)),
            parts=parts_beside(path),
        )


def _shape_problems(datasets: Mapping[str, Any], attributes: Mapping[str, Any]) -> list[str]:
    """Check that both modalities have equally many rows, and the width and type of the attributes."""
    problems = []
    rows = {modality: len(data) for modality, data in datasets.items()}
    if len(set(rows.values())) > 1:
        problems.append(f"{rows['visual']} seconds of visual features, {rows['audio']} of audio features")
    for modality, data in datasets.items():
        for name, given in (("feature_width", int(data.shape[1])), ("dtype", str(data.dtype))):
            if name in attributes and attributes[name] != given:
                problems.append(f"{modality}: {name} is {given}, the attributes say {attributes[name]}")
    return problems


def _content_problems(index: IndexSummary, attributes: Mapping[str, Any]) -> list[str]:
    if "content" not in attributes or "extractor_fingerprint" not in attributes:
        return []
    written = attributes["content"]
    if written == index.content:
        return []
    return [f"the index is not what was written: its fingerprint is {index.content}, the attributes say {written}"]


def _unchecked(index: IndexSummary, attributes: Mapping[str, Any]) -> list[str]:
    """Say which checks were not possible, and why."""
    lines = []
    if not index.fits:
        lines.append("the features themselves: the index does not say which second belongs to which video")
    if "content" not in attributes or "extractor_fingerprint" not in attributes:
        lines.append("the content fingerprint: the attributes have none (only a merged features.h5 has one)")
    return lines


def _table_problems(file: StoredFile, index: IndexSummary) -> list[str]:
    """Describe the tables that do not match their checksums, or have none."""
    found = {"index": index.table_checksum}
    if file.failures:
        found["failures"] = table_checksum(file.failures_table())
    problems = []
    for name, checksum in found.items():
        written = file.written_checksum(name)
        if written is None:
            problems.append(f"the table /{name} has no checksum")
        elif written != checksum:
            problems.append(f"the table /{name} is not what was written: its checksum differs")
    return problems


def _checksum_problems(file: StoredFile, index: IndexSummary, checksums: FeatureChecksums) -> list[str]:
    """Describe the videos whose features were changed, in a line that names the first."""
    if not index.fits:
        return []
    changed = checksums.differing(index.checksums)
    if not len(changed):
        return []
    first = _name(file.index_row(int(changed[0])))
    more = f" (first: {first})" if len(changed) > 1 else f" ({first})"
    return [f"the features of {counted(len(changed), 'video')} are not what was written: a checksum differs{more}"]


def _all_statistics(
    datasets: Mapping[str, Any], index: IndexSummary, checksums: FeatureChecksums, reporter: Reporter
) -> tuple[ModalityStatistics, ...]:
    total = sum(len(data) for data in datasets.values())
    with reporter.track("reading", total) as tracker:
        return tuple(
            modality_statistics(data, name, index, checksums, tracker.advance) for name, data in datasets.items()
        )


def _unreadable(entry: ModalityStatistics) -> str:
    count = sum(stop - start for start, stop in entry.unreadable)
    return f"{entry.modality}: {counted(count, 'second')} cannot be read, from row {entry.unreadable[0][0]} on"


def _seconds(index: IndexSummary) -> SecondsSummary | None:
    if not index.videos:
        return None
    seconds = index.seconds
    return SecondsSummary(int(seconds.sum()), int(seconds.min()), float(np.median(seconds)), int(seconds.max()))


def _named(file: StoredFile, statistics: tuple[ModalityStatistics, ...], summary: IndexSummary) -> tuple[OddRow, ...]:
    """Give the odd rows the names of their videos. Only these few names are read."""
    order = np.argsort(summary.offsets, kind="stable")
    starts = summary.offsets[order]
    named = []
    for entry in statistics:
        for kind, rows in entry.odd_rows.items():
            for row in rows:
                video = int(order[np.searchsorted(starts, row, side="right") - 1])
                second = None if kind == REPEATED else row - int(summary.offsets[video])
                named.append(OddRow(entry.modality, kind, _name(file.index_row(video)), second))
    return tuple(named)


def _name(row: np.void) -> str:
    """Return the name of a video; for a segment, with its start and its end."""
    name = row["video"].decode(errors="replace")
    start, end = float(row["start_seconds"]), float(row["end_seconds"])
    if np.isnan(start) and np.isnan(end):
        return str(name)
    return f"{name} ({0 if np.isnan(start) else start:g} s to {'its end' if np.isnan(end) else f'{end:g} s'})"
