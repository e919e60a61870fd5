"""The interface of extractors: from a second of picture or sound to a vector."""

from collections.abc import Hashable
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:  # decoding works without torch, and avzsl doctor says so
    import torch
    from torch import Tensor

KeyT = TypeVar("KeyT", bound=Hashable)  # what a caller names a video by; results carry it


class Extractor(Protocol):
    """Networks and their preprocessing, ready on a device.

    Legend: N seconds, D numbers in a feature vector.
    """

    @property
    def device(self) -> "torch.device":
        """The device that the networks are on; inputs may be on any device."""
        ...

    @property
    def calls_at_once(self) -> int:
        """How many threads to call the extractor from, to use the whole device."""
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
