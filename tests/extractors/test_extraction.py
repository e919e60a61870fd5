"""extractors/extraction.py: batching the seconds of many videos changes no result and mixes no videos."""

import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import cast
from zlib import crc32

import av
import numpy as np
import pytest
import torch

from extractors.decoding.interface import DecodingRequest, Second, VideoSummary
from extractors.decoding.pool import DecodingPool, SecondDecoded, VideoDecoded, VideoFailed
from extractors.extraction import VideoFeatures, extract_videos
from extractors.selavi.extractor import SelaviExtractor, load_selavi
from extractors.selavi.options import SelaviOptions
from extractors.selavi.weights import resolve_weights

RATE_HZ = 44_100
Event = SecondDecoded | VideoDecoded | VideoFailed


@pytest.fixture(scope="module")
def extractor() -> Iterator[SelaviExtractor]:
    """Load the narrowest extractor and run it on one core."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    weights = resolve_weights("untrained", cache_dir=Path("unused"))
    yield load_selavi(SelaviOptions(weights="untrained", width=1), weights, device=torch.device("cpu"))
    torch.set_num_threads(threads)


class ReadyPool:
    """A pool that yields given events in their order."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.events = list(events)
        self.taken = 0

    def decode(self, _: Iterable[tuple[str, DecodingRequest]]) -> Iterator[Event]:
        """Yield the events one by one."""
        for event in self.events:
            self.taken += 1
            yield event


def second_of(seed: int, *, picture: bool = True, sound: bool = True) -> Second:
    """Return a second with coarse noise as picture and white noise as sound."""
    generator = np.random.default_rng(seed)
    frames = generator.random((30, 3, 7, 7), dtype=np.float32).repeat(16, 2).repeat(16, 3) if picture else None
    return Second(frames, generator.integers(-5000, 5000, RATE_HZ).astype(np.int16) if sound else None)


def events_of(key: str, seconds: int, *, picture: bool = True, sound: bool = True, warning: str = "") -> list[Event]:
    """Return the events of a whole video; every second is different."""
    decoded = [
        SecondDecoded(key, index, second_of(crc32(f"{key} {index}".encode()), picture=picture, sound=sound))
        for index in range(seconds)
    ]
    summary = VideoSummary(seconds, seconds + 0.25, sound, picture, (warning,) if warning else ())
    return [*decoded, VideoDecoded(key, summary)]


def interleaved(videos: list[list[Event]], seed: int) -> list[Event]:
    """Mix the events of several videos at random; the events of each video stay in order."""
    queues, order = [list(events) for events in videos], random.Random(seed)
    events = []
    while queues := [queue for queue in queues if queue]:
        events.append(order.choice(queues).pop(0))
    return events


def extracted(
    pool: ReadyPool, extractor: SelaviExtractor, batch_seconds: int = 8, on_second: Callable[[], None] | None = None
) -> dict[str, VideoFeatures | VideoFailed]:
    """Extract and return the results by key."""
    results = list(
        extract_videos([], extractor, pool=cast("DecodingPool", pool), batch_seconds=batch_seconds, on_second=on_second)
    )
    assert len({result.key for result in results}) == len(results)
    return {result.key: result for result in results}


def features(result: VideoFeatures | VideoFailed) -> VideoFeatures:
    """Check that a result has features and return it."""
    assert isinstance(result, VideoFeatures)
    return result


def test_features_do_not_depend_on_batches_or_order(extractor: SelaviExtractor) -> None:
    """Every batch size and interleaving gives the same rows as one second at a time."""
    videos = [events_of("a", 3), events_of("b", 1), events_of("c", 4)]
    expected = {
        event.key: [second for second in events if isinstance(second, SecondDecoded)]
        for events in videos
        for event in events[-1:]
    }
    for batch_seconds, seed in ((1, 0), (3, 1), (5, 2), (100, 3)):
        results = extracted(ReadyPool(interleaved(videos, seed)), extractor, batch_seconds)
        assert results.keys() == expected.keys()
        for key, seconds in expected.items():
            result = features(results[key])
            assert result.visual is not None
            assert result.audio is not None
            assert result.visual.shape == result.audio.shape == (len(seconds), 8)
            for row, event in enumerate(seconds):
                assert event.second.frames is not None
                assert event.second.audio is not None
                visual = extractor.visual(torch.from_numpy(event.second.frames)[None])[0]
                audio = extractor.audio(torch.from_numpy(event.second.audio)[None])[0]
                np.testing.assert_allclose(result.visual[row], visual, rtol=1e-5, atol=1e-5)
                np.testing.assert_allclose(result.audio[row], audio, rtol=1e-5, atol=1e-5)


