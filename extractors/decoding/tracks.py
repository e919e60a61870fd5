"""What a file says of its tracks, and what its packets say when they are read once, without decoding them."""

from array import array
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from extractors.decoding.media_file import check_media_file
from extractors.decoding.pyav.stream import best_stream, open_container, packets_over_damage

# Time stamps rounded to milliseconds make steady steps differ by one or two.
_STEADY_SECONDS = 0.0025
# Shares between which a step counts: a lost picture here and there makes no variable rate.
_ORDINARY = (0.05, 0.95)


@dataclass(frozen=True)
class PictureFormat:
    """How a track of pictures is coded.

    Attributes:
        width: as stored, in pixels.
        height: as stored, in pixels.
        pixel_aspect: width of a pixel over its height; 1 where the file does not say.
        pixel_format: ffmpeg's name.
        bit_depth: bits a channel; None: unknown.
        rate_hz: pictures a second on average; None: unknown.
        rotation_degrees: how far it must be turned counter-clockwise to be upright.
        interlaced: whether the first picture is two half pictures.
    """

    width: int
    height: int
    pixel_aspect: float
    pixel_format: str
    bit_depth: int | None
    rate_hz: float | None
    rotation_degrees: int
    interlaced: bool


@dataclass(frozen=True)
class SoundFormat:
    """How a track of sound is coded.

    Attributes:
        rate_hz: samples a second.
        channels: how many.
        layout: ffmpeg's name of what the channels are.
        bit_depth: bits a sample; None where it decodes to floating point, as lossy codecs do.
    """

    rate_hz: int
    channels: int
    layout: str
    bit_depth: int | None


@dataclass(frozen=True)
class Track:
    """One track of a file. Times are on the file's own clock.

    Attributes:
        index: its number in the file.
        kind: video, audio, subtitle, data, attachment.
        codec: ffmpeg's name, with the profile; '' where it is unknown.
        decoded: whether this is the track that decoding takes.
        cover: whether it is a picture that stands for the sound.
        language: '' where the file does not say.
        announced_seconds: how long the file says it is; None: it does not say.
        start_seconds: of its first packet; None: it has none with a time.
        seconds: from its first packet to the end of its last; None as above.
        packets: how many it has; for pictures, frames.
        steps_seconds: the shortest and the longest time from one picture to the next, outliers (5 % each) aside; None
            where there are no two.
        steady: whether all steps, outliers aside, are the same.
        picture: None for other kinds.
        sound: None for other kinds.
    """

    index: int
    kind: str
    codec: str
    decoded: bool
    cover: bool
    language: str
    announced_seconds: float | None
    start_seconds: float | None
    seconds: float | None
    packets: int
    steps_seconds: tuple[float, float] | None
    steady: bool
    picture: PictureFormat | None
    sound: SoundFormat | None


@dataclass(frozen=True)
class MediaDescription:
    """A file's container and its tracks.

    Attributes:
        container: ffmpeg's name, such as `mov,mp4,m4a,3gp,3g2,mj2`.
        container_words: its long name.
        announced_seconds: how long the file says it is; None: it does not say.
        tracks: in their order.
    """

    container: str
    container_words: str
    announced_seconds: float | None
    tracks: tuple[Track, ...]


def describe_media(path: Path) -> MediaDescription:
    """Read a file's headers, one picture of each track and, once, all its packets; no sound is decoded.

    Raises:
        VideoError: it is no file that can be read, or no demuxer takes it.
    """
    check_media_file(path)
    av.logging.set_level(av.logging.PANIC)
    with open_container(path) as container:
        chosen = (best_stream(container, "video"), best_stream(container, "audio"))
        decoded = {stream.index for stream in chosen if stream is not None}
        first = {stream.index: _first_picture(path, stream.index) for stream in container.streams.video}
        clocks = {stream.index: _Clock(stream.time_base) for stream in container.streams}
        for packet in packets_over_damage(container, None, lambda: None):
            if packet.stream.index in clocks:  # a track that appears on the way is not in the header
                clocks[packet.stream.index].add(packet)
        tracks = [
            _track(stream, clocks[stream.index], first.get(stream.index), decoded=stream.index in decoded)
            for stream in container.streams
            if stream.index in clocks
        ]
        return MediaDescription(
            container=container.format.name,
            container_words=container.format.long_name,
            announced_seconds=container.duration / av.time_base if container.duration else None,
            tracks=tuple(tracks),
        )


