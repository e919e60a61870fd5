"""What a store of features holds, and whether it is whole. Reads only, and never more than a block of it at a time."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pipeline.base.errors import StorageError, UsageError
from pipeline.base.files import storage_errors
from pipeline.base.progress import Reporter
from pipeline.base.wording import counted, does_not_exist
from pipeline.features.index import MODALITIES, table_checksum
from pipeline.features.inspection.checksums import FeatureChecksums
from pipeline.features.inspection.index_check import IndexSummary, read_index
from pipeline.features.inspection.parts_summary import PartsSummary, parts_beside
from pipeline.features.inspection.second_statistics import REPEATED, ModalityStatistics, modality_statistics
from pipeline.features.store import SCHEMA


@dataclass(frozen=True)
class OddRow:
    """A second that deserves a look.

    Attributes:
        modality: visual or audio.
        kind: what is odd about it.
        video: the video's name, with the segment where it is one.
        second: its place in the video, from 0; None: all of them.
    """

    modality: str
    kind: str
    video: str
    second: int | None


@dataclass(frozen=True)
class SecondsSummary:
    """How long the videos are, in seconds."""

    total: int
    minimum: int
    median: float
    maximum: int


@dataclass(frozen=True)
class StoreReport:
    """What a store holds.

    Attributes:
        path: the file.
        size_bytes: of the file.
        schema: version of the layout.
        dtype: of the features, by modality.
        attributes: which extractor made them, and how.
        videos: how many.
        classes: how many videos each class has; '' where videos have none.
        seconds: None without videos.
        absent: videos without the modality, by modality.
        segments: videos that are a segment of a file.
        with_warnings: videos that decoded with a warning.
        failures: videos that a part file lists as failed.
        statistics: by modality; none where the index does not fit.
        odd_rows: the first odd seconds of each kind.
        problems: a line for each thing that is damaged.
        unchecked: a line for each check that could not be made.
        parts: the part files beside it; None: it lies in no workspace.
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
        """Whether nothing is damaged, part files included."""
        return not self.problems and not (self.parts and self.parts.damaged)

    def to_json(self) -> dict[str, Any]:
        """The document of `inspect --json`."""
        document = dataclasses.asdict(self)
        for entry in document["statistics"]:
            del entry["odd_rows"], entry["unreadable"]  # said by name in odd_rows and problems
        return document | {"path": str(self.path), "whole": self.whole}


def inspect_store(path: Path, reporter: Reporter) -> StoreReport:
    """Read all of a features.h5 or a part file once.

    Raises:
        StorageError: there is no such file, it is no store, or it is too damaged to say anything about it.
    """
    with _opened(path) as file:
        with _damaged(path, "store of features"):
            attributes = _attributes(file)
            datasets = {modality: file[modality] for modality in MODALITIES}
            index = _index_of(file, datasets, attributes)
            changed = _changed_tables(file, index)
        checksums = FeatureChecksums(index.videos)
        statistics = _all_statistics(datasets, index, checksums, reporter) if index.fits else ()
        return StoreReport(
            path=path,
            size_bytes=path.stat().st_size,
            schema=SCHEMA,
            dtype={name: str(data.dtype) for name, data in datasets.items()},
            attributes=attributes,
            videos=index.videos,
            classes=index.classes,
            seconds=_seconds(index),
            absent=index.absent,
            segments=index.segments,
            with_warnings=index.with_warnings,
            failures=len(file["failures"]) if "failures" in file else 0,
            statistics=statistics,
            odd_rows=_named(file["index"], statistics, index),
            problems=(
                *(f"the table /{name} is not what was written: its checksum differs" for name in changed),
                *index.problems,
                *_shape_problems(datasets, attributes),
                *_content_problems(index, attributes),
                *(_unreadable(entry) for entry in statistics if entry.unreadable),
                *_checksum_problems(file["index"], index, checksums),
            ),
            unchecked=tuple(_unchecked(index, attributes)),
            parts=parts_beside(path),
        )


