"""The main loop of a decoding process: receive a video, send its seconds one by one, repeat."""

import os
import signal
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from extractors.decoding.interface import Decoder, DecodingRequest, Second, VideoSummary, get_decoder
from extractors.errors import VideoError
from extractors.processes.worker_process import silence_native_output

# The shape and the type of the pictures of a second; None if it has none.
FramesHeader = tuple[tuple[int, ...], str] | None
# The messages to the parent: None (ready), the sizes of a second (its arrays follow as bytes), a summary, or the reason
# of a failure.
Message = None | tuple[FramesHeader, int | None] | VideoSummary | str


def run_worker(connection: Connection, decoder_name: str, silence_limit_seconds: float) -> None:
    """Decode the videos requested through the pipe until it closes.

    Args:
        connection: the worker's end of the pipe; sending blocks while the parent does not read.
        decoder_name: the name of the decoder.
        silence_limit_seconds: time without progress after which the process ends, even if its parent is gone.
    """
    # Ctrl-C is sent to every process of the terminal; only the parent handles it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    silence_native_output()
    try:
        decoder = get_decoder(decoder_name)
        _send(connection, None)
        while True:
            _decode(connection, decoder, connection.recv(), silence_limit_seconds)
    except (EOFError, ConnectionError):
        return  # the parent has ended or closed the pipe


def _decode(connection: Connection, decoder: Decoder, request: DecodingRequest, silence_limit_seconds: float) -> None:
    """Send a video's seconds, followed by its summary or the reason of the failure."""
    seconds = decoder.decode(request)
    last: Message
    while True:
        try:
            _arm(silence_limit_seconds)
            second = next(seconds)
        except StopIteration as end:
            last = end.value
            break
        except VideoError as error:
            last = str(error)
            break
        except Exception as error:  # noqa: BLE001 -- a bug fails only the video that triggers it; the reason names the bug
            last = f"unexpected {type(error).__name__} in the decoder: {error}"
            break
        _arm(0)
        _send_second(connection, second)
    _arm(0)
    _send(connection, last)


def _arm(seconds: float) -> None:
    """Let the kernel end this process after `seconds`, even while native code runs; 0 cancels this."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _send(connection: Connection, message: Message) -> None:
    connection.send(message)


def _send_second(connection: Connection, second: Second) -> None:
    frames = None if second.frames is None else (second.frames.shape, second.frames.dtype.name)
    _send(connection, (frames, None if second.audio is None else second.audio.size))
    for array in (second.frames, second.audio):
        if array is not None:
            _send_bytes(connection, np.ascontiguousarray(array).data.cast("B"))


def receive_second(connection: Connection, *, header: FramesHeader, samples: int | None) -> Second:
    """Receive a second that `_send_second` sent; the parent calls this.

    Args:
        connection: the parent's end of the pipe.
        header: shape and type of the pictures that follow; None if there are none.
        samples: number of int16 samples that follow; None if there is no sound.
    """
    frames: NDArray[Any] | None = None
    audio: NDArray[np.int16] | None = None
    if header is not None:
        frames = np.empty(*header)
        _receive_bytes(connection, frames.data.cast("B"))
    if samples is not None:
        audio = np.empty(samples, np.int16)
        _receive_bytes(connection, audio.data.cast("B"))
    return Second(frames=frames, audio=audio)


# A connection's own methods collect a message in chunks and allocate the whole size for each chunk. For a second of
# pictures this takes longer than decoding it. Both ends know the number of bytes, so the message needs no framing.


def _send_bytes(connection: Connection, content: memoryview) -> None:
    if os.name != "posix":
        connection.send_bytes(content)
        return
    while content:
        content = content[os.write(connection.fileno(), content) :]


def _receive_bytes(connection: Connection, out: memoryview) -> None:
    if os.name != "posix":
        connection.recv_bytes_into(out)
        return
    while out:
        count = os.readv(connection.fileno(), [out])
        if not count:
            raise EOFError("the other end of the pipe is closed")
        out = out[count:]