def _first_picture(path: Path, index: int) -> VideoFrame | None:
    """The first picture that can be decoded; its side data say how it is turned."""
    with open_container(path) as container:
        stream = container.streams[index]
        if not isinstance(stream, VideoStream) or stream.codec_context is None:
            return None
        stream.codec_context.thread_count = 1
        for packet in packets_over_damage(container, stream, lambda: None):
            try:
                frames = stream.decode(packet)
            except av.FFmpegError:
                continue
            if frames:
                return frames[0]
    return None


@dataclass
class _Clock:
    """The times of a track's packets, in its time base; eight bytes each."""

    time_base: Fraction | None
    times: "array[int]" = field(default_factory=lambda: array("q"))
    end: int | None = None
    packets: int = 0

    def add(self, packet: "Packet[Stream]") -> None:
        """Take a packet; the empty one at the end does not count."""
        if not packet.size:
            return
        self.packets += 1
        time = packet.pts if packet.pts is not None else packet.dts
        if time is not None:
            self.times.append(time)
            end = time + (packet.duration or 0)
            self.end = end if self.end is None else max(self.end, end)

    def sorted_seconds(self) -> NDArray[np.float64]:
        """(N,) times in order."""
        return np.sort(np.frombuffer(self.times, np.int64)).astype(np.float64) * float(self.time_base or 0)


def _track(stream: Stream, clock: _Clock, first: VideoFrame | None, *, decoded: bool) -> Track:
    times = clock.sorted_seconds()
    base = float(stream.time_base or 0)
    steps = np.diff(times)
    low, high = (float(step) for step in np.quantile(steps, _ORDINARY)) if len(steps) else (0.0, 0.0)
    context = stream.codec_context
    profile = getattr(stream, "profile", None)
    return Track(
        index=stream.index,
        kind=stream.type,
        codec="" if context is None else f"{context.name}{f' {profile}' if profile else ''}",
        decoded=decoded,
        cover=bool(stream.disposition & Disposition.attached_pic),
        language="" if stream.metadata.get("language") in {None, "und"} else stream.metadata["language"],
        announced_seconds=stream.duration * base if stream.duration else None,
        start_seconds=float(times[0]) if len(times) else None,
        seconds=float(clock.end * base - times[0]) if len(times) and clock.end is not None else None,
        packets=clock.packets,
        steps_seconds=(low, high) if len(steps) else None,
        steady=high - low <= _STEADY_SECONDS,
        picture=_picture_format(stream, first) if isinstance(stream, VideoStream) and context is not None else None,
        sound=_sound_format(stream) if isinstance(stream, AudioStream) and context is not None else None,
    )


def _picture_format(stream: VideoStream, first: VideoFrame | None) -> PictureFormat:
    rate = stream.average_rate or stream.guessed_rate
    pixels = stream.codec_context.format
    depths = [component.bits for component in pixels.components] if pixels else []
    return PictureFormat(
        width=stream.codec_context.width,
        height=stream.codec_context.height,
        pixel_aspect=float(stream.sample_aspect_ratio or 1) or 1.0,
        pixel_format=pixels.name if pixels else "",
        bit_depth=max(depths, default=None),
        rate_hz=float(rate) if rate else None,
        rotation_degrees=first.rotation if first is not None else 0,
        interlaced=first.interlaced_frame if first is not None else False,
    )


def _sound_format(stream: AudioStream) -> SoundFormat:
    context = stream.codec_context
    return SoundFormat(
        rate_hz=context.rate,
        channels=context.channels,
        layout=context.layout.name,
        bit_depth=None if context.format is None or context.format.name[:3] in {"flt", "dbl"} else context.format.bits,
    )