def test_an_absent_modality_is_none(extractor: SelaviExtractor) -> None:
    """Videos without sound or without picture keep their own rows in batches with complete videos."""
    videos = [events_of("silent", 2, sound=False), events_of("dark", 3, picture=False), events_of("whole", 2)]
    results = extracted(ReadyPool(interleaved(videos, 0)), extractor, batch_seconds=4)
    silent, dark, whole = (features(results[key]) for key in ("silent", "dark", "whole"))
    assert silent.audio is None
    assert dark.visual is None
    assert silent.visual is not None
    assert dark.audio is not None
    assert (len(silent.visual), len(dark.audio)) == (2, 3)
    assert whole.visual is not None
    assert whole.audio is not None


def test_the_summary_of_decoding_is_part_of_the_result(extractor: SelaviExtractor) -> None:
    """The result contains the seconds, the duration and the warnings."""
    result = features(extracted(ReadyPool(events_of("a", 2, warning="cut short")), extractor)["a"])
    assert (result.seconds, result.duration_seconds, result.warnings) == (2, 2.25, ("cut short",))


def test_a_failed_video_does_not_affect_others(extractor: SelaviExtractor) -> None:
    """Its waiting seconds are dropped; another video in the same batch keeps all of its seconds."""
    broken: list[Event] = [*events_of("broken", 3)[:-1], VideoFailed("broken", "cut short")]
    good = events_of("good", 3)
    alone = features(extracted(ReadyPool(good), extractor)["good"])
    for seed in range(3):
        events = [VideoFailed("unreadable", "not a video"), *interleaved([broken, good], seed)]
        counted: list[None] = []
        results = extracted(ReadyPool(events), extractor, 4, on_second=lambda counted=counted: counted.append(None))
        assert results["broken"] == VideoFailed("broken", "cut short")
        assert results["unreadable"] == VideoFailed("unreadable", "not a video")
        batched = features(results["good"])
        np.testing.assert_allclose(batched.visual, alone.visual, rtol=1e-5, atol=1e-5)  # type: ignore[arg-type]  # both exist
        assert 3 <= len(counted) <= 6


def test_each_second_is_counted_once(extractor: SelaviExtractor) -> None:
    """`on_second` is called once per second, also for seconds with one modality."""
    counted: list[None] = []
    videos = [events_of("a", 3), events_of("b", 2, sound=False)]
    extracted(ReadyPool(interleaved(videos, 0)), extractor, 2, on_second=lambda: counted.append(None))
    assert len(counted) == 5


def test_videos_are_yielded_as_soon_as_they_are_complete(extractor: SelaviExtractor) -> None:
    """The first result is yielded before most events are read."""
    pool = ReadyPool([event for number in range(6) for event in events_of(str(number), 2)])
    first = next(iter(extract_videos([], extractor, pool=cast("DecodingPool", pool), batch_seconds=2)))
    assert first.key == "0"
    assert pool.taken <= 9  # of 18: the video itself, a running batch and a waiting batch


