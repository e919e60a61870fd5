"""Run the extractor over the videos that have no features yet, and write part files."""

import contextlib
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from extractors.base import Extractor, width_of
from extractors.decoding.interface import DecodingRequest
from extractors.decoding.pool import DecodingPool, VideoFailed
from extractors.extraction import VideoFeatures, extract_videos
from extractors.registry import extractor_family
from pipeline.base.errors import ExtractionStoppedError
from pipeline.base.progress import Reporter, Stop, Tracker
from pipeline.datasets.dataset import Video
from pipeline.extraction.extractor_choice import extractor_errors
from pipeline.extraction.plan import ExtractionPlan, describe_extractor
from pipeline.features.index import SourceFile, StoredFailure, StoredVideo
from pipeline.features.parts import PartWriter, source_of
from pipeline.features.store import FeatureRows

# After a stop request no further video is started, and videos in progress may finish within this time. Finished videos
# are written at once, since the process may be killed soon after.
FINISHING_SECONDS = 10.0
_FILES_CACHED = 64


@dataclass(frozen=True)
class _Request:
    """A video to extract, and the state of its file before decoding, so that the next start finds a changed file."""

    video: Video
    source: SourceFile


def extract_missing(
    todo: Sequence[Video], plan: ExtractionPlan, *, device: torch.device, reporter: Reporter, stop: Stop
) -> None:
    """Extract videos into new part files; finished videos are kept if an error or a stop request ends the work.

    Args:
        todo: the videos to extract; if there are none, nothing is loaded.
        plan: the extractor and its part files.
        device: the device of the networks.
        reporter: receives progress.
        stop: tells whether to stop.

    Raises:
        ExtractionStoppedError: `stop` returned True.
        PipelineError: the weights do not fit the networks, or the disk is full.
    """
    if not todo:
        return
    settings = plan.settings
    workers = settings.workers_for(device)
    with extractor_errors():
        family = extractor_family(settings.extractor.name)
        extractor = family.load(settings.extractor, plan.weights, device=device, runtime=settings.runtime)
    named = describe_extractor(plan.attributes)
    reporter.say(f"{named} on {device} ({extractor.runtime}), {settings.decoder} x {workers}")
    widths = width_of(extractor.visual_width), width_of(extractor.audio_width)
    writer = PartWriter(plan.parts, widths=widths, dtype=settings.dtype, attributes=plan.attributes)
    finished = 0
    try:
        with contextlib.ExitStack() as stack:
            stack.callback(writer.flush)
            tracker = stack.enter_context(reporter.track("extracting", len(todo)))
            watch = _Watch(tracker, writer, stop)
            results = stack.enter_context(contextlib.closing(_extracted(todo, plan, extractor, watch)))
            for entry, rows in results:
                if watch.stopping() and isinstance(entry, StoredFailure):
                    continue  # the signal that requests the stop may have ended its decoding process
                writer.add(entry, rows)
                if watch.stopping():
                    writer.flush()
                finished += 1
                tracker.advance()
    finally:
        plan.parts.save_checks()
    if stop():
        raise ExtractionStoppedError(
            f"stopped: {finished} of {len(todo)} videos are extracted and kept; the same command goes on from there"
        )


class _FinishingTimeoutError(Exception):
    """Raised when a video does not finish soon after a stop request."""


class _Watch:
    """Watches for a stop request and reports speed and failures."""

    def __init__(self, tracker: Tracker, writer: PartWriter, stop: Stop) -> None:
        self._tracker, self._writer, self._stop = tracker, writer, stop
        self._started, self._seconds, self.failed = time.monotonic(), 0, 0
        self._asked_at: float | None = None

    def stopping(self) -> bool:
        """Return whether a stop is requested, so that no further video is started."""
        if self._asked_at is None and self._stop():
            self._asked_at = time.monotonic()
        return self._asked_at is not None

    def second(self) -> None:
        """Count one more second of video that went through the networks."""
        self._seconds += 1
        speed = self._seconds / max(1e-3, time.monotonic() - self._started)
        failed = f" · {self.failed} failed" if self.failed else ""
        self._tracker.note(f"{self._seconds} s of video · {speed:.1f} x real time{failed}")
        if self.stopping():
            self._writer.flush()
            if self._asked_at is not None and time.monotonic() - self._asked_at > FINISHING_SECONDS:
                raise _FinishingTimeoutError


def _extracted(
    todo: Sequence[Video], plan: ExtractionPlan, extractor: Extractor, watch: _Watch
) -> Generator[tuple[StoredVideo | StoredFailure, FeatureRows | None]]:
    """Yield the result of each video as soon as it is known."""
    settings = plan.settings
    with DecodingPool(
        decoder=settings.decoder,
        workers=min(settings.workers_for(extractor.device), len(todo)),
        silence_limit_seconds=settings.time_limit_seconds,
    ) as pool:
        requests = _requests(todo, extractor, settings.longest_seconds, watch.stopping)
        results = extract_videos(
            requests, extractor, pool=pool, batch_seconds=settings.batch_seconds, on_second=watch.second
        )
        with contextlib.suppress(_FinishingTimeoutError):
            for result in results:
                if isinstance(result, VideoFailed):
                    watch.failed += 1
                    yield _failure(result.key, result.reason), None
                else:
                    yield _stored(result), FeatureRows(result.visual, result.audio)


def _requests(
    todo: Sequence[Video], extractor: Extractor, longest_seconds: float, stopping: Callable[[], bool]
) -> Iterator[tuple[_Request, DecodingRequest]]:
    # Segments of one file follow each other, so the file is hashed once for all of them.
    source_at = lru_cache(maxsize=_FILES_CACHED)(lambda location: source_of(Path(location)))
    for video in todo:
        if stopping():
            return
        decoding = DecodingRequest(
            path=video.path,
            inputs=extractor.inputs,
            start_seconds=video.start_seconds,
            end_seconds=video.end_seconds,
            longest_seconds=longest_seconds,
        )
        yield _Request(video, source_at(video.location)), decoding


def _failure(request: _Request, reason: str) -> StoredFailure:
    video = request.video
    return StoredFailure(
        video=video.key,
        source=request.source,
        reason=reason,
        start_seconds=video.start_seconds,
        end_seconds=video.end_seconds,
    )


def _stored(features: VideoFeatures[_Request]) -> StoredVideo:
    video = features.key.video
    return StoredVideo(
        video=video.key,
        source=features.key.source,
        class_name=video.class_name,
        seconds=features.seconds,
        has_audio=features.audio is not None,
        has_visual=features.visual is not None,
        duration_seconds=features.duration_seconds,
        start_seconds=video.start_seconds,
        end_seconds=video.end_seconds,
        warnings="; ".join(features.warnings),
    )
