"""A file's tracks in words for people."""

from collections.abc import Iterator
from dataclasses import dataclass

from extractors.decoding.interface import VideoSummary
from extractors.decoding.tracks import MediaDescription, PictureFormat, SoundFormat, Track

SQUARE = 0.02  # by how much pixels may differ from square and count as square
_WORTH_SAYING_SECONDS = 0.2  # by how much the header's length may differ from that of the packets
KIND_WORDS = {"video": "picture", "audio": "sound"}

_LEAST_GAP_SECONDS = 0.2  # sound and picture of good files differ by some frames


@dataclass(frozen=True)
class TrackRow:
    """A line of a table of tracks.

    Attributes:
        number: in the file, with a star where decoding takes the track.
        kind: picture, sound or what else it is, with its language.
        codec: ffmpeg's name.
        format: how it is coded.
        start: its first time stamp.
        length: what its packets say, and where that is another length, also what the header says.
    """

    number: str
    kind: str
    codec: str
    format: str
    start: str
    length: str


def track_rows(media: MediaDescription) -> list[TrackRow]:
    """The tracks of a file in their order."""
    return [
        TrackRow(
            number=f"{track.index}{'*' if track.decoded else ' '}",
            kind=("cover picture" if track.cover else KIND_WORDS.get(track.kind, track.kind))
            + (f" ({track.language})" if track.language else ""),
            codec=track.codec or "-",
            format=format_words(track) or "-",
            start="-" if track.start_seconds is None else f"{track.start_seconds:.2f} s",
            length=_length(track),
        )
        for track in media.tracks
    ]


def _length(track: Track) -> str:
    there = "-" if track.seconds is None else f"{track.seconds:.2f} s"
    announced = track.announced_seconds
    differs = announced is not None and abs(announced - (track.seconds or 0)) > _WORTH_SAYING_SECONDS
    return f"{there} of {announced:.2f} s" if differs else there


def media_words(media: MediaDescription) -> str:
    """A line about the tracks that decoding takes."""
    decoded = [f"{track.codec or 'unknown codec'} {format_words(track)}" for track in media.tracks if track.decoded]
    return " · ".join([media.container_words, *decoded])


def format_words(track: Track) -> str:
    """How a track is coded: what a person would check first."""
    if track.picture is not None:
        return _picture_words(track.picture)
    return _sound_words(track.sound) if track.sound is not None else ""


def _picture_words(picture: PictureFormat) -> str:
    words = [f"{picture.width}x{picture.height}"]
    if picture.rate_hz:
        words.append(f"{picture.rate_hz:.4g} fps")
    if picture.bit_depth is not None and picture.bit_depth != 8:
        words.append(f"{picture.bit_depth} bit")
    if picture.pixel_format:
        words.append(picture.pixel_format)
    if abs(picture.pixel_aspect - 1) > SQUARE:
        words.append(f"pixels {picture.pixel_aspect:.3g}:1")
    if picture.rotation_degrees:
        words.append(f"turned {picture.rotation_degrees}°")
    if picture.interlaced:
        words.append("interlaced")
    return ", ".join(words)


def _sound_words(sound: SoundFormat) -> str:
    depth = f", {sound.bit_depth} bit" if sound.bit_depth is not None else ""
    return f"{sound.rate_hz / 1000:g} kHz, {sound.layout}{depth}"


def media_warnings(
    media: MediaDescription, summary: VideoSummary, *, audio_rate_hz: int, silent_seconds: int
) -> Iterator[str]:
    """Lines for people: first what decoding says, then what the tracks tell.

    Args:
        media: the file's tracks.
        summary: of the decoding.
        audio_rate_hz: at which the sound is wanted.
        silent_seconds: how many seconds of the decoded sound are silent.
    """
    yield from summary.warnings
    if summary.duration_seconds < 1:
        yield f"shorter than a second ({summary.duration_seconds:.2f} s): padded to one"
    for kind, there in (("audio", summary.has_audio), ("video", summary.has_visual)):
        tracks = [track for track in media.tracks if track.kind == kind and not track.cover]
        chosen = next((track for track in tracks if track.decoded), None)
        if not there and not tracks:
            yield f"no {KIND_WORDS[kind]}: that modality will be absent"
        elif len(tracks) > 1 and chosen is not None:
            yield f"{len(tracks)} tracks of {KIND_WORDS[kind]}: number {chosen.index} is taken"
        if there and chosen is not None and chosen.picture is not None:
            yield from _picture_warnings(chosen, chosen.picture)
        if there and chosen is not None and chosen.sound is not None:
            yield from _sound_warnings(chosen.sound, audio_rate_hz)
    if summary.has_audio and silent_seconds > summary.seconds / 2:
        yield f"the sound, mixed to mono, is silent in {silent_seconds} of {summary.seconds} s"
    if any(track.cover for track in media.tracks):
        yield "a cover picture is no video: it is left out"
    if summary.has_audio and summary.has_visual:
        yield from _gaps(media)


def _picture_warnings(track: Track, picture: PictureFormat) -> Iterator[str]:
    if not track.steady and track.steps_seconds is not None:
        low, high = (1000 * step for step in track.steps_seconds)
        yield f"variable frame rate ({low:.0f} to {high:.0f} ms from one to the next): frames are chosen by time stamp"
    if picture.rotation_degrees and picture.rotation_degrees % 90 == 0:
        yield f"turned by {picture.rotation_degrees}° as the file asks"
    elif picture.rotation_degrees:
        yield "the file asks for a rotation that is no quarter turn: left as it is"
    if abs(picture.pixel_aspect - 1) > SQUARE:
        yield f"pixels are {picture.pixel_aspect:.3g} times as wide as high: the picture is used as stored"
    if picture.interlaced:
        yield "interlaced: the lines of two moments are left as they are"


def _sound_warnings(sound: SoundFormat, audio_rate_hz: int) -> Iterator[str]:
    if sound.rate_hz < audio_rate_hz / 2:
        yield f"sound of {sound.rate_hz / 1000:g} kHz: nothing above {sound.rate_hz / 2000:g} kHz"


def _gaps(media: MediaDescription) -> Iterator[str]:
    """Where sound and picture do not begin or end together."""
    by_kind = {track.kind: track for track in media.tracks if track.decoded}
    picture, sound = by_kind.get("video"), by_kind.get("audio")
    if picture is None or sound is None:
        return
    if picture.start_seconds is None or sound.start_seconds is None or not picture.seconds or not sound.seconds:
        return
    late = sound.start_seconds - picture.start_seconds
    if late > _LEAST_GAP_SECONDS:
        yield f"the sound starts {late:.2f} s after the picture: silence before it"
    elif late < -_LEAST_GAP_SECONDS:
        yield f"the sound starts {-late:.2f} s before the picture: that much of it is left out"
    missing = picture.start_seconds + picture.seconds - sound.start_seconds - sound.seconds
    if missing > _LEAST_GAP_SECONDS:
        yield f"the sound ends {missing:.2f} s before the picture: silence after it"
    elif missing < -_LEAST_GAP_SECONDS:
        yield f"the sound ends {-missing:.2f} s after the picture: that much of it is left out"