@pytest.mark.parametrize("calls_at_once", [2, 5])
def test_features_do_not_depend_on_the_number_of_parallel_calls(
    extractor: SelaviExtractor, calls_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every video gets its own rows in order, whichever thread finishes first."""
    videos = interleaved([events_of("a", 4), events_of("b", 1), events_of("c", 3, sound=False)], 0)
    expected = extracted(ReadyPool(videos), extractor, 4)
    monkeypatch.setattr(extractor, "calls_at_once", calls_at_once)
    results = extracted(ReadyPool(videos), extractor, 5)
    for key in "abc":
        one, other = features(results[key]), features(expected[key])
        np.testing.assert_allclose(one.visual, other.visual, rtol=1e-5, atol=1e-5)  # type: ignore[arg-type]  # both exist
        assert (one.audio is None) == (other.audio is None) == (key == "c")
        if one.audio is not None and other.audio is not None:
            np.testing.assert_allclose(one.audio, other.audio, rtol=1e-5, atol=1e-5)


def test_a_feature_that_is_not_finite_fails_its_video_only(extractor: SelaviExtractor) -> None:
    """The reason names the modality and the second."""
    bad = second_of(1)
    assert bad.frames is not None
    bad.frames[3, 1, 50, 50] = np.nan
    events = events_of("bad", 2)
    events[1] = SecondDecoded("bad", 1, bad)
    results = extracted(ReadyPool(interleaved([events, events_of("good", 2)], 0)), extractor)
    assert results["bad"] == VideoFailed("bad", "the visual features of second 1 are not finite numbers")
    assert isinstance(results["good"], VideoFeatures)


def test_a_second_without_its_picture_fails_its_video(extractor: SelaviExtractor) -> None:
    """The video fails because rows would no longer match seconds."""
    events = events_of("odd", 3)
    events[1] = SecondDecoded("odd", 1, second_of(1, picture=False))
    assert extracted(ReadyPool(events), extractor)["odd"] == VideoFailed("odd", "2 visual features for 3 seconds")


def test_real_files_are_extracted_with_the_real_pool(extractor: SelaviExtractor, tmp_path: Path) -> None:
    """Two clips get the features of their decoded seconds, and a text file fails."""
    for name, seconds in (("one.mp4", 1), ("two.mp4", 2)):
        write_clip(tmp_path / name, seconds)
    (tmp_path / "text.mp4").write_text("not a video")
    requests = [(path.name, DecodingRequest(path=path, inputs=extractor.inputs)) for path in sorted(tmp_path.iterdir())]
    with DecodingPool(workers=1) as pool:
        results = {result.key: result for result in extract_videos(requests, extractor, pool=pool, batch_seconds=2)}
    with DecodingPool(workers=1) as pool:
        decoded = [event for event in pool.decode(requests) if isinstance(event, SecondDecoded)]
    assert isinstance(results["text.mp4"], VideoFailed)
    for name, seconds in (("one.mp4", 1), ("two.mp4", 2)):
        result = features(results[name])
        assert result.visual is not None
        assert result.audio is not None
        assert result.seconds == seconds
        frames = torch.from_numpy(np.stack([event.second.frames for event in decoded if event.key == name]))
        sound = torch.from_numpy(np.stack([event.second.audio for event in decoded if event.key == name]))
        np.testing.assert_allclose(result.visual, extractor.visual(frames), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(result.audio, extractor.audio(sound), rtol=1e-5, atol=1e-5)


def write_clip(path: Path, seconds: int) -> None:
    """Write H.264 and AAC: a moving bright band and a tone."""
    with av.open(str(path), "w") as container:
        picture = container.add_stream("libx264", rate=15)
        picture.width, picture.height, picture.pix_fmt = 160, 120, "yuv420p"
        sound = container.add_stream("aac", rate=RATE_HZ, layout="mono")
        for number in range(15 * seconds):
            image = np.full((120, 160, 3), 60, np.uint8)
            image[:, 5 * number : 5 * number + 40] = (250, 200, 20)
            container.mux(picture.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(picture.encode())
        tone = 0.3 * np.sin(2 * np.pi * 500 * np.arange(seconds * RATE_HZ) / RATE_HZ)
        frame = av.AudioFrame.from_ndarray(tone.astype(np.float32)[None], format="fltp", layout="mono")
        frame.sample_rate = RATE_HZ
        container.mux(sound.encode(frame))
        container.mux(sound.encode())
