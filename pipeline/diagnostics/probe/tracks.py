"""A file's tracks in words for people."""

from dataclasses import dataclass

from extractors.decoding.tracks import MediaDescription, PictureFormat, SoundFormat, Track

SQUARE = 0.02  # by how much pixels may differ from square and count as square
_WORTH_SAYING_SECONDS = 0.2  # by how much the header's length may differ from that of the packets
KIND_WORDS = {"video": "picture", "audio": "sound"}


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
