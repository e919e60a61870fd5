"""Test a decoder on a generated clip of two seconds: red, then blue, with a tone."""

from pathlib import Path

import av
import numpy as np

from extractors.base import InputSpec, PictureInput, SoundInput
from extractors.decoding.interface import DecodingRequest, Second
from extractors.decoding.pool import DecodingPool, SecondDecoded, VideoFailed
from extractors.errors import UnavailableError

SECONDS = 2
_SIDE_PIXELS = 128  # decord garbles pictures narrower than 64
_FRAMES_PER_SECOND = 10
_RATE_HZ = 24_000
_TONE_HZ = 500
_AAC_FRAME_SAMPLES = 1024
_COLOURS = ((255, 0, 0), (0, 0, 255))
_SILENCE_LIMIT_SECONDS = 30.0
_INPUTS = InputSpec(
    picture=PictureInput(frames_per_second=10, side_pixels=64, resized_pixels=64), sound=SoundInput(rate_hz=_RATE_HZ)
)


def write_tiny_clip(path: Path) -> None:
    """Write the clip as MP4 with H.264 and AAC.

    Raises:
        OSError: a path that cannot be written.
    """
    with av.open(path, "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=_FRAMES_PER_SECOND)
        video.width = video.height = _SIDE_PIXELS
        video.pix_fmt = "yuv420p"
        audio = container.add_stream("aac", rate=_RATE_HZ, layout="mono")
        for number in range(SECONDS * _FRAMES_PER_SECOND):
            colour = np.array(_COLOURS[number // _FRAMES_PER_SECOND], np.uint8)
            picture = np.broadcast_to(colour, (_SIDE_PIXELS, _SIDE_PIXELS, 3)).copy()
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode(None))
        tone = np.sin(np.arange(SECONDS * _RATE_HZ, dtype=np.float32) * (2 * np.pi * _TONE_HZ / _RATE_HZ)) / 2
        for start in range(0, tone.size, _AAC_FRAME_SAMPLES):
            samples = tone[None, start : start + _AAC_FRAME_SAMPLES].astype(np.float32)
            piece = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            piece.sample_rate, piece.pts = _RATE_HZ, start
            container.mux(audio.encode(piece))
        container.mux(audio.encode(None))


def what_is_wrong(seconds: list[Second]) -> str:
    """Describe how decoded seconds differ from the clip; '' if they are correct."""
    if len(seconds) != SECONDS:
        return f"{len(seconds)} seconds of {SECONDS}"
    for second, colour in zip(seconds, _COLOURS, strict=True):
        if second.frames is None or second.audio is None:
            return "no picture" if second.frames is None else "no sound"
        shown = second.frames.mean(axis=(0, 2, 3))  # (3,) mean of the whole second
        if np.abs(shown - colour).max() > 20:
            return f"colours {shown.round().tolist()} instead of {list(colour)}"
        if not 8000 < np.abs(second.audio.astype(np.int32)).max() < 24_000:
            return "sound of the wrong loudness"
    return ""


def try_decoder(name: str, clip: Path) -> str:
    """Decode the clip with a decoder, in another process.

    Args:
        name: the name of the decoder.
        clip: a file written by `write_tiny_clip`.

    Returns:
        One line that says what is wrong; empty if the decoder works.
    """
    seconds = []
    request = DecodingRequest(path=clip, inputs=_INPUTS)
    try:
        with DecodingPool(decoder=name, silence_limit_seconds=_SILENCE_LIMIT_SECONDS) as pool:
            for event in pool.decode([("clip", request)]):
                if isinstance(event, VideoFailed):
                    return f"does not decode: {event.reason}"
                if isinstance(event, SecondDecoded):
                    seconds.append(event.second)
    except UnavailableError as error:
        return str(error)
    wrong = what_is_wrong(seconds)
    return f"decodes wrongly: {wrong}" if wrong else ""
