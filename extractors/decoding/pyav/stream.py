"""Read one stream of a file with PyAV, skipping damaged packets."""

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

from extractors.base import Windows
from extractors.decoding.limits import LengthLimit, check_picture_size
from extractors.decoding.media_file import why_unreadable
from extractors.decoding.timing.timeline import Segment
from extractors.decoding.timing.windows import FrameCount
from extractors.errors import VideoError

# A demuxer that fails this often without a packet in between is stuck at one position.
_LARGEST_DEMUXING_FAILURES = 10
# Seek this long before the wanted time, because key frames are indexed by decoding time, which is a little earlier.
_SEEKING_MARGINS_SECONDS = (0.5, 10.0)
_HEADER_GIVES_END = frozenset({"matroska"})  # formats whose duration in the header counts from time stamp 0
# Formats in which a track may be announced in mid-file. If sound or picture is missing, it is searched for this far.
_LATE_FORMATS = frozenset({"flv", "mpegts", "mpeg"})
_FAR = {"probesize": str(64 << 20), "analyzeduration": str(600 * av.time_base)}  # bytes, microseconds
# Demuxers that read other files listed in the file, so that a "video" would show other data, or that draw text.
_REFUSED_FORMATS = frozenset({"hls", "dash", "concat", "sdp", "image2", "imf", "tty"})


def open_container(path: Path) -> InputContainer:
    """Open a file for demuxing, with the tracks that begin in its first minutes.

    Raises:
        VideoError: a file that no demuxer can open.
    """
    container = _opened(path, {})
    is_complete = container.streams.video and container.streams.audio
    if is_complete or _LATE_FORMATS.isdisjoint(container.format.name.split(",")):
        return container
    container.close()
    return _opened(path, _FAR)


