"""Videos -> features: seconds of several videos go through the networks together, while other processes decode more."""

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
    """What one video became: a row for each of its T seconds."""

    key: KeyT
    visual: Vectors | None  # (T, D); None: the video has no picture
    audio: Vectors | None  # (T, D); None: the video has no sound track
    seconds: int
    duration_seconds: float
    warnings: tuple[str, ...]


@dataclass
class _Video:
    """A video under way. Its frames are not kept, only their vectors."""

    visual: list[Vectors] = field(default_factory=list)
    audio: list[Vectors] = field(default_factory=list)
    waiting: int = 0  # seconds that are decoded and not yet through the networks
    summary: VideoSummary | None = None  # once it is decoded to its end


def extract_videos(
    requests: Iterable[tuple[KeyT, DecodingRequest]],
    extractor: Extractor,
    *,
    pool: DecodingPool,
    batch_seconds: int = 8,
    on_second: Callable[[], None] | None = None,
) -> Iterator[VideoFeatures[KeyT] | VideoFailed[KeyT]]:
    """Extract the features of videos, each soon after it is complete, in no order.

    Args:
        requests: key and what to decode; no key twice. Taken lazily.
        extractor: the networks.
        pool: who decodes.
        batch_seconds: how many seconds, of whatever videos, the networks see at once; no feature depends on it.
        on_second: called for each second that is through the networks.

    Yields:
        The features of each video, or why it has none: it cannot be decoded, or a feature is not a finite number.
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
                _give(queue.submit(batch), videos, on_second)
                batch = []
            else:
                _give(queue.finished(), videos, on_second)
            yield from _take_complete(videos)
        _give(queue.rest(batch), videos, on_second)
        yield from _take_complete(videos)


def _give(
    batches: Iterable[FinishedBatch[KeyT]], videos: dict[KeyT, _Video], on_second: Callable[[], None] | None
) -> None:
    """Give each vector to its video; those of a video that has failed meanwhile are nobody's."""
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
    """Take out the videos whose every second is through the networks."""
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
        odd = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if odd.size:
            return VideoFailed(key, f"the {modality} features of second {odd[0]} are not finite numbers")
    return VideoFeatures(
        key=key,
        visual=visual,
        audio=audio,
        seconds=summary.seconds,
        duration_seconds=summary.duration_seconds,
        warnings=summary.warnings,
    )
