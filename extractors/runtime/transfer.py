"""Copy data between the host and the networks' device; a GPU copies while it computes something else."""

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Transfer:
    """Copies batches to a device. On a GPU, copies, sound and picture each have a stream, so that they overlap.

    Args:
        device: device of the networks.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        on_gpu = device.type == "cuda"
        self._copy_stream = _new_stream(device) if on_gpu else None
        self._audio_stream = _new_stream(device) if on_gpu else None

    def upload(self, arrays: Sequence[NDArray[Any]]) -> Tensor:
        """Stack arrays of one shape and type on the device, (N, ...). The device's next computation waits for them."""
        if self._copy_stream is None:
            return torch.from_numpy(np.stack(arrays))
        # A GPU copies in the background only from pinned memory. PyTorch keeps such memory for the next batch.
        first = torch.from_numpy(arrays[0])
        staging = torch.empty((len(arrays), *first.shape), dtype=first.dtype, pin_memory=True)
        for row, array in zip(staging, arrays, strict=True):
            row.copy_(torch.from_numpy(array))
        with torch.cuda.stream(self._copy_stream):
            batch = staging.to(self._device, non_blocking=True)
        computing = torch.cuda.current_stream(self._device)
        computing.wait_stream(self._copy_stream)
        batch.record_stream(computing)
        return batch

    def audio_stream(self) -> contextlib.AbstractContextManager[object]:
        """Run the computations of a `with` block without waiting for the picture network."""
        return contextlib.nullcontext() if self._audio_stream is None else torch.cuda.stream(self._audio_stream)


def _new_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch has no types here


class Download:
    """A copy of vectors (N, D) to the host, which starts as soon as the device has computed them."""

    def __init__(self, vectors: Tensor) -> None:
        self._host = vectors
        self._arrival: torch.cuda.Event | None = None
        if vectors.is_cuda:
            self._host = torch.empty(vectors.shape, dtype=vectors.dtype, pin_memory=True)
            self._host.copy_(vectors, non_blocking=True)
            self._arrival = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch has no types here
            self._arrival.record(torch.cuda.current_stream(vectors.device))

    @property
    def has_arrived(self) -> bool:
        """Whether `vectors` can return without waiting."""
        return self._arrival is None or bool(self._arrival.query())  # type: ignore[no-untyped-call]  # torch has no types here

    def vectors(self) -> NDArray[np.float32]:
        """Wait for the vectors (N, D) and return a copy of them, because they are kept for long.

        The copy is not in pinned memory. It is also not one of the blocks that the network threads allocate and free.
        Otherwise the C library could not reuse the memory between those blocks.
        """
        if self._arrival is not None:
            self._arrival.synchronize()
        return self._host.numpy().copy()
