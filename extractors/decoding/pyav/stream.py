"""One stream of a file, read by PyAV over everything that is damaged in it."""

from collections.abc import Callable, Generator, Iterator
from itertools import chain
from pathlib import Path
from typing import Literal, Self

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.codec.context import CodecContext
from av.container.input import InputContainer
from av.packet import Packet
from av.stream import Discard, Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from extractors.decoding.media_file import why_unreadable
from extractors.errors import VideoError

# A demuxer that fails this often without one packet in between is stuck at the same place.
_LARGEST_DEMUXING_FAILURES = 10
# How long before a wanted time to aim at: key frames are indexed by decoding time, which lies a little earlier.
_SEEKING_MARGINS_SECONDS = (0.5, 10.0)
_NAMES_ENDS = frozenset({"matroska"})  # formats whose header's duration counts from time stamp 0
# Demuxers that only name other files, so that one "video" would show another's data, or that draw text.
_REFUSED_FORMATS = frozenset({"hls", "dash", "concat", "sdp", "image2", "imf", "tty"})


def open_container(path: Path) -> InputContainer:
    """Open a file for demuxing.

    Raises:
        VideoError: No demuxer takes it.
    """
    try:
        # The protocol is named so that no character of the name means anything; nothing but this file is opened.
        container = av.open(
            f"file:{path.absolute()}", "r", options={"protocol_whitelist": "file"}, metadata_errors="replace"
        )
    except av.FFmpegError as error:
        if isinstance(error, PermissionError):
            raise VideoError("no permission to read it") from error
        raise VideoError(why_unreadable(path)) from error
    if _REFUSED_FORMATS.intersection(container.format.name.split(",")):
        container.close()
        raise VideoError("not a video but a list of files or a text")
    if not len(container.streams):
        container.close()
        raise VideoError(why_unreadable(path))
    return container


