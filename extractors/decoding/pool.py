"""Decode several videos at once in worker processes; a video that crashes or hangs fails alone."""

import threading
import time
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import wait
from signal import Signals
from typing import Generic, Self, cast

from extractors.base import KeyT
from extractors.decoding.interface import DecodingRequest, Second, VideoSummary, get_decoder
from extractors.decoding.worker import Message, receive_second, run_worker
from extractors.processes.worker_process import WorkerProcess

# A new process imports its libraries first, which takes long on a loaded machine.
_START_LIMIT_SECONDS = 120.0
# The parent enforces the limit. The worker's own limit is longer and matters only if the parent has ended.
_ORPHAN_FACTOR = 2.0
# Every decoded second adds this fraction of the limit to the time that a video may take.
_LIMIT_PER_SECOND = 0.25


@dataclass(frozen=True)
class SecondDecoded(Generic[KeyT]):
    """The next second of the video `key`; `index` counts from 0."""

    key: KeyT
    index: int
    second: Second


@dataclass(frozen=True)
class VideoDecoded(Generic[KeyT]):
    """The end of the video `key`, with its summary."""

    key: KeyT
    summary: VideoSummary


@dataclass(frozen=True)
class VideoFailed(Generic[KeyT]):
    """The failure of the video `key`; the caller must discard its seconds so far."""

    key: KeyT
    reason: str


DecodingEvent = SecondDecoded[KeyT] | VideoDecoded[KeyT] | VideoFailed[KeyT]


