"""Extract features: batch the seconds of several videos for the networks while other processes decode."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic

import numpy as np
from numpy.typing import NDArray

from extractors.base import Extractor, KeyT
from extractors.decoding.interface import DecodingRequest, Second, VideoSummary
from extractors.decoding.pool import DecodingPool, SecondDecoded, VideoDecoded, VideoFailed
from extractors.picture_windows import PictureWindows
from extractors.runtime.network_queue import FinishedBatch, NetworkQueue, Rows

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class VideoFeatures(Generic[KeyT]):
    """The features of one video, one row for each of its T seconds."""

    key: KeyT
    visual: Vectors | None  # (T, D); None if the video has no picture, or the extractor does not see
    audio: Vectors | None  # (T, E); None if the video has no sound track, or the extractor does not hear
    seconds: int
    duration_seconds: float
    warnings: tuple[str, ...]


@dataclass
class _Video:
    """An unfinished video. Its vectors are kept, its frames are not."""

    windows: PictureWindows | None  # None if a vector is computed from the pictures of one second
    visual: list[Vectors] = field(default_factory=list)
    audio: list[Vectors] = field(default_factory=list)
    waiting: int = 0  # seconds that are decoded but not computed yet
    waiting_windows: int = 0  # windows of pictures without a vector
    summary: VideoSummary | None = None  # None until the video is decoded to its end


def extract_videos(
    requests: Iterable[tuple[KeyT, DecodingRequest]],
    extractor: Extractor,
    *,
    pool: DecodingPool,
    batch_seconds: int = 8,
    on_second: Callable[[], None] | None = None,
) -> Iterator[VideoFeatures[KeyT] | VideoFailed[KeyT]]:
    """Extract the features of videos and yield each video soon after it is complete, in any order.

    Args:
        requests: unique key and decoding request of each video; read lazily.
        extractor: the networks.
        pool: the pool that decodes.
        batch_seconds: number of seconds, from any videos, per call of the networks; no feature depends on it.
        on_second: called for each second that the networks have processed.

    Yields:
        The features of each video, or a failure if it cannot be decoded or a feature is not a finite number.
    """
    with NetworkQueue[KeyT](extractor, seconds_at_once=batch_seconds) as queue:
        work = _Work(extractor, queue, on_second)
        for event in pool.decode(requests):
            if isinstance(event, VideoFailed):
                work.drop(event.key)
                yield event
            else:
                work.add(event)
                yield from work.complete()
        work.finish()
        yield from work.complete()


class _Work(Generic[KeyT]):
    """The unfinished videos, and what waits for the networks."""

    def __init__(self, extractor: Extractor, queue: NetworkQueue[KeyT], on_second: Callable[[], None] | None) -> None:
        picture = extractor.inputs.picture
        self._windowed = picture if picture is not None and picture.window_seconds > 1 else None
        self._queue = queue
        self._on_second = on_second
        self._videos: dict[KeyT, _Video] = {}
        self._batch: list[tuple[KeyT, Second]] = []
        self._windows: list[tuple[KeyT, Vectors]] = []

    def drop(self, key: KeyT) -> None:
        """Forget a video that failed."""
        self._videos.pop(key, None)
        self._batch = [(owner, second) for owner, second in self._batch if owner != key]
        self._windows = [(owner, window) for owner, window in self._windows if owner != key]

    def add(self, event: SecondDecoded[KeyT] | VideoDecoded[KeyT]) -> None:
        """Take the next second of a video, or its end; run full batches through the networks."""
        video = self._videos.get(event.key)
        if video is None:
            windows = None if self._windowed is None else PictureWindows(self._windowed)
            video = self._videos[event.key] = _Video(windows)
        if isinstance(event, SecondDecoded):
            self._batch.append((event.key, event.second))
            video.waiting += 1
        else:
            video.summary = event.summary
            if not video.waiting:  # otherwise when its last second is encoded
                self._cut_windows(event.key, video)
        if len(self._batch) >= self._queue.batch_seconds:
            batch, self._batch = self._batch, []
            self._assign(self._queue.submit(batch))
        else:
            self._assign(self._queue.finished())
        while len(self._windows) >= self._queue.batch_seconds:
            ready = self._windows[: self._queue.batch_seconds]
            self._windows = self._windows[self._queue.batch_seconds :]
            self._assign(self._queue.submit_windows(ready))

    def finish(self) -> None:
        """Run everything that waits through the networks."""
        batch, self._batch = self._batch, []
        self._assign(self._queue.finish(batch))
        windows, self._windows = self._windows, []
        self._assign(self._queue.finish_windows(windows))

    def complete(self) -> Iterator[VideoFeatures[KeyT] | VideoFailed[KeyT]]:
        """Remove and yield the videos whose seconds the networks have all processed."""
        for key, video in list(self._videos.items()):
            if video.summary is not None and not video.waiting and not video.waiting_windows:
                del self._videos[key]
                yield _finish(key, video, video.summary)

    def _assign(self, batches: Iterable[FinishedBatch[KeyT]]) -> None:
        """Add each vector to its video; drop the vectors of videos that have failed in the meantime."""
        for batch in batches:
            for video, row in self._of_videos(batch.visual):
                if video.windows is None:
                    video.visual.append(row)
                else:
                    video.windows.add(row)
            for video, vector in self._of_videos(batch.audio):
                video.audio.append(vector)
            for video, vector in self._of_videos(batch.windows):
                video.visual.append(vector)
                video.waiting_windows -= 1
            self._count(batch.keys)

    def _of_videos(self, rows: Rows[KeyT]) -> Iterator[tuple[_Video, Vectors]]:
        return ((self._videos[key], row) for key, row in rows if key in self._videos)

    def _count(self, keys: Sequence[KeyT]) -> None:
        """Count the seconds that are computed now, and cut the windows that they complete."""
        for key in keys:
            if key in self._videos:
                self._videos[key].waiting -= 1
            if self._on_second:
                self._on_second()
        for key in dict.fromkeys(keys):
            if key in self._videos:
                self._cut_windows(key, self._videos[key])

    def _cut_windows(self, key: KeyT, video: _Video) -> None:
        """Queue the windows that are complete now."""
        if video.windows is not None:
            is_last = video.summary is not None and not video.waiting
            windows = [(key, window) for window in video.windows.cut(is_last=is_last)]
            video.waiting_windows += len(windows)
            self._windows += windows


def _finish(key: KeyT, video: _Video, summary: VideoSummary) -> VideoFeatures[KeyT] | VideoFailed[KeyT]:
    visual = np.stack(video.visual) if summary.has_visual else None
    audio = np.stack(video.audio) if summary.has_audio else None
    for modality, vectors in (("visual", visual), ("audio", audio)):
        if vectors is None:
            continue
        if len(vectors) != summary.seconds:
            return VideoFailed(key, f"{len(vectors)} {modality} features for {summary.seconds} seconds")
        faulty = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if faulty.size:
            return VideoFailed(key, f"the {modality} features of second {faulty[0]} are not finite numbers")
    return VideoFeatures(
        key=key,
        visual=visual,
        audio=audio,
        seconds=summary.seconds,
        duration_seconds=summary.duration_seconds,
        warnings=summary.warnings,
    )
