"""Stage 1: videos -> features.h5. Only what is not there yet is extracted."""

import contextlib
import csv
import io
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from extractors.decoding import DecodingRequest, get_decoder
from extractors.decoding_pool import DecodingPool, VideoFailed
from extractors.extraction import VideoFeatures, extract_videos
from extractors.selavi import SelaviExtractor, describe, load_selavi
from extractors.weights import ResolvedWeights
from pipeline.chosen_extractor import choose_extractor, extractor_errors, remember
from pipeline.dataset import Dataset, Video
from pipeline.errors import PipelineError
from pipeline.extraction_settings import ExtractionSettings
from pipeline.feature_parts import FeatureParts, PartWriter, source_of
from pipeline.feature_store import (
    Attributes,
    FeatureRows,
    SourceFile,
    StoredFailure,
    StoredVideo,
    content_fingerprint,
    open_store,
)
from pipeline.files import fingerprint, write_text
from pipeline.kept_dataset import keep_dataset, named_dataset
from pipeline.progress import Reporter, Tracker
from pipeline.workspace import StageRecord, Workspace

STAGE = "features"
_STAGE_VERSION = 1


@dataclass(frozen=True)
class ExtractionReport:
    """What an extraction did and what the workspace now holds."""

    videos: int
    extracted: int
    reused: int
    failures: tuple[tuple[str, str], ...]  # video, reason
    new_failures: int
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
        return self.extracted == 0 and self.new_failures == 0


def extract(
    workspace: Workspace,
    source: Path | None,
    settings: ExtractionSettings,
    *,
    device: torch.device,
    reporter: Reporter,
    retry_failed: bool = False,
) -> ExtractionReport:
    """Extract the features of every video that `source` names and that has none yet, and merge them into features.h5.

    Args:
        workspace: where everything is kept.
        source: a folder `<class>/<file>` or a manifest; None: the dataset the workspace holds.
        settings: how.
        device: where the networks run.
        reporter: hears what happens.
        retry_failed: try videos again that failed before.

    Raises:
        PipelineError: the source is wrong, the weights cannot be had, the workspace is in use, the disk is full.
    """
    dataset = named_dataset(source, workspace.dataset_folder)
    with workspace.locked("extract"):
        reporter.say(_describe_dataset(dataset))
        with extractor_errors():
            settings, weights = choose_extractor(workspace, settings, reporter)
            get_decoder(settings.decoder)
            attributes = describe(settings.extractor, weights) | {"decoder": settings.decoder, "dtype": settings.dtype}
        identity = fingerprint({"stage": _STAGE_VERSION, **attributes})
        folder = workspace.feature_folder(identity)
        parts = FeatureParts(folder / "parts")
        parts.sweep(reporter)
        remember(workspace, settings, identity)
        dataset = keep_dataset(workspace.dataset_folder, dataset, reporter)

        todo = [video for video in dataset.videos if _is_due(parts.valid_entry(video), retry_failed=retry_failed)]
        attributes |= {"feature_width": 8 * settings.extractor.width}
        if Path(settings.extractor.weights).is_absolute():
            attributes |= {"weights_file": settings.extractor.weights}
        if todo:
            reporter.say(f"{_words(attributes)} on {device}, {settings.decoder} x {settings.decoding_processes}")
            _extract_missing(todo, parts, settings, weights, attributes, device, reporter)
        return _finish(workspace, dataset, parts, folder, identity, attributes, todo)


def _describe_dataset(dataset: Dataset) -> str:
    ignored = f" ({dataset.ignored} more lie in no class folder and are left out)" if dataset.ignored else ""
    return f"{dataset.source}: {len(dataset.videos)} videos in {len(dataset.classes)} classes{ignored}"


def _words(attributes: Attributes) -> str:
    narrow = f", width {attributes['width']} instead of 64" if attributes["width"] != 64 else ""
    return f"SeLaVi ({attributes['weights']}, recipe {attributes['recipe']}{narrow})"


def _is_due(entry: StoredVideo | StoredFailure | None, *, retry_failed: bool) -> bool:
    return entry is None or (retry_failed and isinstance(entry, StoredFailure))


def _extract_missing(
    todo: Sequence[Video],
    parts: FeatureParts,
    settings: ExtractionSettings,
    weights: ResolvedWeights,
    attributes: Attributes,
    device: torch.device,
    reporter: Reporter,
) -> None:
    """Run the extractor over `todo`; whatever is finished when something stops it is kept."""
    with extractor_errors():
        extractor = load_selavi(settings.extractor, weights, device=device)
    writer = PartWriter(parts, width=extractor.feature_width, dtype=settings.dtype, attributes=attributes)
    sources: dict[str, SourceFile] = {}
    videos = {video.key: video for video in todo}
    with contextlib.ExitStack() as stack:
        stack.callback(writer.flush)
        pool = stack.enter_context(
            DecodingPool(
                decoder=settings.decoder,
                workers=min(settings.decoding_processes, len(todo)),
                silence_limit_seconds=settings.time_limit_seconds,
            )
        )
        tracker = stack.enter_context(reporter.track("extracting", len(todo)))
        rate = _Rate(tracker)
        requests = _requests(todo, sources, extractor)
        for result in extract_videos(
            requests, extractor, pool=pool, batch_seconds=settings.batch_seconds, on_second=rate.second
        ):
            video = videos[result.key]
            if isinstance(result, VideoFailed):
                writer.add(_failure(video, sources.pop(result.key), result.reason))
                rate.failed += 1
            else:
                writer.add(_stored(video, sources.pop(result.key), result), FeatureRows(result.visual, result.audio))
            tracker.advance()


