"""Extract features: batch the seconds of several videos for the networks while other processes decode."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic

import numpy as np
from numpy.typing import NDArray

from extractors.base import Extractor, KeyT
from extractors.decoding.interface import DecodingRequest, Second, VideoSummary
from extractors.decoding.pool import DecodingPool, SecondDecoded, VideoFailed
from extractors.runtime.network_queue import FinishedBatch, NetworkQueue

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class VideoFeatures(Generic[KeyT]):
    """The features of one video, one row for each of its T seconds."""

    key: KeyT
    visual: Vectors | None  # (T, D); None if the video has no picture
    audio: Vectors | None  # (T, D); None if the video has no sound track
    seconds: int
    duration_seconds: float
    warnings: tuple[str, ...]


@dataclass
class _Video:
    """An unfinished video. Its vectors are kept, its frames are not."""

    visual: list[Vectors] = field(default_factory=list)
    audio: list[Vectors] = field(default_factory=list)
    waiting: int = 0  # seconds that are decoded but have no vectors yet
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
    videos: dict[KeyT, _Video] = {}
    batch: list[tuple[KeyT, Second]] = []
    with NetworkQueue[KeyT](extractor, seconds_at_once=batch_seconds) as queue:
        for event in pool.decode(requests):
            if isinstance(event, VideoFailed):
                videos.pop(event.key, None)
                batch = [(key, second) for key, second in batch if key != event.key]
                yield event
                continue
            video = videos.setdefault(event.key, _Video())
            if isinstance(event, SecondDecoded):
                batch.append((event.key, event.second))
                video.waiting += 1
            else:
                video.summary = event.summary
            if len(batch) >= queue.batch_seconds:
                _assign(queue.submit(batch), videos, on_second)
                batch = []
            else:
                _assign(queue.finished(), videos, on_second)
            yield from _take_complete(videos)
        _assign(queue.finish(batch), videos, on_second)
        yield from _take_complete(videos)


def _assign(
    batches: Iterable[FinishedBatch[KeyT]], videos: dict[KeyT, _Video], on_second: Callable[[], None] | None
) -> None:
    """Add each vector to its video; drop the vectors of videos that have failed in the meantime."""
    for batch in batches:
        for key, vector in batch.visual:
            if key in videos:
                videos[key].visual.append(vector)
        for key, vector in batch.audio:
            if key in videos:
                videos[key].audio.append(vector)
        for key in batch.keys:
            if key in videos:
                videos[key].waiting -= 1
            if on_second:
                on_second()


def _take_complete(videos: dict[KeyT, _Video]) -> Iterator[VideoFeatures[KeyT] | VideoFailed[KeyT]]:
    """Remove and yield the videos whose seconds the networks have all processed."""
    for key, video in list(videos.items()):
        if video.summary is not None and not video.waiting:
            del videos[key]
            yield _finish(key, video, video.summary)


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
