"""Run batches of seconds through the networks in separate threads, while other processes decode more."""

import contextlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, Self

import numpy as np
import torch
from numpy.typing import NDArray

from extractors.base import Extractor, KeyT
from extractors.decoding.interface import Second
from extractors.runtime.memory import give_back_freed_memory, kept_memory
from extractors.runtime.transfer import Download, Transfer

Batch = Sequence[tuple[KeyT, Second]]  # each second with the key of its video
Rows = list[tuple[KeyT, NDArray[np.float32]]]  # keys and vectors (D,)

_BATCHES_BETWEEN_TRIMS = 8


@dataclass(frozen=True)
class FinishedBatch(Generic[KeyT]):
    """The features of a batch.

    Attributes:
        keys: the key of each second of the batch.
        visual: one row per second that has a picture.
        audio: one row per second that has sound.
    """

    keys: tuple[KeyT, ...]
    visual: Rows[KeyT]
    audio: Rows[KeyT]


@dataclass(frozen=True)
class _Launched(Generic[KeyT]):
    """A batch that was handed to the device; its pictures and sounds are no longer needed."""

    keys: tuple[KeyT, ...]
    visual: tuple[list[KeyT], Download] | None
    audio: tuple[list[KeyT], Download] | None

    @property
    def is_ready(self) -> bool:
        return all(modality is None or modality[1].has_arrived for modality in (self.visual, self.audio))

    def finish(self) -> FinishedBatch[KeyT]:
        return FinishedBatch(self.keys, _rows(self.visual), _rows(self.audio))


def _rows(modality: tuple[list[KeyT], Download] | None) -> Rows[KeyT]:
    return [] if modality is None else list(zip(modality[0], modality[1].vectors(), strict=True))


class NetworkQueue(Generic[KeyT]):
    """Runs batches through both networks, in the order in which they are submitted. Use it as a context manager.

    On a GPU, one thread sends the work to the device, and copying one batch overlaps with computing another. On a CPU,
    there is one thread per core. Each takes an equal share of `seconds_at_once`, so that no thread waits for another.

    Args:
        extractor: the networks.
        seconds_at_once: largest number of seconds in the networks at the same time; one more batch may wait.

    Attributes:
        batch_seconds: the number of seconds that a batch should have.
    """

    def __init__(self, extractor: Extractor, *, seconds_at_once: int) -> None:
        self._n_threads = min(extractor.calls_at_once, seconds_at_once)
        self.batch_seconds = seconds_at_once // self._n_threads
        self._extractor = extractor
        self._transfer = Transfer(extractor.device)
        self._torch_threads = torch.get_num_threads()
        self._executor = ThreadPoolExecutor(
            self._n_threads,
            thread_name_prefix="avzsl-network",
            initializer=torch.set_num_threads,
            initargs=(max(1, self._torch_threads // self._n_threads),),
        )
        self._pending: deque[Future[_Launched[KeyT]]] = deque()
        self._submitted = 0
        self._memory = contextlib.ExitStack()

    def __enter__(self) -> Self:
        if self._extractor.device.type == "cpu":
            self._memory.enter_context(kept_memory())
        return self

    def __exit__(self, *_: object) -> None:
        """Cancel queued batches and wait for running ones, which cannot be stopped."""
        self._executor.shutdown(cancel_futures=True)
        self._memory.close()
        # A new thread gets the number that any thread set last.
        torch.set_num_threads(self._torch_threads)

    def submit(self, batch: Batch[KeyT]) -> Iterator[FinishedBatch[KeyT]]:
        """Yield finished batches, waiting if too many are pending, and then queue this batch."""
        yield from self._finished(most_left=self._n_threads)
        self._submitted += 1
        if self._submitted % _BATCHES_BETWEEN_TRIMS == 0:
            give_back_freed_memory()
        self._pending.append(self._executor.submit(self._launch, batch))

    def finished(self) -> Iterator[FinishedBatch[KeyT]]:
        """Yield the finished batches, without waiting."""
        yield from self._finished(most_left=2 * self._n_threads)

    def finish(self, batch: Batch[KeyT]) -> Iterator[FinishedBatch[KeyT]]:
        """Queue the last seconds, divided equally among the threads, and yield all remaining batches."""
        length = max(1, -(-len(batch) // self._n_threads))
        for first in range(0, len(batch), length):
            yield from self.submit(batch[first : first + length])
        yield from self._finished(most_left=0)

    def _finished(self, *, most_left: int) -> Iterator[FinishedBatch[KeyT]]:
        while self._pending and (len(self._pending) > most_left or self._is_ready(self._pending[0])):
            yield self._pending.popleft().result().finish()

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
            with self._transfer.audio_stream():
                samples = self._transfer.upload([samples for _, samples in sounds])
                audio = [key for key, _ in sounds], Download(self._extractor.audio(samples))
        return _Launched(tuple(key for key, _ in batch), visual, audio)
