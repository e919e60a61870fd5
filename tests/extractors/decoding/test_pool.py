"""extractors/decoding/pool.py: a failure of one video or process does not affect the others."""

import itertools
import math
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
from extractors.selavi.options import selavi_inputs

Job = tuple[str, DecodingRequest]

needs_proc = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="reads the state of processes from /proc"
)


def make_job(folder: Path, key: str, *, seconds: int) -> Job:
    """Write a clip without sound, whose grey depends on the second and on the key, and return its request."""
    path = folder / f"{key}.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 96, 80, "yuv420p"
        for index in range(seconds * 10):
            grey = np.full((80, 96, 3), 40 + (17 * (index // 10) + 71 * len(key)) % 200, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode(None))
    return key, DecodingRequest(path=path, inputs=selavi_inputs(8_000))


def worker_ids() -> list[int]:
    """Return the ids of the running decoding processes."""
    return [child.pid for child in multiprocessing.active_children() if child.name == "avzsl-decoding" and child.pid]


def of_video(events: list[DecodingEvent], key: str) -> list[DecodingEvent]:
    """Return the events of one video."""
    return [event for event in events if event.key == key]


def test_the_pool_yields_the_seconds_of_the_decoder_in_order(tmp_path: Path) -> None:
    """Three videos in two processes are complete, in order and equal to decoding without a pool."""
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


def test_the_pipe_does_not_change_sound(tmp_path: Path) -> None:
    """The samples of a file that contains only sound arrive unchanged."""
    path = tmp_path / "sound.wav"
    with av.open(path, "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8_000, layout="mono")
        wave = np.arange(16_000, dtype=np.int16)[None]
        frame = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
        frame.sample_rate = 8_000
        container.mux(stream.encode(frame))
    with DecodingPool() as pool:
        events = list(pool.decode([("sound", DecodingRequest(path=path, inputs=selavi_inputs(8_000)))]))
    received = [event.second.audio for event in events if isinstance(event, SecondDecoded)]
    assert np.array_equal(np.concatenate(received), wave[0])


def test_a_broken_video_fails_alone(tmp_path: Path) -> None:
    """The broken video fails with the decoder's reason; the videos before and after it are decoded."""
    good, other = make_job(tmp_path, "a", seconds=1), make_job(tmp_path, "bb", seconds=1)
    (tmp_path / "empty.mp4").touch()
    broken = ("broken", DecodingRequest(path=tmp_path / "empty.mp4", inputs=selavi_inputs(8_000)))
    with DecodingPool() as pool:
        events = list(pool.decode([good, broken, other]))
    assert of_video(events, "broken") == [VideoFailed("broken", "empty file (0 bytes); fetch it again")]
    assert [type(of_video(events, key)[-1]) for key in ("a", "bb")] == [VideoDecoded, VideoDecoded]


def test_a_process_that_hangs_is_killed_and_replaced(tmp_path: Path) -> None:
    """If a process stops before its second video, that video fails, and another process decodes the third."""
    jobs = [make_job(tmp_path, "a" * n, seconds=1) for n in (1, 2, 3)]
    stopped: list[int] = []

    def stop_before_second() -> Iterator[Job]:
        yield jobs[0]
        stopped.extend(worker_ids())
        os.kill(stopped[0], signal.SIGSTOP)
        yield from jobs[1:]

    with DecodingPool(silence_limit_seconds=1) as pool:
        events = list(pool.decode(stop_before_second()))
        assert worker_ids() != stopped
    assert of_video(events, "aa") == [VideoFailed("aa", "nothing decoded for 1 s: given up")]
    assert [type(of_video(events, key)[-1]) for key in ("a", "aaa")] == [VideoDecoded, VideoDecoded]


def test_a_video_that_is_too_slow_in_all_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each second arrives within the limit but takes nine tenths of it, on a simulated clock."""
    clock = itertools.count(step=0.9)
    monkeypatch.setattr("extractors.decoding.pool.time", SimpleNamespace(monotonic=lambda: next(clock)))
    with DecodingPool(silence_limit_seconds=1) as pool:
        events = list(pool.decode([make_job(tmp_path, "slow", seconds=9)]))
    assert [type(event) for event in events] == [SecondDecoded, VideoFailed]
    assert events[-1] == VideoFailed("slow", "too slow: 1 s decoded in 2 s: given up")


def test_a_process_that_stops_in_the_middle_of_a_message_is_killed(tmp_path: Path) -> None:
    """If a process stops while half of a second is in the pipe, the parent does not wait for ever."""
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


def test_library_messages_do_not_reach_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The messages of ffmpeg about damaged pictures are written neither to stdout nor to stderr."""
    key, request = make_job(tmp_path, "damaged", seconds=3)
    content = bytearray(request.path.read_bytes())
    content[200:600] = bytes(400)
    request.path.write_bytes(content)
    with DecodingPool() as pool:
        assert list(pool.decode([(key, request)]))
    assert capfd.readouterr() == ("", "")


def test_a_process_that_dies_fails_only_its_video(tmp_path: Path) -> None:
    """If a process is killed in mid-video, the video fails with the reason, and the next is decoded."""
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


def test_a_process_that_dies_between_videos_fails_none(tmp_path: Path) -> None:
    """A new process decodes the next video."""
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
    """For each process, at most one request is taken ahead of the finished videos."""
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
def test_a_process_that_waits_for_its_parent_does_not_time_out(tmp_path: Path) -> None:
    """The process sleeps while the parent is busy for longer than the limit, and the video succeeds."""
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
    """The peak memory grows by at most a third of what the 42 further seconds of a longer video would take."""
    peaks: list[int] = []

    def jobs() -> Iterator[Job]:
        for n, seconds in ((1, 3), (2, 45)):
            yield make_job(tmp_path, "a" * n, seconds=seconds)
            status = Path(f"/proc/{worker_ids()[0]}/status").read_text().splitlines()
            peaks.append(next(int(line.split()[1]) for line in status if line.startswith("VmHWM")))

    with DecodingPool() as pool:
        assert sum(isinstance(event, SecondDecoded) for event in pool.decode(jobs())) == 48
    assert peaks[1] - peaks[0] <= 42 * math.prod(selavi_inputs(8_000).picture.shape) / 1024 / 3


def test_leaving_the_pool_early_ends_its_processes(tmp_path: Path) -> None:
    """An exception while a video is being decoded ends its process."""
    job = make_job(tmp_path, "long", seconds=20)

    def interrupted() -> None:
        with DecodingPool() as pool:
            next(pool.decode([job]))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert worker_ids() == []


@needs_proc
def test_processes_end_after_their_parent_is_killed(tmp_path: Path) -> None:
    """After kill -9 of the parent in mid-video, its processes end by themselves."""
    _, request = make_job(tmp_path, "long", seconds=30)
    script = tmp_path / "parent.py"
    script.write_text(
        "import multiprocessing, pathlib, sys, time\n"
        "from extractors.decoding.interface import DecodingRequest\n"
        "from extractors.decoding.pool import DecodingPool\n"
        "from extractors.selavi.options import selavi_inputs\n"
        "if __name__ == '__main__':\n"
        "    with DecodingPool() as pool:\n"
        "        request = DecodingRequest(path=pathlib.Path(sys.argv[1]), inputs=selavi_inputs(8000))\n"
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
    while _is_running(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _is_running(child)


def _is_running(process_id: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_an_unknown_decoder_or_no_process_is_refused() -> None:
    """Both are refused before a process is started."""
    with pytest.raises(UnavailableError, match="'vlc'"):
        DecodingPool(decoder="vlc")
    with pytest.raises(ValueError, match="workers is 0"):
        DecodingPool(workers=0)
