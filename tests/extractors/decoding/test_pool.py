"""Decoding in processes: nothing that happens to one video or process reaches another."""

import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from extractors.decoding.interface import DecodingRequest, get_decoder
from extractors.decoding.pool import DecodingEvent, DecodingPool, SecondDecoded, VideoDecoded, VideoFailed
from extractors.errors import UnavailableError

Job = tuple[str, DecodingRequest]

needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks at processes through /proc")


def make_job(folder: Path, key: str, *, seconds: int) -> Job:
    """A soundless clip whose grey changes every second and with its key."""
    path = folder / f"{key}.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 96, 80, "yuv420p"
        for index in range(seconds * 10):
            grey = np.full((80, 96, 3), 40 + (17 * (index // 10) + 71 * len(key)) % 200, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode(None))
    return key, DecodingRequest(path=path, audio_rate_hz=8_000)


def worker_ids() -> list[int]:
    """The decoding processes alive now."""
    return [child.pid for child in multiprocessing.active_children() if child.name == "avzsl-decoding" and child.pid]


def of_video(events: list[DecodingEvent], key: str) -> list[DecodingEvent]:
    """The events of one video."""
    return [event for event in events if event.key == key]


def test_gives_what_the_decoder_gives_in_order(tmp_path: Path) -> None:
    """Three videos in two processes: each complete, its seconds in order and equal to decoding without a pool."""
    jobs = [make_job(tmp_path, "c" * n, seconds=n + 1) for n in (1, 2, 3)]
    with DecodingPool(workers=2) as pool:
        events = list(pool.decode(jobs))
        assert len(worker_ids()) == 2
    for key, request in jobs:
        *seconds, last = of_video(events, key)
        assert isinstance(last, VideoDecoded)
        assert [event.index for event in seconds if isinstance(event, SecondDecoded)] == list(
            range(last.summary.seconds)
        )
        for event, expected in zip(seconds, get_decoder("pyav").decode(request), strict=True):
            assert isinstance(event, SecondDecoded)
            assert np.array_equal(event.second.frames, expected.frames)
            assert event.second.audio is None
    assert worker_ids() == []


def test_sound_comes_through_the_pipe_unchanged(tmp_path: Path) -> None:
    """A file with nothing but sound."""
    path = tmp_path / "sound.wav"
    with av.open(path, "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8_000, layout="mono")
        wave = np.arange(16_000, dtype=np.int16)[None]
        frame = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
        frame.sample_rate = 8_000
        container.mux(stream.encode(frame))
    with DecodingPool() as pool:
        events = list(pool.decode([("sound", DecodingRequest(path=path, audio_rate_hz=8_000))]))
    heard = [event.second.audio for event in events if isinstance(event, SecondDecoded)]
    assert np.array_equal(np.concatenate(heard), wave[0])


def test_a_broken_video_fails_alone(tmp_path: Path) -> None:
    """Its reason is the decoder's; the videos around it are decoded."""
    good, other = make_job(tmp_path, "a", seconds=1), make_job(tmp_path, "bb", seconds=1)
    (tmp_path / "empty.mp4").touch()
    broken = ("broken", DecodingRequest(path=tmp_path / "empty.mp4", audio_rate_hz=8_000))
    with DecodingPool() as pool:
        events = list(pool.decode([good, broken, other]))
    assert of_video(events, "broken") == [VideoFailed("broken", "empty file (0 bytes); fetch it again")]
    assert [type(of_video(events, key)[-1]) for key in ("a", "bb")] == [VideoDecoded, VideoDecoded]


def test_a_process_that_hangs_is_killed_and_replaced(tmp_path: Path) -> None:
    """A process stopped before its second video: that video fails, the third is decoded by another process."""
    jobs = [make_job(tmp_path, "a" * n, seconds=1) for n in (1, 2, 3)]
    seen: list[int] = []

    def stop_before_second() -> Iterator[Job]:
        yield jobs[0]
        seen.extend(worker_ids())
        os.kill(seen[0], signal.SIGSTOP)
        yield from jobs[1:]

    with DecodingPool(silence_limit_seconds=1) as pool:
        events = list(pool.decode(stop_before_second()))
        assert worker_ids() != seen
    assert of_video(events, "aa") == [VideoFailed("aa", "nothing decoded for 1 s: given up")]
    assert [type(of_video(events, key)[-1]) for key in ("a", "aaa")] == [VideoDecoded, VideoDecoded]


def test_a_video_that_only_trickles_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each second comes within the limit, but takes nine tenths of it, on a clock that says so."""
    clock = itertools.count(step=0.9)
    monkeypatch.setattr("extractors.decoding.pool.time", SimpleNamespace(monotonic=lambda: next(clock)))
    with DecodingPool(silence_limit_seconds=1) as pool:
        events = list(pool.decode([make_job(tmp_path, "slow", seconds=9)]))
    assert [type(event) for event in events] == [SecondDecoded, VideoFailed]
    assert events[-1] == VideoFailed("slow", "too slow: 1 s of it decoded in 2 s: given up")


def test_a_process_that_stops_in_the_middle_of_a_message_is_killed(tmp_path: Path) -> None:
    """Stopped while the second second is half in the pipe: the parent does not wait for the other half for ever."""
    jobs = [make_job(tmp_path, "long", seconds=20), make_job(tmp_path, "b", seconds=1)]
    events: list[DecodingEvent] = []
    with DecodingPool(silence_limit_seconds=1) as pool:
        for event in pool.decode(jobs):
            if not events:
                time.sleep(0.5)  # the pipe holds far less than a second of pictures: it is full by now
                os.kill(worker_ids()[0], signal.SIGSTOP)
            events.append(event)
    assert of_video(events, "long")[-1] == VideoFailed("long", "nothing decoded for 1 s: given up")
    assert isinstance(of_video(events, "b")[-1], VideoDecoded)


def test_library_noise_stays_out_of_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What ffmpeg complains of in damaged pictures reaches neither stdout nor stderr."""
    key, request = make_job(tmp_path, "damaged", seconds=3)
    content = bytearray(request.path.read_bytes())
    content[200:600] = bytes(400)
    request.path.write_bytes(content)
    with DecodingPool() as pool:
        assert list(pool.decode([(key, request)]))
    assert capfd.readouterr() == ("", "")


def test_a_process_that_dies_costs_its_video_only(tmp_path: Path) -> None:
    """Killed in the middle of a video: it fails with the reason, the next is decoded."""
    jobs = [make_job(tmp_path, "long", seconds=20), make_job(tmp_path, "b", seconds=1)]
    events: list[DecodingEvent] = []
    with DecodingPool() as pool:
        for event in pool.decode(jobs):
            if not events:
                os.kill(worker_ids()[0], signal.SIGKILL)
            events.append(event)
    assert of_video(events, "long")[-1] == VideoFailed(
        "long", "the decoding process was ended by SIGKILL (out of memory?)"
    )
    assert isinstance(of_video(events, "b")[-1], VideoDecoded)


def test_a_process_that_dies_between_videos_costs_none(tmp_path: Path) -> None:
    """The next video goes to a new process."""
    jobs = [make_job(tmp_path, "a" * n, seconds=1) for n in (1, 2)]

    def kill_before_second() -> Iterator[Job]:
        yield jobs[0]
        for child in multiprocessing.active_children():
            child.kill()
            child.join()
        yield jobs[1]

    with DecodingPool() as pool:
        events = list(pool.decode(kill_before_second()))
    assert [type(of_video(events, key)[-1]) for key in ("a", "aa")] == [VideoDecoded, VideoDecoded]


def test_requests_are_taken_when_a_process_is_free(tmp_path: Path) -> None:
    """Never more than one request ahead of the events per process."""
    taken: list[str] = []

    def jobs() -> Iterator[Job]:
        for n in range(1, 5):
            taken.append("a" * n)
            yield make_job(tmp_path, "a" * n, seconds=1)

    with DecodingPool() as pool:
        done = 0
        for event in pool.decode(jobs()):
            done += isinstance(event, VideoDecoded)
            assert len(taken) <= done + 1


@needs_proc
def test_a_process_waits_for_its_reader_and_is_not_blamed(tmp_path: Path) -> None:
    """While the parent does something else for longer than the limit, the process sleeps, and the video succeeds."""
    with DecodingPool(silence_limit_seconds=1) as pool:
        events = pool.decode([make_job(tmp_path, "long", seconds=12)])
        first = next(events)
        time.sleep(1)
        before = Path(f"/proc/{worker_ids()[0]}/stat").read_text().split()[13:15]
        time.sleep(1)
        assert Path(f"/proc/{worker_ids()[0]}/stat").read_text().split()[13:15] == before
        rest = list(events)
    assert isinstance(first, SecondDecoded)
    assert isinstance(rest[-1], VideoDecoded)
    assert rest[-1].summary.seconds == len(rest) == 12


@needs_proc
def test_memory_does_not_grow_with_the_video(tmp_path: Path) -> None:
    """The peak of a process after a 45-second video is that after a 3-second one, to a tenth."""
    peaks: list[int] = []

    def jobs() -> Iterator[Job]:
        for n, seconds in ((1, 3), (2, 45)):
            yield make_job(tmp_path, "a" * n, seconds=seconds)
            status = Path(f"/proc/{worker_ids()[0]}/status").read_text().splitlines()
            peaks.append(next(int(line.split()[1]) for line in status if line.startswith("VmHWM")))

    with DecodingPool() as pool:
        assert sum(isinstance(event, SecondDecoded) for event in pool.decode(jobs())) == 48
    assert peaks[1] <= 1.1 * peaks[0]


def test_leaving_early_leaves_no_process(tmp_path: Path) -> None:
    """An exception while a video is being decoded ends its process; the pool could go on."""
    job = make_job(tmp_path, "long", seconds=20)

    def interrupted() -> None:
        with DecodingPool() as pool:
            next(pool.decode([job]))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert worker_ids() == []


@needs_proc
def test_processes_end_with_a_killed_parent(tmp_path: Path) -> None:
    """After kill -9 of the parent in the middle of a video its processes end by themselves."""
    _, request = make_job(tmp_path, "long", seconds=30)
    script = tmp_path / "parent.py"
    script.write_text(
        "import multiprocessing, pathlib, sys, time\n"
        "from extractors.decoding.interface import DecodingRequest\n"
        "from extractors.decoding.pool import DecodingPool\n"
        "if __name__ == '__main__':\n"
        "    with DecodingPool() as pool:\n"
        "        request = DecodingRequest(path=pathlib.Path(sys.argv[1]), audio_rate_hz=8000)\n"
        "        events = pool.decode([('long', request)])\n"
        "        next(events)\n"
        "        print(*[child.pid for child in multiprocessing.active_children()], flush=True)\n"
        "        time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, script, request.path], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 10
    while _lives(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _lives(child)


def _lives(process_id: int) -> bool:
    """Whether a process runs; one that has ended and that nobody asks about does not."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_an_unknown_decoder_or_no_process_is_refused() -> None:
    """Before any process is started."""
    with pytest.raises(UnavailableError, match="'vlc'"):
        DecodingPool(decoder="vlc")
    with pytest.raises(ValueError, match="workers is 0"):
        DecodingPool(workers=0)
