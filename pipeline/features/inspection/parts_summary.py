"""The part files in the folder of a store, and the list of videos that failed."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.csv_tables import read_table
from pipeline.base.errors import StorageError
from pipeline.features.store import open_store


@dataclass(frozen=True)
class PartsSummary:
    """The part files and failures of one extractor.

    Attributes:
        files: how many part files can be read.
        videos: how many entries have features; a video that was extracted twice counts twice.
        failures: how many entries have none.
        size_bytes: the size of these files.
        damaged: the names of the files that cannot be read.
        failed_videos: the number of rows of failures.csv; None if it does not exist or cannot be read.
        reasons: how often failures.csv has each reason, the most frequent first.
    """

    files: int
    videos: int
    failures: int
    size_bytes: int
    damaged: tuple[str, ...]
    failed_videos: int | None
    reasons: dict[str, int]


def parts_beside(store: Path) -> PartsSummary | None:
    """Sum up the folder of a features.h5. Return None outside a workspace. Every part file is opened."""
    folder, failures_file = store.parent / "parts", store.parent / "failures.csv"
    if not folder.is_dir() and not failures_file.is_file():
        return None
    files = videos = failures = size_bytes = 0
    damaged = []
    for path in sorted(folder.glob("part-*.h5")):
        try:
            with open_store(path) as part:
                videos += len(part.videos())
                failures += len(part.failures())
        except StorageError:
            damaged.append(path.name)
        else:
            files += 1
            size_bytes += path.stat().st_size
    reasons: Counter[str] | None = None
    if failures_file.is_file():
        try:
            reasons = Counter(row.get("reason", "") for row in read_table(failures_file))
        except StorageError:
            damaged.append(failures_file.name)
    return PartsSummary(
        files=files,
        videos=videos,
        failures=failures,
        size_bytes=size_bytes,
        damaged=tuple(damaged),
        failed_videos=None if reasons is None else reasons.total(),
        reasons=dict(reasons.most_common()) if reasons else {},
    )
