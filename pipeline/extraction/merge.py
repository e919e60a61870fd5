"""Merge part files into features.h5, write failures.csv, and report the result of an extraction."""

import contextlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.csv_tables import write_rows
from pipeline.base.errors import PipelineError
from pipeline.base.system import collector_paused
from pipeline.base.wording import visible
from pipeline.base.workspace import Stage, StageRecord
from pipeline.datasets.dataset import Video
from pipeline.extraction.plan import ExtractionPlan, describe_extractor
from pipeline.extraction.side_by_side import keep_record
from pipeline.features.attributes import widths_in_attributes
from pipeline.features.index import StoredFailure, content_fingerprint
from pipeline.features.parts import PartChecks
from pipeline.features.store import open_store


@dataclass(frozen=True)
class ExtractionReport:
    """The result of an extraction and the present content of the workspace."""

    videos: int
    extracted: int
    reused: int
    missing: int  # number of videos that are not extracted yet and were left out
    failures: tuple[tuple[str, str], ...]  # (video, reason)
    new_failures: int
    merged: bool  # whether features.h5 was written
    features: Path
    failures_file: Path
    seconds: int  # sum over all videos
    silent: int  # number of videos without sound, if the extractor hears
    pictureless: int  # number of videos without picture, if the extractor sees
    visual_width: int
    audio_width: int
    extractor: str  # its name for people
    warnings: tuple[tuple[str, str], ...]  # (video, warning)

    @property
    def failed(self) -> int:
        """The number of videos without features."""
        return len(self.failures)

    @property
    def did_nothing(self) -> bool:
        """Whether the extraction changed nothing."""
        return self.extracted == 0 and self.new_failures == 0 and not self.merged


@collector_paused()
def merge_parts_of(
    plan: ExtractionPlan, *, new: Collection[Video] = (), missing: Collection[Video] = ()
) -> ExtractionReport:
    """Merge the part files, write the list of failures, record the stage and report the result.

    Args:
        plan: the dataset and its part files.
        new: videos that were extracted just now.
        missing: videos to leave out because they are not extracted, or changed after their extraction.

    Raises:
        DamagedFileError: a part file does not contain the features that were written to it; features.h5 is not changed.
        StorageError: the disk is full.
    """
    left_out = {video.key for video in missing}
    videos = [video for video in plan.dataset.videos if video.key not in left_out]
    rows = plan.parts.rows(videos)
    entries = [plan.parts.entry(video) for video in videos]
    failures = [entry for entry in entries if isinstance(entry, StoredFailure)]
    content = content_fingerprint(rows, plan.identity)
    features, failures_file = plan.folder / "features.h5", plan.folder / "failures.csv"
    checks = PartChecks(plan.folder)
    merged = _content_of(features, checks) != content
    if merged:
        attributes = {**plan.attributes, "content": content, "extractor_fingerprint": plan.identity}
        plan.parts.merge(features, rows, attributes)
        checks.note(features)
    checks.save()
    _write_failures(failures_file, failures)
    new_keys, stored = {video.key for video in new}, {row.video for row in rows}
    visual_width, audio_width = widths_in_attributes(plan.attributes)
    report = ExtractionReport(
        videos=len(plan.dataset.videos),
        extracted=len(new_keys & stored),
        reused=len(stored - new_keys),
        missing=len(missing),
        failures=tuple((failure.video, failure.reason) for failure in failures),
        new_failures=sum(failure.video in new_keys for failure in failures),
        merged=merged,
        features=features,
        failures_file=failures_file,
        seconds=sum(row.seconds for row in rows),
        silent=sum(not row.has_audio for row in rows) if audio_width else 0,
        pictureless=sum(not row.has_visual for row in rows) if visual_width else 0,
        visual_width=visual_width,
        audio_width=audio_width,
        extractor=describe_extractor(plan.attributes),
        warnings=tuple((row.video, row.warnings) for row in rows if row.warnings),
    )
    _record(plan, report, content)
    return report


def _content_of(features: Path, checks: PartChecks) -> str | None:
    """Read the content fingerprint of features.h5; None if the file is missing or damaged.

    If the file changed since its last check, it is read in full first.
    """
    if not features.exists():
        return None
    with contextlib.suppress(PipelineError), open_store(features) as store:
        if not checks.is_checked(features):
            store.check(store.features("visual"), store.features("audio"))
            checks.note(features)
        return str(store.attributes.get("content"))
    return None


def _write_failures(path: Path, failures: Sequence[StoredFailure]) -> None:
    # As escapes, because people show this file in a terminal.
    rows = ((visible(failure.video), visible(failure.reason)) for failure in failures)
    write_rows(path, [("video", "reason"), *rows])


def _record(plan: ExtractionPlan, report: ExtractionReport, content: str) -> None:
    workspace = plan.workspace
    summary: dict[str, str | int | float | bool] = {
        "videos": report.videos,
        "extracted": report.videos - report.failed - report.missing,
        "failed": report.failed,
        "extractor": report.extractor,
    }
    if plan.attributes.get("paired_text"):
        summary["paired_text"] = plan.attributes["paired_text"]
    record = StageRecord(fingerprint=content, output=str(report.features.relative_to(workspace.root)), summary=summary)
    keep_record(plan.folder, record)
    former = workspace.stages().get(Stage.FEATURES)
    if not (former and former.fingerprint == content and report.did_nothing):
        workspace.record(Stage.FEATURES, record)
