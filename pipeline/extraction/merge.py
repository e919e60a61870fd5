"""The end of an extraction: features.h5 and failures.csv from the parts, and a report of what there is now."""

import contextlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.csv_tables import write_rows
from pipeline.base.errors import PipelineError
from pipeline.base.system import collector_paused
from pipeline.base.workspace import Stage, StageRecord, Workspace
from pipeline.datasets.dataset import Video
from pipeline.extraction.plan import ExtractionPlan, describe_extractor
from pipeline.features.index import StoredFailure, content_fingerprint
from pipeline.features.parts import PartChecks
from pipeline.features.store import open_store


@dataclass(frozen=True)
class ExtractionReport:
    """What an extraction did and what the workspace now holds."""

    videos: int
    extracted: int
    reused: int
    missing: int  # not extracted yet; merged without them on request
    failures: tuple[tuple[str, str], ...]  # video, reason
    new_failures: int
    merged: bool  # features.h5 was written
    features: Path
    failures_file: Path
    seconds: int  # of all features
    silent: int  # videos without sound
    pictureless: int
    feature_width: int
    extractor: str  # in words
    warnings: tuple[tuple[str, str], ...]  # video, warning

    @property
    def failed(self) -> int:
        """Videos without features."""
        return len(self.failures)

    @property
    def did_nothing(self) -> bool:
        """Whether everything was there already."""
        return self.extracted == 0 and self.new_failures == 0 and not self.merged


@collector_paused()
def merge_parts_of(
    plan: ExtractionPlan, *, new: Collection[Video] = (), missing: Collection[Video] = ()
) -> ExtractionReport:
    """Merge the parts, list failures, remember the stage, and say what there is now.

    Args:
        plan: dataset and part files.
        new: videos that were extracted just now.
        missing: videos to leave out, as they are not extracted, or changed since.

    Raises:
        DamagedFileError: features in a part are not what was written there; features.h5 is as it was.
        StorageError: no space.
    """
    without = {video.key for video in missing}
    videos = [video for video in plan.dataset.videos if video.key not in without]
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
        silent=sum(not row.has_audio for row in rows),
        pictureless=sum(not row.has_visual for row in rows),
        feature_width=int(plan.attributes["feature_width"]),
        extractor=describe_extractor(plan.attributes),
        warnings=tuple((row.video, row.warnings) for row in rows if row.warnings),
    )
    _record(plan.workspace, report, content)
    return report


def _content_of(features: Path, checks: PartChecks) -> str | None:
    """What a features.h5 holds; None where there is none that is whole. One that is not as it was written is read."""
    if not features.exists():
        return None
    with contextlib.suppress(PipelineError), open_store(features) as store:
        if not checks.is_checked(features):
            store.check(store.features("visual"), store.features("audio"))
            checks.note(features)
        return str(store.attributes.get("content"))
    return None


def _write_failures(path: Path, failures: Sequence[StoredFailure]) -> None:
    write_rows(path, [("video", "reason"), *((failure.video, failure.reason) for failure in failures)])


def _record(workspace: Workspace, report: ExtractionReport, content: str) -> None:
    former = workspace.stages().get(Stage.FEATURES)
    if former and former.fingerprint == content and report.did_nothing:
        return
    summary = {
        "videos": report.videos,
        "extracted": report.videos - report.failed - report.missing,
        "failed": report.failed,
        "extractor": report.extractor,
    }
    record = StageRecord(fingerprint=content, output=str(report.features.relative_to(workspace.root)), summary=summary)
    workspace.record(Stage.FEATURES, record)
