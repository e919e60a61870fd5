"""Batches of seconds on their way through the networks, in threads of their own, while others are decoded."""

import ctypes
import functools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, Self

import numpy as np
import torch
from numpy.typing import NDArray

from extractors.base import Extractor, KeyT
from extractors.decoding.interface import Second
from extractors.runtime.transfer import Download, Transfer

Batch = Sequence[tuple[KeyT, Second]]  # the key of each second's video, and the second
Rows = list[tuple[KeyT, NDArray[np.float32]]]  # key and vector (D,)

_BATCHES_BETWEEN_TRIMS = 8


@dataclass(frozen=True)
class FinishedBatch(Generic[KeyT]):
    """What a batch became; seconds without picture or sound have no row there."""

    keys: tuple[KeyT, ...]  # of all its seconds
    visual: Rows[KeyT]
    audio: Rows[KeyT]


@dataclass(frozen=True)
class _Launched(Generic[KeyT]):
    """A batch that the device has been told of; its pictures and sounds are needed no more."""

    keys: tuple[KeyT, ...]
    visual: tuple[list[KeyT], Download] | None
    audio: tuple[list[KeyT], Download] | None

    @property
    def is_ready(self) -> bool:
        return all(part is None or part[1].has_arrived for part in (self.visual, self.audio))

    def finish(self) -> FinishedBatch[KeyT]:
        return FinishedBatch(self.keys, _rows(self.visual), _rows(self.audio))


def _rows(part: tuple[list[KeyT], Download] | None) -> Rows[KeyT]:
    return [] if part is None else list(zip(part[0], part[1].vectors(), strict=True))


class NetworkQueue(Generic[KeyT]):
    """Runs batches through both networks, in the order in which they are submitted; use it as a context manager.

    On a GPU, one thread tells the device what to do, and copies of a batch overlap with the computing of another. On a
    CPU, a thread for each core takes a share of `seconds_at_once`: nothing in one has to wait for another.

    Args:
        extractor: the networks.
        seconds_at_once: how many seconds the networks see at the same time, at most; one more batch may be waiting.

    Attributes:
        batch_seconds: how long a batch is to be.
    """

    def __init__(self, extractor: Extractor, *, seconds_at_once: int) -> None:
        self._lanes = min(extractor.calls_at_once, seconds_at_once)
        self.batch_seconds = seconds_at_once // self._lanes
        self._extractor = extractor
        self._transfer = Transfer(extractor.device)
        self._threads = torch.get_num_threads()
        self._executor = ThreadPoolExecutor(
            self._lanes,
            thread_name_prefix="avzsl-network",
            initializer=torch.set_num_threads,
            initargs=(max(1, self._threads // self._lanes),),
        )
        self._under_way: deque[Future[_Launched[KeyT]]] = deque()
        self._submitted = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Forget what waits; what runs is waited for, as nothing can stop it."""
        self._executor.shutdown(cancel_futures=True)
        # PyTorch gives the number that a thread last set to threads that begin later.
        torch.set_num_threads(self._threads)

    def submit(self, batch: Batch[KeyT]) -> Iterator[FinishedBatch[KeyT]]:
        """Have a batch run; yields what is finished, and waits for that while too much is under way."""
        yield from self._finished(most_left=self._lanes)
        self._submitted += 1
        if self._submitted % _BATCHES_BETWEEN_TRIMS == 0:
            give_back_freed_memory()
        self._under_way.append(self._executor.submit(self._launch, batch))

    def finished(self) -> Iterator[FinishedBatch[KeyT]]:
        """Yield what is finished, without waiting."""
        yield from self._finished(most_left=2 * self._lanes)

    def rest(self, batch: Batch[KeyT]) -> Iterator[FinishedBatch[KeyT]]:
        """Have the last seconds run, in equal shares; yields everything that is under way."""
        share = max(1, -(-len(batch) // self._lanes))
        for first in range(0, len(batch), share):
            yield from self.submit(batch[first : first + share])
        yield from self._finished(most_left=0)

    def _finished(self, *, most_left: int) -> Iterator[FinishedBatch[KeyT]]:
        while self._under_way and (len(self._under_way) > most_left or self._is_ready(self._under_way[0])):
            yield self._under_way.popleft().result().finish()

    @staticmethod
    def _is_ready(launched: Future[_Launched[KeyT]]) -> bool:
        return launched.done() and launched.result().is_ready

    def _launch(self, batch: Batch[KeyT]) -> _Launched[KeyT]:
        visual = audio = None
        pictures = [(key, second.frames) for key, second in batch if second.frames is not None]
        sounds = [(key, second.audio) for key, second in batch if second.audio is not None]
        if pictures:
            frames = self._transfer.upload([frames for _, frames in pictures])
            visual = [key for key, _ in pictures], Download(self._extractor.visual(frames))
        if sounds:
            with self._transfer.beside_the_picture():
                samples = self._transfer.upload([samples for _, samples in sounds])
                audio = [key for key, _ in sounds], Download(self._extractor.audio(samples))
        return _Launched(tuple(key for key, _ in batch), visual, audio)


@functools.cache
def _trim() -> Callable[[int], int] | None:
    """Glibc's malloc_trim; None where the C library is another."""
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None
    return trim


def give_back_freed_memory() -> None:
    """Have the system take back what is free: glibc keeps it in pieces, and over hours there are more and more of them.

    It takes some milliseconds, and using the memory again costs as much once more.
    """
    trim = _trim()
    if trim is not None:
        trim(0)
