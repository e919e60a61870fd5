"""Between the host and the device of the networks: copies that a GPU makes while it computes something else."""

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Transfer:
    """Takes batches to a device. On a GPU copies, sound and picture have a stream each, so that they overlap.

    Args:
        device: of the networks.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        on_gpu = device.type == "cuda"
        self._copies = _new_stream(device) if on_gpu else None
        self._beside = _new_stream(device) if on_gpu else None

    def upload(self, arrays: Sequence[NDArray[Any]]) -> Tensor:
        """Stack arrays of one shape and type on the device, (N, ...); what is computed next there waits for it."""
        if self._copies is None:
            return torch.from_numpy(np.stack(arrays))
        # Only from pinned memory does a GPU copy by itself; PyTorch keeps such memory for the next batch.
        first = torch.from_numpy(arrays[0])
        staging = torch.empty((len(arrays), *first.shape), dtype=first.dtype, pin_memory=True)
        for row, array in zip(staging, arrays, strict=True):
            row.copy_(torch.from_numpy(array))
        with torch.cuda.stream(self._copies):
            batch = staging.to(self._device, non_blocking=True)
        computing = torch.cuda.current_stream(self._device)
        computing.wait_stream(self._copies)
        batch.record_stream(computing)
        return batch

    def beside_the_picture(self) -> contextlib.AbstractContextManager[object]:
        """What is computed within does not wait for what was asked of the device before."""
        return contextlib.nullcontext() if self._beside is None else torch.cuda.stream(self._beside)


def _new_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch does not say


class Download:
    """Vectors (N, D) on their way to the host; begins with what is asked of the device next."""

    def __init__(self, vectors: Tensor) -> None:
        self._host = vectors
        self._arrival: torch.cuda.Event | None = None
        if vectors.is_cuda:
            self._host = torch.empty(vectors.shape, dtype=vectors.dtype, pin_memory=True)
            self._host.copy_(vectors, non_blocking=True)
            self._arrival = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch does not say
            self._arrival.record(torch.cuda.current_stream(vectors.device))

    @property
    def has_arrived(self) -> bool:
        """Whether `vectors` would not wait."""
        return self._arrival is None or bool(self._arrival.query())  # type: ignore[no-untyped-call]  # torch does not say

    def vectors(self) -> NDArray[np.float32]:
        """(N, D), once they are there; a copy, as they stay long.

        No pinned memory is held by them, and nothing small amid what the threads of the networks take and give back:
        that would keep the C library from using the room between.
        """
        if self._arrival is not None:
            self._arrival.synchronize()
        return self._host.numpy().copy()