class _Rate:
    """The text beside the bar: seconds of video, how much faster than real time, failures."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker, self._started, self._seconds, self.failed = tracker, time.monotonic(), 0, 0

    def second(self) -> None:
        """One more second of video is through the network."""
        self._seconds += 1
        speed = self._seconds / max(1e-3, time.monotonic() - self._started)
        failed = f" · {self.failed} failed" if self.failed else ""
        self._tracker.note(f"{self._seconds} s of video · {speed:.1f} x real time{failed}")


def _requests(
    todo: Sequence[Video], sources: dict[str, SourceFile], extractor: SelaviExtractor
) -> Iterator[tuple[str, DecodingRequest]]:
    for video in todo:
        sources[video.key] = source_of(video.path)
        yield (
            video.key,
            DecodingRequest(
                path=video.path,
                audio_rate_hz=extractor.audio_rate_hz,
                start_seconds=video.start_seconds,
                end_seconds=video.end_seconds,
            ),
        )


def _failure(video: Video, source: SourceFile, reason: str) -> StoredFailure:
    return StoredFailure(
        video=video.key, source=source, reason=reason, start_seconds=video.start_seconds, end_seconds=video.end_seconds
    )


def _stored(video: Video, source: SourceFile, features: VideoFeatures) -> StoredVideo:
    return StoredVideo(
        video=video.key,
        source=source,
        class_name=video.class_name,
        seconds=features.seconds,
        has_audio=features.audio is not None,
        has_visual=features.visual is not None,
        duration_seconds=features.duration_seconds,
        start_seconds=video.start_seconds,
        end_seconds=video.end_seconds,
        warnings="; ".join(features.warnings),
    )


def _finish(
    workspace: Workspace,
    dataset: Dataset,
    parts: FeatureParts,
    folder: Path,
    identity: str,
    attributes: Attributes,
    todo: Sequence[Video],
) -> ExtractionReport:
    """Merge, list failures, remember the stage, and say what there is now."""
    rows = parts.rows(dataset.videos)
    entries = [parts.entry(video) for video in dataset.videos]
    failures = [entry for entry in entries if isinstance(entry, StoredFailure)]
    content = content_fingerprint(rows, identity)
    features, failures_file = folder / "features.h5", folder / "failures.csv"
    if _content_of(features) != content:
        parts.merge(features, rows, {**attributes, "content": content, "extractor_fingerprint": identity})
    _write_failures(failures_file, failures)
    new_keys, stored = {video.key for video in todo}, {row.video for row in rows}
    report = ExtractionReport(
        videos=len(dataset.videos),
        extracted=len(new_keys & stored),
        reused=len(stored - new_keys),
        failures=tuple((failure.video, failure.reason) for failure in failures),
        new_failures=sum(failure.video in new_keys for failure in failures),
        features=features,
        failures_file=failures_file,
        seconds=sum(row.seconds for row in rows),
        silent=sum(not row.has_audio for row in rows),
        pictureless=sum(not row.has_visual for row in rows),
        feature_width=int(attributes["feature_width"]),
        extractor=_words(attributes),
        warnings=tuple((row.video, row.warnings) for row in rows if row.warnings),
    )
    _record(workspace, report, content)
    return report


def _content_of(features: Path) -> str | None:
    """What a features.h5 says it holds; None where there is none that can be read."""
    if not features.exists():
        return None
    with contextlib.suppress(PipelineError), open_store(features) as store:
        return str(store.attributes.get("content"))
    return None


def _write_failures(path: Path, failures: Sequence[StoredFailure]) -> None:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(("video", "reason"))
    writer.writerows((failure.video, failure.reason) for failure in failures)
    write_text(path, buffer.getvalue())


def _record(workspace: Workspace, report: ExtractionReport, content: str) -> None:
    former = workspace.stages().get(STAGE)
    if former and former.fingerprint == content and report.did_nothing:
        return
    summary = {
        "videos": report.videos,
        "extracted": report.videos - report.failed,
        "failed": report.failed,
        "extractor": report.extractor,
    }
    record = StageRecord(fingerprint=content, output=str(report.features.relative_to(workspace.root)), summary=summary)
    workspace.record(STAGE, record)