class DecodingPool:
    """A pool of worker processes, each decoding one video at a time; use it as a context manager.

    A worker holds at most two seconds: the one that it sends and the one that it decodes. Its pipe blocks until the
    parent reads.

    Args:
        decoder: the name of the decoder.
        workers: number of processes; each uses one thread.
        silence_limit_seconds: time without a new second, while the parent waits, after which a video fails. A video
            also fails if it takes longer in all than this limit plus a quarter of it for each decoded second.

    Raises:
        UnavailableError: a decoder that does not exist or cannot be loaded.
        ValueError: `workers` less than 1.
    """

    def __init__(self, *, decoder: str = "pyav", workers: int = 1, silence_limit_seconds: float = 60.0) -> None:
        if workers < 1:
            raise ValueError(f"workers is {workers}; at least one process must decode")
        get_decoder(decoder)  # refused here once, not by every worker
        self._decoder = decoder
        self._count = workers
        self._silence_limit_seconds = silence_limit_seconds
        self._workers: list[_Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end(list(self._workers))

    def decode(self, requests: Iterable[tuple[KeyT, DecodingRequest]]) -> Iterator[DecodingEvent[KeyT]]:
        """Decode videos; a request is taken only when a process is free for it.

        Args:
            requests: key and request of each video.

        Yields:
            Events; those of one video in order, those of different videos interleaved.
        """
        waiting = iter(requests)
        try:
            self._fill_workers(waiting)
            while busy := [worker for worker in self._workers if worker.key is not None]:
                for worker in self._ready_or_timed_out(busy):
                    event = cast("DecodingEvent[KeyT] | None", self._receive(worker))
                    # Before the event is yielded, so that no process is idle while the caller handles it.
                    self._fill_workers(waiting)
                    if event is not None:
                        yield event
        finally:
            # If the caller stops early, nothing receives the videos that are still being decoded.
            self._end([worker for worker in self._workers if worker.key is not None])

    def _fill_workers(self, waiting: Iterator[tuple[KeyT, DecodingRequest]]) -> None:
        """Give every free process a video, as long as requests are left."""
        while self._has_room():
            job = next(waiting, None)
            if job is None:
                return
            self._assign(self._free_worker(), *job)

    def _has_room(self) -> bool:
        return len(self._workers) < self._count or any(worker.key is None for worker in self._workers)

    def _free_worker(self) -> "_Worker":
        """Return a process without a video; start one if all are busy."""
        for worker in self._workers:
            if worker.key is None:
                return worker
        self._workers.append(_Worker(self._decoder, self._silence_limit_seconds))
        return self._workers[-1]

    def _assign(self, worker: "_Worker", key: Hashable, request: DecodingRequest) -> None:
        try:
            worker.assign(key, request)
        except ConnectionError:
            # The process died before it received this video, so the video is not the cause.
            self._end([worker])
            self._free_worker().assign(key, request)

    def _ready_or_timed_out(self, busy: list["_Worker"]) -> list["_Worker"]:
        """Wait for messages; return the workers that have sent one and those that have exceeded their limit."""
        began = time.monotonic()
        left = min(worker.seconds_left for worker in busy)
        ready = wait([worker.connection for worker in busy], timeout=max(0.0, left))
        # Only the time of this wait counts: at other times a worker may be blocked because the parent does not read.
        waited = time.monotonic() - began
        for worker in busy:
            worker.silent_seconds = 0.0 if worker.connection in ready else worker.silent_seconds + waited
            worker.waited_seconds += waited
        return [worker for worker in busy if worker.connection in ready or worker.seconds_left <= 0]

    def _receive(self, worker: "_Worker") -> DecodingEvent[Hashable] | None:
        """Convert a worker's next message, timeout or exit to an event; None if it only reported ready."""
        key = worker.key
        if worker.seconds_left <= 0:
            self._end([worker])
            silent = worker.silent_seconds >= worker.limit_seconds
            return VideoFailed(key, _silent_reason(worker) if silent else _slow_reason(worker))
        try:
            return worker.receive()
        except (EOFError, OSError):
            self._end([worker])
            return VideoFailed(key, _silent_reason(worker) if worker.stalled else _exit_reason(worker.exit_code))

    def _end(self, workers: list["_Worker"]) -> None:
        for worker in workers:
            worker.end()
            self._workers.remove(worker)


class _Worker(WorkerProcess):
    """A decoding process and the video that it decodes."""

    def __init__(self, decoder: str, silence_limit_seconds: float) -> None:
        super().__init__(run_worker, decoder, silence_limit_seconds * _ORPHAN_FACTOR, name="avzsl-decoding")
        self.key: Hashable | None = None  # key of the video; None while the process has none
        self.silent_seconds = 0.0  # waiting time since the last message
        self.waited_seconds = 0.0  # waiting time for the video in all
        self.seconds_decoded = 0
        self.limit_seconds = max(silence_limit_seconds, _START_LIMIT_SECONDS)
        self._silence_limit_seconds = silence_limit_seconds
        self.stalled = False  # whether it was killed for stopping in the middle of a message

    @property
    def seconds_left(self) -> float:
        """The time that the process may still take for its next message."""
        allowed = self.limit_seconds * (1 + self.seconds_decoded * _LIMIT_PER_SECOND)
        return min(self.limit_seconds - self.silent_seconds, allowed - self.waited_seconds)

    def assign(self, key: Hashable, request: DecodingRequest) -> None:
        """Send the process a video.

        Raises:
            ConnectionError: a process that has ended.
        """
        self.connection.send(request)
        self.key = key
        self.silent_seconds = self.waited_seconds = 0.0
        self.seconds_decoded = 0

    def receive(self) -> DecodingEvent[Hashable] | None:
        """Convert the next message to an event; None if the process only reported ready.

        Reading blocks in the middle of a message. A process that stops there is killed, which ends the wait.

        Raises:
            EOFError, OSError: a process that has ended.
        """
        watchdog = threading.Timer(self.limit_seconds, self._kill_stalled)
        watchdog.start()
        try:
            return self._receive()
        finally:
            watchdog.cancel()

    def _kill_stalled(self) -> None:
        self.stalled = True
        self.kill()

    def _receive(self) -> DecodingEvent[Hashable] | None:
        message: Message = self.connection.recv()
        if message is None:
            self.limit_seconds = self._silence_limit_seconds
            self.waited_seconds = 0.0
            return None
        if isinstance(message, tuple):
            header, samples = message
            second = receive_second(self.connection, header=header, samples=samples)
            self.seconds_decoded += 1
            return SecondDecoded(self.key, self.seconds_decoded - 1, second)
        key, self.key = self.key, None
        return VideoDecoded(key, message) if isinstance(message, VideoSummary) else VideoFailed(key, message)


def _silent_reason(worker: _Worker) -> str:
    """Describe why a worker without new messages was ended."""
    return f"nothing decoded for {worker.limit_seconds:g} s: given up"


def _slow_reason(worker: _Worker) -> str:
    """Describe why a worker that decodes too slowly was ended."""
    return f"too slow: {worker.seconds_decoded} s decoded in {worker.waited_seconds:.0f} s: given up"


def _exit_reason(exit_code: int | None) -> str:
    """Describe why a process exited unexpectedly."""
    if exit_code is not None and exit_code < 0:
        name = Signals(-exit_code).name
        hint = " (out of memory?)" if name == "SIGKILL" else ""
        return f"the decoding process was ended by {name}{hint}"
    return f"the decoding process exited unexpectedly (exit code {exit_code})"
