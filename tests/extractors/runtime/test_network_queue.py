"""extractors/runtime/network_queue.py: order, limits, threads and errors of the network threads."""

import ctypes
import threading
import time
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor

from extractors.decoding.interface import Second
from extractors.runtime.memory import give_back_freed_memory
from extractors.runtime.network_queue import FinishedBatch, NetworkQueue
from extractors.runtime.transfer import Download, Transfer
from extractors.selavi.extractor import SelaviExtractor, load_selavi
from extractors.selavi.options import SelaviOptions
from extractors.selavi.weights import resolve_weights

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")


class Echo:
    """An extractor whose features are the first number of a second; it waits until `may_run` is set."""

    device = CPU

    def __init__(self, calls_at_once: int = 1) -> None:
        self.calls_at_once = calls_at_once
        self.may_run = threading.Event()
        self.may_run.set()
        self.running, self.most_running = 0, 0
        self.threads_inside: set[int] = set()
        self._lock = threading.Lock()

    def visual(self, frames: Tensor) -> Tensor:
        """Return the first number of each picture, (N, 1)."""
        with self._lock:
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        assert self.may_run.wait(10)
        time.sleep(0.005)
        self.threads_inside.add(torch.get_num_threads())
        with self._lock:
            self.running -= 1
        return frames.reshape(len(frames), -1)[:, :1]

    def audio(self, sound: Tensor) -> Tensor:
        """Return the first number of each sound, (N, 1)."""
        if (sound < 0).any():
            raise RuntimeError("negative")
        return sound[:, :1].float()


def queue_of(extractor: Echo, seconds_at_once: int) -> NetworkQueue:
    """Make a queue for an extractor."""
    return NetworkQueue(cast("SelaviExtractor", extractor), seconds_at_once=seconds_at_once)


def second(number: int, *, picture: bool = True, sound: bool = True) -> Second:
    """Make a second in which every number is `number`."""
    frames = np.full((1, 1, 1, 1), number, np.float32) if picture else None
    return Second(frames, np.full(3, number, np.int16) if sound else None)


def numbers(batches: list[FinishedBatch]) -> list[float]:
    """Return the features of the pictures, in the order in which they came."""
    return [float(vector[0]) for batch in batches for _, vector in batch.visual]


@pytest.mark.parametrize("calls_at_once", [1, 2, 5])
def test_batches_come_back_in_the_order_of_submission(calls_at_once: int) -> None:
    """The order is kept even if several threads overtake each other."""
    finished: list[FinishedBatch] = []
    with queue_of(Echo(calls_at_once), 6) as queue:
        for number in range(20):
            finished += queue.submit([("a", second(number))])
            finished += queue.finished()
        finished += queue.finish([("a", second(20)), ("b", second(21))])
    assert numbers(finished) == list(range(22))
    assert [key for batch in finished for key in batch.keys] == ["a"] * 21 + ["b"]


def test_absent_pictures_and_sounds_have_no_rows() -> None:
    """Each row keeps its key, and an absent modality has no row."""
    batch = [("dark", second(1, picture=False)), ("whole", second(2)), ("silent", second(3, sound=False))]
    with queue_of(Echo(), 3) as queue:
        (done,) = queue.finish(batch)
    assert done.keys == ("dark", "whole", "silent")
    assert [(key, vector.tolist()) for key, vector in done.visual] == [("whole", [2]), ("silent", [3])]
    assert [(key, vector.tolist()) for key, vector in done.audio] == [("dark", [1]), ("whole", [2])]


def test_submit_waits_only_if_two_batches_are_in_the_queue() -> None:
    """A third batch is accepted only after the first one is finished."""
    extractor = Echo()
    extractor.may_run.clear()
    with queue_of(extractor, 1) as queue:
        assert list(queue.submit([("a", second(0))])) == []
        assert list(queue.submit([("a", second(1))])) == []
        assert list(queue.finished()) == []
        threading.Timer(0.05, extractor.may_run.set).start()
        first = next(queue.submit([("a", second(2))]))
    assert numbers([first]) == [0]


@pytest.mark.parametrize(("calls_at_once", "threads", "length"), [(1, 1, 8), (2, 2, 4), (3, 3, 2), (64, 8, 1)])
def test_the_threads_share_the_seconds_at_once(calls_at_once: int, threads: int, length: int) -> None:
    """The networks never have more seconds than allowed, for any number of cores."""
    extractor = Echo(calls_at_once)
    with queue_of(extractor, 8) as queue:
        assert queue.batch_seconds == length
        done = [
            *(batch for number in range(12) for batch in queue.submit([("a", second(number))])),
            *queue.finish([]),
        ]
    assert len(done) == 12
    assert extractor.most_running <= threads


