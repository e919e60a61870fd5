"""What runs in a decoding process: take a video, send its seconds one by one, take the next."""

import os
import signal
from multiprocessing.connection import Connection

import numpy as np
from numpy.typing import NDArray

from extractors.decoding.frames import FRAME_SIDE_PIXELS
from extractors.decoding.interface import Decoder, DecodingRequest, Second, VideoSummary, get_decoder
from extractors.decoding.timeline import FRAMES_PER_SECOND
from extractors.errors import VideoError
from extractors.processes import silence_native_output

FRAMES_SHAPE = (FRAMES_PER_SECOND, 3, FRAME_SIDE_PIXELS, FRAME_SIDE_PIXELS)

# What travels to the parent: None (ready), the sizes of a second, whose arrays follow as bytes, a summary, or a reason.
Message = None | tuple[bool, int | None] | VideoSummary | str


def run_worker(connection: Connection, decoder_name: str, silence_limit_seconds: float) -> None:
    """Decode what comes through the pipe until it closes.

    Args:
        connection: The worker's end of the pipe; sending blocks while the parent does not read.
        decoder_name: Which decoder to use.
        silence_limit_seconds: Without progress for longer the process ends, even if no parent is left to end it.
    """
    # Ctrl-C reaches every process of the terminal; only the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OMP_NUM_THREADS"] = "1"
    silence_native_output()
    try:
        decoder = get_decoder(decoder_name)
        _send(connection, None)
        while True:
            _decode(connection, decoder, connection.recv(), silence_limit_seconds)
    except (EOFError, ConnectionError):
        return  # the parent is gone, or wants no more


def _decode(connection: Connection, decoder: Decoder, request: DecodingRequest, silence_limit_seconds: float) -> None:
    """Send a video's seconds and, last, its summary or the reason why there is none."""
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
        except Exception as error:  # noqa: BLE001 -- reported as the reason: a bug met in one video costs only that video
            last = f"unexpected {type(error).__name__} in the decoder: {error}"
            break
        _arm(0)
        _send_second(connection, second)
    _arm(0)
    _send(connection, last)


def _arm(seconds: float) -> None:
    """Have the kernel end this process after `seconds`, whatever its native code is doing; 0: do not."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _send(connection: Connection, message: Message) -> None:
    connection.send(message)


def _send_second(connection: Connection, second: Second) -> None:
    _send(connection, (second.frames is not None, None if second.audio is None else second.audio.size))
    for array in (second.frames, second.audio):
        if array is not None:
            _send_bytes(connection, np.ascontiguousarray(array).data.cast("B"))


def receive_second(connection: Connection, *, has_frames: bool, samples: int | None) -> Second:
    """The parent's half of `_send_second`.

    Args:
        connection: The parent's end of the pipe.
        has_frames: Whether (30, 3, 112, 112) float32 follow.
        samples: How many int16 follow; None: no sound.
    """
    frames: NDArray[np.float32] | None = None
    audio: NDArray[np.int16] | None = None
    if has_frames:
        frames = np.empty(FRAMES_SHAPE, np.float32)
        _receive_bytes(connection, frames.data.cast("B"))
    if samples is not None:
        audio = np.empty(samples, np.int16)
        _receive_bytes(connection, audio.data.cast("B"))
    return Second(frames=frames, audio=audio)


# A connection's own methods collect a message in pieces, and make room for each as if it were the whole: for a second
# of pictures that takes longer than to decode it. Both ends know how many bytes come, so nothing need frame them.


def _send_bytes(connection: Connection, content: memoryview) -> None:
    if os.name != "posix":
        connection.send_bytes(content)
        return
    while content:
        content = content[os.write(connection.fileno(), content) :]


def _receive_bytes(connection: Connection, room: memoryview) -> None:
    if os.name != "posix":
        connection.recv_bytes_into(room)
        return
    while room:
        count = os.readv(connection.fileno(), [room])
        if not count:
            raise EOFError("the other end is gone")
        room = room[count:]
