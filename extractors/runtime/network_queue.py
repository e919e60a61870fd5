"""Run batches of seconds through the networks in separate threads, while other processes decode more."""

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Generic, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from extractors.base import Extractor, KeyT
from extractors.decoding.interface import Second
from extractors.runtime.memory import give_back_freed_memory, kept_memory
from extractors.runtime.transfer import Download, Transfer

InputT = TypeVar("InputT")
Batch = Sequence[tuple[KeyT, Second]]  # each second with the key of its video
Rows = list[tuple[KeyT, NDArray[np.float32]]]  # keys and vectors (D,), or rows of pictures (F, E)
Windows = Sequence[tuple[KeyT, NDArray[Any]]]  # windows of pictures (K, E), each with the key of its video

_BATCHES_BETWEEN_TRIMS = 8


@dataclass(frozen=True)
class FinishedBatch(Generic[KeyT]):
    """The features of a batch.

    Attributes:
        keys: the key of each second of the batch.
        visual: one row per second that has a picture: its vector, or the rows of its pictures.
        audio: one row per second that has sound.
        windows: one vector per window of pictures.
    """

    keys: tuple[KeyT, ...] = ()
    visual: Rows[KeyT] = field(default_factory=list)
    audio: Rows[KeyT] = field(default_factory=list)
    windows: Rows[KeyT] = field(default_factory=list)


class _Computed(Generic[KeyT]):
    """Vectors that were computed for inputs of several shapes, one call for each shape."""

    def __init__(
        self,
        inputs: Sequence[tuple[KeyT, NDArray[Any]]],
        transfer: Transfer,
        compute: Callable[[torch.Tensor], torch.Tensor],
    ) -> None:
        self._keys = [key for key, _ in inputs]
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for position, (_, array) in enumerate(inputs):
            by_shape.setdefault(array.shape, []).append(position)
        self._parts = [
            (positions, Download(compute(transfer.upload([inputs[position][1] for position in positions]))))
            for positions in by_shape.values()
        ]

    @property
    def has_arrived(self) -> bool:
        return all(download.has_arrived for _, download in self._parts)

    def rows(self) -> Rows[KeyT]:
        """Return keys and vectors in the order of the inputs."""
        vectors = dict(
            pair for positions, download in self._parts for pair in zip(positions, download.vectors(), strict=True)
        )
        return [(key, vectors[position]) for position, key in enumerate(self._keys)]


@dataclass(frozen=True)
class _Launched(Generic[KeyT]):
    """A batch that was handed to the device; its pictures and sounds are no longer needed."""

    keys: tuple[KeyT, ...] = ()
    visual: _Computed[KeyT] | None = None
    audio: _Computed[KeyT] | None = None
    windows: _Computed[KeyT] | None = None

    @property
    def is_ready(self) -> bool:
        return all(part is None or part.has_arrived for part in (self.visual, self.audio, self.windows))

    def finish(self) -> FinishedBatch[KeyT]:
        parts = (self.visual, self.audio, self.windows)
        return FinishedBatch(self.keys, *([] if part is None else part.rows() for part in parts))


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
        yield from self._submit(self._launch, batch)

    def submit_windows(self, windows: Windows[KeyT]) -> Iterator[FinishedBatch[KeyT]]:
        """Do the same for windows of pictures that are encoded already."""
        yield from self._submit(self._launch_windows, windows)

    def _submit(self, launch: Callable[[Any], _Launched[KeyT]], inputs: object) -> Iterator[FinishedBatch[KeyT]]:
        yield from self._finished(most_left=self._n_threads)
        self._submitted += 1
        if self._submitted % _BATCHES_BETWEEN_TRIMS == 0:
            give_back_freed_memory()
        self._pending.append(self._executor.submit(launch, inputs))

    def finished(self) -> Iterator[FinishedBatch[KeyT]]:
        """Yield the finished batches, without waiting."""
        yield from self._finished(most_left=2 * self._n_threads)

    def finish(self, batch: Batch[KeyT]) -> Iterator[FinishedBatch[KeyT]]:
        """Queue the last seconds, divided equally among the threads, and yield all remaining batches."""
        for part in self._shares(batch):
            yield from self.submit(part)
        yield from self._finished(most_left=0)

    def finish_windows(self, windows: Windows[KeyT]) -> Iterator[FinishedBatch[KeyT]]:
        """Do the same for the last windows of pictures."""
        for part in self._shares(windows):
            yield from self.submit_windows(part)
        yield from self._finished(most_left=0)

    def _shares(self, inputs: Sequence[InputT]) -> Iterator[Sequence[InputT]]:
        length = max(1, -(-len(inputs) // self._n_threads))
        for first in range(0, len(inputs), length):
            yield inputs[first : first + length]

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
            visual = _Computed(pictures, self._transfer, self._extractor.visual)
        if sounds:
            with self._transfer.audio_stream():
                audio = _Computed(sounds, self._transfer, self._extractor.audio)
        return _Launched(tuple(key for key, _ in batch), visual, audio)

    def _launch_windows(self, windows: Windows[KeyT]) -> _Launched[KeyT]:
        return _Launched(windows=_Computed(windows, self._transfer, self._extractor.visual_of_windows))
