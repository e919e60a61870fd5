"""Describe the tracks of a file from its headers and its packets, without decoding the packets."""

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

# Steady steps differ by one or two milliseconds if time stamps are rounded to milliseconds.
_STEADY_SECONDS = 0.0025
# Only steps between these quantiles count: a few lost pictures do not make the rate variable.
_COUNTED_QUANTILES = (0.05, 0.95)


@dataclass(frozen=True)
class PictureFormat:
    """The coding of a picture track.

    Attributes:
        width: stored width in pixels.
        height: stored height in pixels.
        pixel_aspect: width of a pixel divided by its height; 1 if the file does not give it.
        pixel_format: ffmpeg's name of the pixel format.
        bit_depth: bits per channel; None if unknown.
        rate_hz: average number of pictures per second; None if unknown.
        rotation_degrees: counter-clockwise angle by which a picture must be turned to be upright.
        interlaced: whether the first picture consists of two fields.
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
    """The coding of a sound track.

    Attributes:
        rate_hz: samples per second.
        channels: number of channels.
        layout: ffmpeg's name of the channel layout.
        bit_depth: bits per sample; None if the samples are decoded to floating point, as with lossy codecs.
    """

    rate_hz: int
    channels: int
    layout: str
    bit_depth: int | None


@dataclass(frozen=True)
class Track:
    """One track of a file. Times are on the file's own clock.

    Attributes:
        index: index of the track in the file.
        kind: video, audio, subtitle, data or attachment.
        codec: ffmpeg's name of the codec, with the profile; '' if unknown.
        decoded: whether decoding uses this track.
        cover: whether the track is the cover art of the sound.
        language: language code; '' if the file does not give it.
        announced_seconds: duration according to the file's header; None if it gives none.
        start_seconds: time of the first packet; None if no packet has a time.
        seconds: duration from the first packet to the end of the last; None if no packet has a time.
        packets: number of packets; for pictures, of frames.
        steps_seconds: shortest and longest time from one picture to the next, without outliers (5 % at each end); None
            if there are fewer than two pictures.
        steady: whether all steps, without outliers, are equal.
        picture: coding of the pictures; None for other kinds.
        sound: coding of the sound; None for other kinds.
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
        container: ffmpeg's name of the container, such as `mov,mp4,m4a,3gp,3g2,mj2`.
        container_words: ffmpeg's long name of the container.
        announced_seconds: duration according to the file's header; None if it gives none.
        tracks: tracks in the order of the file.
    """

    container: str
    container_words: str
    announced_seconds: float | None
    tracks: tuple[Track, ...]


def describe_media(path: Path) -> MediaDescription:
    """Describe a file from its headers, one picture of each track and all its packets; no sound is decoded.

    Raises:
        VideoError: a path that is not a readable file, or a file that no demuxer can open.
    """
    check_media_file(path)
    av.logging.set_level(av.logging.PANIC)
    with open_container(path) as container:
        chosen = (best_stream(container, "video"), best_stream(container, "audio"))
        decoded = {stream.index for stream in chosen if stream is not None}
        first = {stream.index: _first_picture(path, stream.index) for stream in container.streams.video}
        clocks = {stream.index: _Clock(stream.time_base) for stream in container.streams}
        for packet in packets_over_damage(container, None):
            if packet.stream.index in clocks:  # a track that starts in mid-file is not in the header
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
    """Decode the first picture that can be decoded; its side data contain the rotation."""
    with open_container(path) as container:
        stream = container.streams[index]
        if not isinstance(stream, VideoStream) or stream.codec_context is None:
            return None
        stream.codec_context.thread_count = 1
        for packet in packets_over_damage(container, stream):
            try:
                frames = stream.decode(packet)
            except av.FFmpegError:
                continue
            if frames:
                return frames[0]
    return None


@dataclass
class _Clock:
    """The times of a track's packets, in its time base; each takes eight bytes."""

    time_base: Fraction | None
    times: "array[int]" = field(default_factory=lambda: array("q"))
    end: int | None = None
    packets: int = 0

    def add(self, packet: "Packet[Stream]") -> None:
        """Add the times of a packet; the empty one at the end is ignored."""
        if not packet.size:
            return
        self.packets += 1
        time = packet.pts if packet.pts is not None else packet.dts
        if time is not None and not packet.is_discard:  # an edit list leaves discarded packets out
            self.times.append(time)
            end = time + (packet.duration or 0)
            self.end = end if self.end is None else max(self.end, end)

    def sorted_seconds(self) -> NDArray[np.float64]:
        """Return the times in seconds, (N,), in ascending order."""
        return np.sort(np.frombuffer(self.times, np.int64)).astype(np.float64) * float(self.time_base or 0)


def _track(stream: Stream, clock: _Clock, first: VideoFrame | None, *, decoded: bool) -> Track:
    times = clock.sorted_seconds()
    base = float(stream.time_base or 0)
    steps = np.diff(times)
    low, high = (float(step) for step in np.quantile(steps, _COUNTED_QUANTILES)) if len(steps) else (0.0, 0.0)
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
