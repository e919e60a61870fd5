"""What decoding gives, whoever decodes: a video's whole seconds in order, each with its pictures and its sound."""

import importlib.util
from collections.abc import Generator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from extractors.errors import UnavailableError

# Name -> (the library it needs, the module and class that implement it). Imported only when asked for.
_DECODERS = {
    "pyav": ("av", "extractors.decoding.pyav.decoder", "PyAvDecoder"),
    "decord": ("decord", "extractors.decoding.decord_decoder", "DecordDecoder"),
}


@dataclass(frozen=True, kw_only=True)
class DecodingRequest:
    """A video, or a segment of it, to decode.

    Attributes:
        path: The video file.
        audio_rate_hz: The rate at which its sound is wanted.
        start_seconds: Where the segment starts, on the clock that starts with the video's first frame; None: at 0.
        end_seconds: Where the segment ends, on the same clock; None: with the video.
    """

    path: Path
    audio_rate_hz: int
    start_seconds: float | None = None
    end_seconds: float | None = None


@dataclass(frozen=True)
class Second:
    """One second of a video.

    Attributes:
        frames: (30, 3, 112, 112) float32, RGB in 0..1, resized and cropped; None: the video has no picture.
        audio: (audio_rate_hz,) int16, mono; None: the video has no sound track.
    """

    frames: NDArray[np.float32] | None
    audio: NDArray[np.int16] | None


@dataclass(frozen=True)
class VideoSummary:
    """What is known of a video, or of the segment asked for, once its last second is out.

    Attributes:
        seconds: How many seconds came out.
        duration_seconds: How long the picture (without one: the sound) of the segment asked for really is.
        has_audio: Whether it has a sound track that can be decoded.
        has_visual: Whether it has a picture that can be decoded.
        warnings: One line each: what was missing or damaged.
    """

    seconds: int
    duration_seconds: float
    has_audio: bool
    has_visual: bool
    warnings: tuple[str, ...]


class Decoder(Protocol):
    """Turns a file into seconds; every decoder passes tests/extractors/decoding/test_contract.py."""

    name: str

    def decode(self, request: DecodingRequest) -> Generator[Second, None, VideoSummary]:
        """Yield the video's seconds in order and return the summary (the generator's value).

        Memory does not depend on the length of the video, unless the decoder's own description says so.

        Raises:
            VideoError: The file cannot be read, or holds neither picture nor sound that can be decoded.
        """
        ...


def available_decoders() -> tuple[str, ...]:
    """The names of the decoders whose library is installed, the default first."""
    return tuple(name for name, (library, _, _) in _DECODERS.items() if importlib.util.find_spec(library) is not None)


def get_decoder(name: str) -> Decoder:
    """The decoder of that name.

    Raises:
        UnavailableError: There is none of that name, or its library is not installed or does not load.
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
