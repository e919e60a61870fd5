"""The interface of decoders: a video becomes whole seconds in order, each with its pictures and its sound."""

import importlib.util
from collections.abc import Generator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from extractors.base import InputSpec
from extractors.decoding.limits import LONGEST_SECONDS
from extractors.errors import UnavailableError

# Name -> (required library, module, class). A module is imported only when its decoder is requested.
_DECODERS = {
    "pyav": ("av", "extractors.decoding.pyav.decoder", "PyAvDecoder"),
    "decord": ("decord", "extractors.decoding.decord_decoder", "DecordDecoder"),
}


@dataclass(frozen=True, kw_only=True)
class DecodingRequest:
    """A video, or a segment of it, to decode.

    Attributes:
        path: the video file.
        inputs: the pictures and the sound that are wanted.
        start_seconds: start of the segment, on the video's clock (`timing/clock.py`); None for 0.
        end_seconds: end of the segment, on the same clock; None for the end of the video.
        longest_seconds: largest number of seconds; a video with more fails.
    """

    path: Path
    inputs: InputSpec
    start_seconds: float | None = None
    end_seconds: float | None = None
    longest_seconds: float = LONGEST_SECONDS


@dataclass(frozen=True)
class Second:
    """One second of a video, as an `InputSpec` describes it.

    Attributes:
        frames: (F, 3, S, S) uint8, or float32 in 0..1, RGB, resized and cropped; None if the video has no picture, or
            none is wanted.
        audio: (L,) int16, mono: the window of sound around the second; None if the video has no sound track, or none is
            wanted.
    """

    frames: NDArray[Any] | None
    audio: NDArray[np.int16] | None


@dataclass(frozen=True)
class VideoSummary:
    """The summary of a video, or of the requested segment, after its last second.

    Attributes:
        seconds: number of decoded seconds.
        duration_seconds: actual duration of the picture in the requested segment; of the sound if there is no picture.
        has_audio: whether the seconds have sound.
        has_visual: whether the seconds have pictures.
        warnings: missing or damaged content, one line each.
    """

    seconds: int
    duration_seconds: float
    has_audio: bool
    has_visual: bool
    warnings: tuple[str, ...]


class Decoder(Protocol):
    """Decodes a file to seconds; every decoder passes tests/extractors/decoding/test_contract.py."""

    name: str

    def decode(self, request: DecodingRequest) -> Generator[Second, None, VideoSummary]:
        """Yield the video's seconds in order, cut as requested, and return the summary (the generator's value).

        Memory does not depend on the length of the video, unless the decoder's docstring says so.

        Raises:
            VideoError: a file that cannot be read, or without picture and sound that can be decoded.
        """
        ...


def available_decoders() -> tuple[str, ...]:
    """Return the names of the decoders whose library is installed, the default first."""
    return tuple(name for name, (library, _, _) in _DECODERS.items() if importlib.util.find_spec(library) is not None)


def get_decoder(name: str) -> Decoder:
    """Import and create a decoder.

    Args:
        name: the name of the decoder.

    Raises:
        UnavailableError: an unknown name, or a decoder whose library is not installed or does not load.
    """
    choices = available_decoders()
    if name not in choices:
        why = "is not installed here" if name in _DECODERS else "does not exist"
        raise UnavailableError(f"decoder {name!r} {why}; choose one of: {', '.join(choices) or '(none installed)'}")
    library, module, class_name = _DECODERS[name]
    try:
        return cast("Decoder", getattr(import_module(module), class_name)())
    except (ImportError, OSError) as error:
        raise UnavailableError(
            f"decoder {name!r} is installed but does not load ({error}); reinstall {library}"
        ) from error
