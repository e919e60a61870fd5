"""Decoding in processes of their own: several videos at once, and one that crashes or hangs costs only itself."""

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
from extractors.processes import WorkerProcess

# A new process imports its libraries first, on a loaded machine for long.
_START_LIMIT_SECONDS = 120.0
# The worker's own limit comes into play only when the parent, which has the first word, is gone.
_ORPHAN_FACTOR = 2.0
# What every decoded second adds to the time that a video may take, as a share of the limit.
_LIMIT_A_SECOND = 0.25


@dataclass(frozen=True)
class SecondDecoded(Generic[KeyT]):
    """One more second of the video `key`; `index` counts from 0."""

    key: KeyT
    index: int
    second: Second


@dataclass(frozen=True)
class VideoDecoded(Generic[KeyT]):
    """The video `key` is complete."""

    key: KeyT
    summary: VideoSummary


@dataclass(frozen=True)
class VideoFailed(Generic[KeyT]):
    """The video `key` could not be decoded, or not to its end; its seconds so far are to be forgotten."""

    key: KeyT
    reason: str


DecodingEvent = SecondDecoded[KeyT] | VideoDecoded[KeyT] | VideoFailed[KeyT]


class DecodingPool:
    """Worker processes that decode one video each at a time; use it as a context manager.

    A worker holds at most the second it is sending and the one it decodes: its pipe blocks until the parent reads on.

    Args:
        decoder: The name of the decoder.
        workers: How many processes; each uses one thread.
        silence_limit_seconds: A video of which nothing comes for longer, while the parent listens, has failed; so has
            one that takes longer than that in all, and a quarter of it more for each of its seconds.

    Raises:
        UnavailableError: There is no such decoder here.
        ValueError: `workers` is less than 1.
    """

    def __init__(self, *, decoder: str = "pyav", workers: int = 1, silence_limit_seconds: float = 60.0) -> None:
        if workers < 1:
            raise ValueError(f"workers is {workers}; at least one process must decode")
        get_decoder(decoder)  # better refused here than by every worker
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

        Yields:
            Events; those of one video in order, those of different videos in between each other.
        """
        waiting = iter(requests)
        try:
            self._occupy(waiting)
            while busy := [worker for worker in self._workers if worker.key is not None]:
                for worker in self._speaking(busy):
                    event = cast("DecodingEvent[KeyT] | None", self._receive(worker))
                    # Before the event is handed out, so that no process idles while it is dealt with.
                    self._occupy(waiting)
                    if event is not None:
                        yield event
        finally:
            # Left early: what is still being decoded is nobody's any more.
            self._end([worker for worker in self._workers if worker.key is not None])

    def _occupy(self, waiting: Iterator[tuple[KeyT, DecodingRequest]]) -> None:
        """Give every free process a video, as long as there are any."""
        while self._has_room():
            job = next(waiting, None)
            if job is None:
                return
            self._assign(self._free_worker(), *job)

    def _has_room(self) -> bool:
        return len(self._workers) < self._count or any(worker.key is None for worker in self._workers)

    def _free_worker(self) -> "_Worker":
        """A process without a video, or a new one."""
        for worker in self._workers:
            if worker.key is None:
                return worker
        self._workers.append(_Worker(self._decoder, self._silence_limit_seconds))
        return self._workers[-1]

    def _assign(self, worker: "_Worker", key: Hashable, request: DecodingRequest) -> None:
        try:
            worker.assign(key, request)
        except ConnectionError:
            # It died while it had no video, by no fault of this one.
            self._end([worker])
            self._free_worker().assign(key, request)

    def _speaking(self, busy: list["_Worker"]) -> list["_Worker"]:
        """Wait until workers have something to say, and return them; or those that have been silent for too long."""
        began = time.monotonic()
        left = min(worker.patience_seconds for worker in busy)
        speaking = wait([worker.connection for worker in busy], timeout=max(0.0, left))
        # Only time spent listening counts: a worker may be waiting for a parent that did something else.
        listened = time.monotonic() - began
        for worker in busy:
            worker.silent_seconds = 0.0 if worker.connection in speaking else worker.silent_seconds + listened
            worker.waited_seconds += listened
        return [worker for worker in busy if worker.connection in speaking or worker.patience_seconds <= 0]

    def _receive(self, worker: "_Worker") -> DecodingEvent[Hashable] | None:
        """Convert a worker's next message, timeout or exit to an event; None if it only reported ready."""
        key = worker.key
        if worker.patience_seconds <= 0:
            self._end([worker])
            return VideoFailed(key, _silent(worker) if worker.silent_seconds >= worker.limit_seconds else _slow(worker))
        try:
            return worker.receive()
        except (EOFError, OSError):
            self._end([worker])
            return VideoFailed(key, _silent(worker) if worker.fell_silent else _why_ended(worker.exit_code))

    def _end(self, workers: list["_Worker"]) -> None:
        for worker in workers:
            worker.end()
            self._workers.remove(worker)


