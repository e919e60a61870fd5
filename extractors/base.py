"""The interface of extractors, which compute a vector from a second of picture or sound."""

from collections.abc import Hashable
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:  # decoding works without torch, and avzsl doctor reports a missing torch
    import torch
    from torch import Tensor

KeyT = TypeVar("KeyT", bound=Hashable)  # the caller's key of a video; results contain it


class Extractor(Protocol):
    """Networks and their preprocessing, loaded on a device.

    Legend: N seconds, D numbers in a feature vector.
    """

    @property
    def device(self) -> "torch.device":
        """The device of the networks; inputs may be on any device."""
        ...

    @property
    def calls_at_once(self) -> int:
        """The number of threads that must call the extractor to use the whole device."""
        ...

    def visual(self, frames: "Tensor") -> "Tensor":
        """Compute the features of seconds of picture.

        Args:
            frames: (N, 30, 3, 112, 112) float32, RGB in 0..1.

        Returns:
            (N, D) float32, on `device`.
        """
        ...

    def audio(self, sound: "Tensor") -> "Tensor":
        """Compute the features of seconds of sound.

        Args:
            sound: (N, audio_rate_hz) int16, mono.

        Returns:
            (N, D) float32, on `device`.
        """
        ...