class StreamReader:
    """The best picture or sound of a file, in a container of its own, so that neither waits for the other.

    Attributes:
        damaged_packets: How many packets could not be read or decoded so far.
    """

    def __init__(self, path: Path, kind: Literal["video", "audio"]) -> None:
        self.damaged_packets = 0
        self._path = path
        self._kind = kind
        self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    @property
    def exists(self) -> bool:
        """Whether the file has such a stream at all; cover art is none."""
        return self._stream is not None

    @property
    def is_broadcast(self) -> bool:
        """Whether this is a transport or programme stream, whose time stamps may start anywhere and jump."""
        return not {"mpegts", "mpeg"}.isdisjoint(self._format_names)

    @property
    def _format_names(self) -> list[str]:
        return self._container.format.name.split(",")

    @property
    def largest_gap_seconds(self) -> float:
        """The longest pause between frames to believe in: broadcast streams jump, other files hold still pictures."""
        return 10.0 if self.is_broadcast else 3600.0

    @property
    def start_seconds(self) -> float:
        """The time stamp at which the header says the stream starts; 0 where it does not say."""
        if self._stream is None or self._stream.start_time is None or self._stream.time_base is None:
            return 0.0
        return float(self._stream.start_time * self._stream.time_base)

    @property
    def sound_format(self) -> tuple[int, str] | None:
        """The rate in hertz and the layout of the channels, by ffmpeg's name; None: no sound, or of unknown codec."""
        if not isinstance(self._stream, AudioStream) or not _has_decoder(self._stream):
            return None
        return self._stream.rate, self._stream.layout.name

    @property
    def nominal_frame_seconds(self) -> float:
        """How long a picture stays where the file does not say."""
        rate = self._stream.guessed_rate if isinstance(self._stream, VideoStream) else None
        return float(1 / rate) if rate else 1 / 30

    @property
    def announced_seconds(self) -> tuple[float | None, bool]:
        """How long the file says the stream is, or else all of it; and whether it is the stream's own figure."""
        stream = self._stream
        if stream is not None and stream.duration and stream.time_base:
            seconds = float(stream.duration * stream.time_base)
            if isinstance(stream, VideoStream) and stream.average_rate:
                # The duration of an AVI cut short is corrected to what is there; its number of frames is not.
                seconds = max(seconds, float(stream.frames / stream.average_rate))
            return seconds, True
        duration = self._container.duration
        if not duration:
            return None, False
        # Matroska writes the time stamp at which the last stream ends; others how long all of them last together.
        begins_at = max(0.0, self.start_seconds) if _NAMES_ENDS.intersection(self._format_names) else 0.0
        return duration / av.time_base - begins_at, False

    def frames(self) -> Iterator[VideoFrame | AudioFrame]:
        """The frames from where the reader stands to the end; damaged packets are skipped and counted."""
        stream = self._stream
        if not isinstance(stream, VideoStream | AudioStream) or not _has_decoder(stream):
            return
        for packet in self._packets(stream):
            try:
                yield from stream.decode(packet)
            except av.FFmpegError:
                self.damaged_packets += 1

    def frames_from(self, stamp_seconds: float) -> Iterator[VideoFrame | AudioFrame]:
        """Frames that begin, if the stream does, at or before a time stamp: after a jump to the key frame before it."""
        stream = self._stream
        if stream is None or stream.time_base is None:
            return iter(())
        for margin in _SEEKING_MARGINS_SECONDS:
            try:
                self._container.seek(int((stamp_seconds - margin) / stream.time_base), stream=stream)
            except av.FFmpegError:
                break  # no index to jump by: read from the beginning
            frames, damaged_before = self.frames(), self.damaged_packets
            first = next(frames, None)
            self.damaged_packets = damaged_before  # the jump may have ended in the middle of a frame
            if first is not None and first.pts is not None and first.pts * stream.time_base <= stamp_seconds:
                return chain([first], frames)
        self._container.close()
        self._open()
        self.damaged_packets = 0
        return self.frames()

    def _open(self) -> None:
        self._container = open_container(self._path)
        self._stream = best_stream(self._container, self._kind)
        for other in self._container.streams:
            if other is not self._stream:
                other.discard = Discard.all  # not even read, where the container allows it
        if self._stream is not None and _has_decoder(self._stream):
            # Two threads gain nothing when every core decodes a video of its own.
            self._stream.codec_context.thread_count = 1

    def _packets(self, stream: VideoStream | AudioStream) -> "Iterator[Packet[Stream] | None]":
        """The stream's packets and, last, an empty one or None: the decoder shall give out what it still holds."""
        if (yield from packets_over_damage(self._container, stream, self._note_damage)):
            return
        yield None

    def _note_damage(self) -> None:
        self.damaged_packets += 1


def packets_over_damage(
    container: InputContainer, stream: Stream | None, on_damage: Callable[[], None]
) -> "Generator[Packet[Stream], None, bool]":
    """Packets of one stream, or with None of all; where one cannot be read, those after it.

    Args:
        container: where they are.
        stream: whose packets.
        on_damage: called for each that cannot be read.

    Returns:
        Whether the end was reached; otherwise nothing more could be read.
    """
    failures = 0
    while failures < _LARGEST_DEMUXING_FAILURES:
        try:
            for packet in container.demux(*([] if stream is None else [stream])):
                failures = 0
                yield packet
        except av.FFmpegError:
            failures += 1
            on_damage()
        else:
            return True
    return False


def best_stream(container: InputContainer, kind: Literal["video", "audio"]) -> Stream | None:
    """The stream ffmpeg would choose, cover art aside; the sound is that of the same programme as the picture."""
    best = container.streams.best("video")
    if best is not None and best.disposition & Disposition.attached_pic:
        pictures = (stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic)
        best = next(pictures, None)
    return best if kind == "video" else container.streams.best("audio", related=best)


def _has_decoder(stream: Stream) -> bool:
    """Whether PyAV is built with the stream's codec; without it a stream has no context, whatever its type says."""
    context: CodecContext | None = stream.codec_context
    return context is not None
