"""Runs the extractor over videos and collects what it yields in part files."""

import contextlib
import time
from collections.abc import Generator, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import torch

from extractors.decoding.interface import DecodingRequest
from extractors.decoding.pool import DecodingPool, VideoFailed
from extractors.extraction import VideoFeatures, extract_videos
from extractors.selavi.extractor import SelaviExtractor, load_selavi
from pipeline.base.errors import ExtractionStoppedError
from pipeline.base.progress import Reporter, Stop, Tracker
from pipeline.datasets.dataset import Video
from pipeline.extraction.extractor_choice import extractor_errors
from pipeline.extraction.plan import Preparation, in_words
from pipeline.features.index import SourceFile, StoredFailure, StoredVideo
from pipeline.features.parts import PartWriter, source_of
from pipeline.features.store import FeatureRows

# After a request to stop no video is begun, and those under way may end within this time. What is finished is written
# at once, so whoever asked may kill the process soon after.
FINISHING_SECONDS = 10.0
_FILES_REMEMBERED = 64


def extract_missing(
    todo: Sequence[Video], store: Preparation, *, device: torch.device, reporter: Reporter, stop: Stop
) -> None:
    """Extract videos into new parts; whatever is finished when something ends it is kept.

    Args:
        todo: the videos; none: nothing is loaded.
        store: what they are extracted with and into.
        device: where the networks run.
        reporter: hears what happens.
        stop: whether to stop.

    Raises:
        ExtractionStoppedError: `stop` said so.
        PipelineError: the weights do not fit the networks, or the disk is full.
    """
    if not todo:
        return
    settings = store.settings
    workers = settings.workers_beside(device)
    reporter.say(f"{in_words(store.attributes)} on {device}, {settings.decoder} x {workers}")
    with extractor_errors():
        extractor = load_selavi(settings.extractor, store.weights, device=device, runtime=settings.runtime)
    writer = PartWriter(store.parts, width=extractor.feature_width, dtype=settings.dtype, attributes=store.attributes)
    finished = 0
    try:
        with contextlib.ExitStack() as stack:
            stack.callback(writer.flush)
            tracker = stack.enter_context(reporter.track("extracting", len(todo)))
            watch = _Watch(tracker, writer, stop)
            results = stack.enter_context(contextlib.closing(_extracted(todo, store, extractor, watch)))
            for entry, rows in results:
                if watch.stopping() and isinstance(entry, StoredFailure):
                    continue  # the signal that asks to stop may have ended the process that decoded it
                writer.add(entry, rows)
                if watch.stopping():
                    writer.flush()
                finished += 1
                tracker.advance()
    finally:
        store.parts.save_checks()
    if stop():
        raise ExtractionStoppedError(
            f"stopped: {finished} of {len(todo)} videos are extracted and kept; the same command goes on from there"
        )


class _OutOfPatienceError(Exception):
    """The user asked to stop, and a video takes long to end."""


class _Watch:
    """Looks, as seconds go by, whether to stop; and tells how fast they go by, and how many videos failed."""

    def __init__(self, tracker: Tracker, writer: PartWriter, stop: Stop) -> None:
        self._tracker, self._writer, self._stop = tracker, writer, stop
        self._started, self._seconds, self.failed = time.monotonic(), 0, 0
        self._asked_at: float | None = None

    def stopping(self) -> bool:
        """Whether no further video is to be begun."""
        if self._asked_at is None and self._stop():
            self._asked_at = time.monotonic()
        return self._asked_at is not None

    def second(self) -> None:
        """One more second of video is through the network."""
        self._seconds += 1
        speed = self._seconds / max(1e-3, time.monotonic() - self._started)
        failed = f" · {self.failed} failed" if self.failed else ""
        self._tracker.note(f"{self._seconds} s of video · {speed:.1f} x real time{failed}")
        if self.stopping():
            self._writer.flush()
            if self._asked_at is not None and time.monotonic() - self._asked_at > FINISHING_SECONDS:
                raise _OutOfPatienceError


def _extracted(
    todo: Sequence[Video], store: Preparation, extractor: SelaviExtractor, watch: _Watch
) -> Generator[tuple[StoredVideo | StoredFailure, FeatureRows | None]]:
    """What becomes of each video, as soon as it is known."""
    settings, sources = store.settings, dict[str, SourceFile]()
    videos = {video.key: video for video in todo}
    with DecodingPool(
        decoder=settings.decoder,
        workers=min(settings.workers_beside(extractor.device), len(todo)),
        silence_limit_seconds=settings.time_limit_seconds,
    ) as pool:
        requests = _requests(todo, sources, extractor, watch)
        results = extract_videos(
            requests, extractor, pool=pool, batch_seconds=settings.batch_seconds, on_second=watch.second
        )
        with contextlib.suppress(_OutOfPatienceError):
            for result in results:
                video, source = videos[result.key], sources.pop(result.key)
                if isinstance(result, VideoFailed):
                    watch.failed += 1
                    yield _failure(video, source, result.reason), None
                else:
                    yield _stored(video, source, result), FeatureRows(result.visual, result.audio)


def _requests(
    todo: Sequence[Video], sources: dict[str, SourceFile], extractor: SelaviExtractor, watch: _Watch
) -> Iterator[tuple[str, DecodingRequest]]:
    # Segments of one file lie side by side, and reading it once for all of them is enough.
    source_at = lru_cache(maxsize=_FILES_REMEMBERED)(lambda location: source_of(Path(location)))
    for video in todo:
        if watch.stopping():
            return
        # Before it is decoded: a file that changes meanwhile is then another one at the next start.
        sources[video.key] = source_at(video.location)
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