def test_threads_share_the_cores_and_restore_the_number_of_threads() -> None:
    """With four threads, each of two calls gets two; outside the queue, PyTorch keeps four."""
    torch.set_num_threads(4)
    try:
        extractor = Echo(2)
        with queue_of(extractor, 2) as queue:
            list(queue.finish([("a", second(0)), ("a", second(1))]))
            assert torch.get_num_threads() == 4
        assert extractor.threads_inside == {2}
        seen: list[int] = []
        later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        later.start()
        later.join()
        assert seen == [4]
    finally:
        torch.set_num_threads(1)


def test_an_error_of_a_network_reaches_the_caller() -> None:
    """The error keeps its traceback, and the context manager exits."""
    with queue_of(Echo(), 1) as queue, pytest.raises(RuntimeError, match="negative"):
        list(queue.finish([("a", second(-1))]))


def test_leaving_early_cancels_queued_batches() -> None:
    """Only the running batch is waited for."""
    extractor = Echo()
    with queue_of(extractor, 1) as queue:
        extractor.may_run.clear()
        list(queue.submit([("a", second(0))]))
        list(queue.submit([("a", second(1))]))
        threading.Timer(0.05, extractor.may_run.set).start()
    assert len(extractor.threads_inside) <= 1
    assert extractor.running == 0


def test_on_a_cpu_arrays_are_stacked_and_vectors_are_ready_at_once() -> None:
    """On a CPU there is nothing to wait for."""
    batch = Transfer(CPU).upload([np.array([1, 2], np.int16), np.array([3, 4], np.int16)])
    assert batch.tolist() == [[1, 2], [3, 4]]
    download = Download(batch.float())
    assert download.has_arrived
    assert download.vectors().tolist() == [[1, 2], [3, 4]]


@pytest.fixture(scope="module")
def on_gpu() -> SelaviExtractor:
    """A narrow extractor on the GPU."""
    weights = resolve_weights("untrained", cache_dir=Path("unused"))
    return load_selavi(SelaviOptions(weights="untrained", width=4), weights, device=GPU)


@pytest.mark.needs_gpu
def test_overlapping_batches_on_a_gpu_do_not_mix(on_gpu: SelaviExtractor) -> None:
    """Many batches through the streams give the same features as one second at a time."""
    generator = np.random.default_rng(0)
    seconds = [
        Second(
            generator.random((30, 3, 112, 112), dtype=np.float32),
            generator.integers(-9000, 9000, 44_100).astype(np.int16),
        )
        for _ in range(24)
    ]
    with NetworkQueue(on_gpu, seconds_at_once=2) as queue:
        done = [
            *(
                batch
                for first in range(0, 24, 2)
                for batch in queue.submit([(str(number), seconds[number]) for number in (first, first + 1)])
            ),
            *queue.finish([]),
        ]
    visual = dict(row for batch in done for row in batch.visual)
    audio = dict(row for batch in done for row in batch.audio)
    for number, given in enumerate(seconds):
        assert given.frames is not None
        assert given.audio is not None
        expected = on_gpu.visual(torch.from_numpy(given.frames)[None])[0].cpu()
        np.testing.assert_allclose(visual[str(number)], expected, rtol=1e-4, atol=1e-4)
        expected = on_gpu.audio(torch.from_numpy(given.audio)[None])[0].cpu()
        np.testing.assert_allclose(audio[str(number)], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.needs_gpu
def test_pinned_memory_brings_arrays_to_a_gpu_and_back() -> None:
    """Arrays come back bit for bit, from both streams."""
    transfer, arrays = Transfer(GPU), [np.arange(5, dtype=np.float32), np.arange(5, 10, dtype=np.float32)]
    batch = transfer.upload(arrays)
    assert batch.device == GPU
    assert Download(batch * 2).vectors().tolist() == [[0, 2, 4, 6, 8], [10, 12, 14, 16, 18]]
    with transfer.audio_stream():
        assert Download(transfer.upload(arrays) + 1).vectors()[1].tolist() == [6, 7, 8, 9, 10]


def resident_mib() -> float:
    """Return the resident memory of this process in MiB (Linux)."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS"))


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library is not glibc")
def test_freed_memory_goes_back_even_if_a_block_after_it_is_in_use() -> None:
    """The blocks are too small to be mapped on their own, and the last one is not freed before the measurement."""
    library = ctypes.CDLL(None)
    library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    library.free.argtypes = [ctypes.c_void_p]
    blocks = [library.malloc(100_000) for _ in range(1000)]
    for block in blocks:
        ctypes.memset(block, 1, 100_000)
    for block in blocks[:-1]:
        library.free(block)
    before = resident_mib()

    give_back_freed_memory()

    assert resident_mib() < before - 50
    library.free(blocks[-1])