class _Worker(WorkerProcess):
    """A decoding process, and the video it decodes."""

    def __init__(self, decoder: str, silence_limit_seconds: float) -> None:
        super().__init__(run_worker, decoder, silence_limit_seconds * _ORPHAN_FACTOR, name="avzsl-decoding")
        self.key: Hashable | None = None  # of its video; None while it has none
        self.silent_seconds = 0.0  # since its last message
        self.waited_seconds = 0.0  # for its video in all
        self.seconds_out = 0
        self.limit_seconds = max(silence_limit_seconds, _START_LIMIT_SECONDS)
        self._silence_limit_seconds = silence_limit_seconds
        self.fell_silent = False

    @property
    def patience_seconds(self) -> float:
        """How long to go on listening to it."""
        allowed = self.limit_seconds * (1 + self.seconds_out * _LIMIT_A_SECOND)
        return min(self.limit_seconds - self.silent_seconds, allowed - self.waited_seconds)

    def assign(self, key: Hashable, request: DecodingRequest) -> None:
        """Give it a video.

        Raises:
            ConnectionError: the process is dead.
        """
        self.connection.send(request)
        self.key = key
        self.silent_seconds = self.waited_seconds = 0.0
        self.seconds_out = 0

    def receive(self) -> DecodingEvent[Hashable] | None:
        """Convert the next message to an event; None if the process only reported ready.

        Reading blocks in the middle of a message. A process that falls silent there is killed, which ends the wait.

        Raises:
            EOFError, OSError: the process has ended.
        """
        watchdog = threading.Timer(self.limit_seconds, self._kill_silent)
        watchdog.start()
        try:
            return self._receive()
        finally:
            watchdog.cancel()

    def _kill_silent(self) -> None:
        self.fell_silent = True
        self.kill()

    def _receive(self) -> DecodingEvent[Hashable] | None:
        message: Message = self.connection.recv()
        if message is None:
            self.limit_seconds = self._silence_limit_seconds
            self.waited_seconds = 0.0
            return None
        if isinstance(message, tuple):
            has_frames, samples = message
            second = receive_second(self.connection, has_frames=has_frames, samples=samples)
            self.seconds_out += 1
            return SecondDecoded(self.key, self.seconds_out - 1, second)
        key, self.key = self.key, None
        return VideoDecoded(key, message) if isinstance(message, VideoSummary) else VideoFailed(key, message)


def _silent(worker: _Worker) -> str:
    """Why a worker from which nothing came was ended, for people."""
    return f"nothing decoded for {worker.limit_seconds:g} s: given up"


def _slow(worker: _Worker) -> str:
    """Why a worker that goes on and on was ended, for people."""
    return f"too slow: {worker.seconds_out} s of it decoded in {worker.waited_seconds:.0f} s: given up"


def _why_ended(exit_code: int | None) -> str:
    """What became of a process that ended by itself, for people."""
    if exit_code is not None and exit_code < 0:
        name = Signals(-exit_code).name
        hint = " (out of memory?)" if name == "SIGKILL" else ""
        return f"the decoding process was ended by {name}{hint}"
    return f"the decoding process ended by itself (exit code {exit_code})"