def _opened(path: Path, options: dict[str, str]) -> InputContainer:
    try:
        # The explicit protocol makes every character of the name literal, and the whitelist allows local files only.
        container = av.open(
            f"file:{path.absolute()}", "r", options={"protocol_whitelist": "file", **options}, metadata_errors="replace"
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
    """Reads the best picture or sound stream of a file; its own container keeps picture and sound independent.

    Args:
        path: the file.
        kind: the kind of stream.

    Attributes:
        path: the file.
        damaged_packets: number of packets so far that could not be read or decoded.
        discarded_packets: number of packets so far that are only decoded for others, as an edit list says.
        late_tracks: whether a packet came from a track that was not announced, and so was left out.
    """

    def __init__(self, path: Path, kind: Literal["video", "audio"]) -> None:
        self.damaged_packets = 0
        self.discarded_packets = 0
        self.late_tracks = False
        self.path = path
        self._kind = kind
        self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    @property
    def exists(self) -> bool:
        """Whether the file has such a stream; cover art does not count."""
        return self._stream is not None

    @property
    def is_broadcast(self) -> bool:
        """Whether this is a transport or programme stream, whose time stamps may start anywhere and jump."""
        return not {"mpegts", "mpeg"}.isdisjoint(self._format_names)

    @property
    def is_avi(self) -> bool:
        """Whether this is AVI, which stores no presentation time stamps."""
        return "avi" in self._format_names

    @property
    def _format_names(self) -> list[str]:
        return self._container.format.name.split(",")

    @property
    def largest_gap_seconds(self) -> float:
        """The longest plausible pause between frames: broadcast stamps jump, while other files have still pictures."""
        return 10.0 if self.is_broadcast else 3600.0

    @property
    def start_seconds(self) -> float | None:
        """The time stamp of the stream's start according to the header; None if the header gives none."""
        if self._stream is None or self._stream.start_time is None or self._stream.time_base is None:
            return None
        return float(self._stream.start_time * self._stream.time_base)

    @property
    def stamp_step_seconds(self) -> float:
        """The unit of the stream's time stamps; 0 if unknown."""
        return 0.0 if self._stream is None else float(self._stream.time_base or 0)

    @property
    def nominal_frame_seconds(self) -> float:
        """The duration of a picture if the file does not give it."""
        rate = self._stream.guessed_rate if isinstance(self._stream, VideoStream) else None
        return float(1 / rate) if rate else 1 / 30

    def window_starts(self, windows: Windows, segment: Segment, limit: LengthLimit) -> tuple[float, ...] | None:
        """Return where the windows of a segment start, in seconds from its start; None for whole seconds.

        Raises:
            VideoError: more windows than the limit.
        """
        if windows == "seconds" or not isinstance(self._stream, VideoStream):
            return None
        rate_hz = float(self._stream.average_rate or self._stream.guessed_rate or 1 / self.nominal_frame_seconds)
        count = FrameCount(self._stream.frames or self._count_packets(), rate_hz)
        return count.starts(windows, segment, limit)

    def _count_packets(self) -> int:
        """Count the stream's packets, each of which is a picture; nothing is decoded."""
        with open_container(self.path) as container:
            stream = best_stream(container, self._kind)
            return sum(packet.size > 0 for packet in packets_over_damage(container, stream))

    @property
    def announced_seconds(self) -> tuple[float | None, bool]:
        """The duration of the stream, or else of the file, from the header; and whether it is the stream's own."""
        stream = self._stream
        if stream is not None and stream.duration and stream.time_base:
            seconds = float(stream.duration * stream.time_base)
            if isinstance(stream, VideoStream) and stream.average_rate and self.is_avi:
                # ffmpeg corrects the duration of a truncated AVI to the existing data, but not its number of frames.
                seconds = max(seconds, float(stream.frames / stream.average_rate))
            return seconds, True
        duration = self._container.duration
        if not duration:
            return None, False
        # Matroska stores the time stamp at which the last stream ends; other formats store the total duration.
        begins_at = max(0.0, self.start_seconds or 0.0) if _HEADER_GIVES_END.intersection(self._format_names) else 0.0
        return duration / av.time_base - begins_at, False

    def frames(self) -> Iterator[VideoFrame | AudioFrame]:
        """Yield the frames from the current position to the end; damaged packets are skipped and counted."""
        stream = self._stream
        if not isinstance(stream, VideoStream | AudioStream) or not _has_decoder(stream):
            return
        for packet in self._packets(stream):
            self.discarded_packets += packet is not None and packet.is_discard
            try:
                yield from stream.decode(packet)
            except av.EOFError:
                return  # the decoder has given its last frame
            except av.FFmpegError:
                self.damaged_packets += 1

    def frames_from(self, stamp_seconds: float) -> Iterator[VideoFrame | AudioFrame]:
        """Seek to the key frame before a time stamp and return the frames from there; from the start if that fails."""
        stream = self._stream
        if stream is None or stream.time_base is None:
            return iter(())
        for margin in _SEEKING_MARGINS_SECONDS:
            try:
                self._container.seek(int((stamp_seconds - margin) / stream.time_base), stream=stream)
            except av.FFmpegError:
                break  # no index to seek with: read from the beginning
            frames, damaged_before = self.frames(), self.damaged_packets
            first = next(frames, None)
            self.damaged_packets = damaged_before  # the seek may have ended in the middle of a frame
            if first is not None and first.pts is not None and first.pts * stream.time_base <= stamp_seconds:
                return chain([first], frames)
        self._container.close()
        self._open()
        self.damaged_packets = 0
        return self.frames()

    def _open(self) -> None:
        self._container = open_container(self.path)
        self._stream = best_stream(self._container, self._kind)
        if isinstance(self._stream, VideoStream) and _has_decoder(self._stream):
            check_picture_size(self._stream.codec_context.width, self._stream.codec_context.height)
        for other in self._container.streams:
            if other is not self._stream:
                other.discard = Discard.all  # not even read, if the container allows it
        if self._stream is not None and _has_decoder(self._stream):
            # More threads gain nothing, as every core decodes another video.
            self._stream.codec_context.thread_count = 1

    def _packets(self, stream: VideoStream | AudioStream) -> "Iterator[Packet[Stream] | None]":
        """Yield the stream's packets and finally an empty one or None, which flushes the decoder."""
        if (yield from packets_over_damage(self._container, stream, self._count_damage, self._note_late_track)):
            return
        yield None

    def _count_damage(self) -> None:
        self.damaged_packets += 1

    def _note_late_track(self) -> None:
        self.late_tracks = True


def packets_over_damage(
    container: InputContainer,
    stream: Stream | None,
    on_damage: Callable[[], None] = lambda: None,
    on_late_track: Callable[[], None] = lambda: None,
) -> "Generator[Packet[Stream], None, bool]":
    """Yield the packets of a stream and skip those that cannot be read.

    Args:
        container: the open file.
        stream: the stream to read; None for all streams.
        on_damage: called for each packet that cannot be read.
        on_late_track: called if a packet is of a track that was not announced when the file was opened.

    Returns:
        Whether the end was reached; False if the rest cannot be read.
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
        except IndexError:  # PyAV looks the new track up among those that it knows; the next packet can be read
            on_late_track()
        else:
            return True
    return False


def best_stream(container: InputContainer, kind: Literal["video", "audio"]) -> Stream | None:
    """Choose the stream as ffmpeg does, but never cover art; the sound is from the same programme as the picture."""
    best = container.streams.best("video")
    if best is not None and best.disposition & Disposition.attached_pic:
        pictures = (stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic)
        best = next(pictures, None)
    return best if kind == "video" else container.streams.best("audio", related=best)


def _has_decoder(stream: Stream) -> bool:
    """Return whether PyAV is built with the stream's codec; otherwise a stream has no context, despite its type."""
    context: CodecContext | None = stream.codec_context
    return context is not None