@contextlib.contextmanager
def _damaged(path: Path, what: str) -> Iterator[None]:
    """Whatever h5py, numpy or a decoder of text raises on damaged bytes, as one line."""
    try:
        yield
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError) as error:
        raise StorageError(
            f"{path} is a damaged {what} ({_words(error)}): "
            "delete it and run avzsl extract again, which merges it anew from the part files"
        ) from error


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The open file, if it is a store of this schema."""
    if not path.exists():
        raise UsageError(does_not_exist(path))
    if path.is_dir():
        raise UsageError(f"{path} is a folder: give the features.h5 in it")
    with storage_errors(path), path.open("rb"):
        pass  # HDF5 would say "not a store" of a file that may not be read
    if not h5py.is_hdf5(path):
        raise StorageError(f"{path} is no store of features: not an HDF5 file. Give a features.h5 of avzsl extract")
    with _damaged(path, "HDF5 file"):
        file = h5py.File(path, "r")
    with file:
        with _damaged(path, "HDF5 file"):
            schema = file.attrs.get("schema")
        if not isinstance(schema, int | np.integer) or schema != SCHEMA:
            what = "HDF5, but not written by avzsl extract" if schema is None else f"of schema {schema}, not {SCHEMA}"
            raise StorageError(f"{path} is no store of features that this avzsl reads: {what}")
        yield file


def _words(error: Exception) -> str:
    """The first line of an error, without quotes around a key."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return text.splitlines()[0] if text else type(error).__name__


def _attributes(file: Any) -> dict[str, Any]:  # noqa: ANN401 - h5py has no types
    values = dict(file.attrs)
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in values.items()}


def _index_of(file: Any, datasets: Mapping[str, Any], attributes: Mapping[str, Any]) -> IndexSummary:  # noqa: ANN401 - as above
    rows = max(len(data) for data in datasets.values())
    return read_index(file["index"], rows=rows, extractor=str(attributes.get("extractor_fingerprint", "")))


def _shape_problems(datasets: Mapping[str, Any], attributes: Mapping[str, Any]) -> list[str]:
    """Whether both modalities have as many rows, and the width and type the attributes say."""
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
    said = attributes["content"]
    if said == index.content:
        return []
    return [f"the index is not what was written: its fingerprint is {index.content}, the attributes say {said}"]


def _unchecked(index: IndexSummary, attributes: Mapping[str, Any]) -> list[str]:
    """What could not be checked, and why."""
    lines = []
    if not index.fits:
        lines.append("the features themselves: the index does not say which second is whose")
    elif index.checksums is None:
        lines.append("the features' checksums: an older avzsl wrote none")
    if "content" not in attributes or "extractor_fingerprint" not in attributes:
        lines.append("the content fingerprint: there is none in the attributes (only a merged features.h5 has one)")
    return lines


def _changed_tables(file: Any, index: IndexSummary) -> list[str]:  # noqa: ANN401 - h5py has no types
    """The tables that do not match their checksums."""
    found = {"index": index.table_checksum}
    if "failures" in file:  # of a part file, which is small
        found["failures"] = table_checksum(file["failures"][...])
    return [name for name, checksum in found.items() if file[name].attrs.get("checksum", checksum) != checksum]


def _checksum_problems(table: Any, index: IndexSummary, checksums: FeatureChecksums) -> list[str]:  # noqa: ANN401 - as above
    """Videos whose features were changed, in a line that names the first."""
    if index.checksums is None or not index.fits:
        return []
    changed = checksums.differing(index.checksums)
    if not len(changed):
        return []
    more = f" (first: {_name(table[int(changed[0])])})" if len(changed) > 1 else f" ({_name(table[int(changed[0])])})"
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
    return f"{entry.modality}: {counted(count, 'second')} from row {entry.unreadable[0][0]} on cannot be read"


def _seconds(index: IndexSummary) -> SecondsSummary | None:
    if not index.videos:
        return None
    seconds = index.seconds
    return SecondsSummary(int(seconds.sum()), int(seconds.min()), float(np.median(seconds)), int(seconds.max()))


def _named(index: Any, statistics: tuple[ModalityStatistics, ...], summary: IndexSummary) -> tuple[OddRow, ...]:  # noqa: ANN401 - h5py has no types
    """The odd rows with the names of their videos, which are read for these few only."""
    order = np.argsort(summary.offsets, kind="stable")
    starts = summary.offsets[order]
    named = []
    for entry in statistics:
        for kind, rows in entry.odd_rows.items():
            for row in rows:
                place = int(order[np.searchsorted(starts, row, side="right") - 1])
                second = None if kind == REPEATED else row - int(summary.offsets[place])
                named.append(OddRow(entry.modality, kind, _name(index[place]), second))
    return tuple(named)


def _name(row: Any) -> str:  # noqa: ANN401 - a row of a compound array
    """A video's name; of a segment, from when to when."""
    name, start, end = row["video"].decode(), float(row["start_seconds"]), float(row["end_seconds"])
    if np.isnan(start) and np.isnan(end):
        return str(name)
    return f"{name} ({0 if np.isnan(start) else start:g} s to {'its end' if np.isnan(end) else f'{end:g} s'})"
