"""Describe the tracks of a file in words."""

from collections.abc import Iterator
from dataclasses import dataclass

from extractors.decoding.interface import VideoSummary
from extractors.decoding.timing.clock import LARGEST_LEAD_SECONDS
from extractors.decoding.tracks import MediaDescription, PictureFormat, SoundFormat, Track

SQUARE = 0.02  # pixels whose aspect ratio differs from 1 by at most this count as square
_LEAST_LENGTH_DIFFERENCE_SECONDS = 0.2  # a smaller difference between header and packets is not shown
KIND_WORDS = {"video": "picture", "audio": "sound"}

_LEAST_GAP_SECONDS = 0.2  # sound and picture of good files also differ by some frames


@dataclass(frozen=True)
class TrackRow:
    """A row of a table of tracks.

    Attributes:
        number: index of the track in the file, with a star if decoding uses the track.
        kind: picture, sound or another kind, with the language.
        codec: name of the codec in ffmpeg.
        format: format of the pictures or the sound.
        start: first time stamp.
        length: length of the packets, and the length in the header if it differs.
    """

    number: str
    kind: str
    codec: str
    format: str
    start: str
    length: str


def track_rows(media: MediaDescription) -> list[TrackRow]:
    """Describe the tracks of a file in their order."""
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
    length = "-" if track.seconds is None else f"{track.seconds:.2f} s"
    announced = track.announced_seconds
    differs = announced is not None and abs(announced - (track.seconds or 0)) > _LEAST_LENGTH_DIFFERENCE_SECONDS
    return f"{length} of {announced:.2f} s" if differs else length


def media_words(media: MediaDescription) -> str:
    """Describe the tracks that decoding uses, in one line."""
    decoded = [f"{track.codec or 'unknown codec'} {format_words(track)}" for track in media.tracks if track.decoded]
    return " · ".join([media.container_words, *decoded])


def format_words(track: Track) -> str:
    """Describe the format of a track."""
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
    """List the warnings of decoding, then those about the tracks.

    Args:
        media: tracks of the file.
        summary: summary of the decoding.
        audio_rate_hz: sample rate of the decoded sound in Hz.
        silent_seconds: number of silent seconds of the decoded sound.
    """
    yield from summary.warnings
    if summary.duration_seconds < 1:
        yield f"shorter than a second ({summary.duration_seconds:.2f} s): padded to one"
    for kind, is_present in (("audio", summary.has_audio), ("video", summary.has_visual)):
        tracks = [track for track in media.tracks if track.kind == kind and not track.cover]
        chosen = next((track for track in tracks if track.decoded), None)
        if not is_present and not tracks:
            yield f"no {KIND_WORDS[kind]}: that modality will be absent"
        elif len(tracks) > 1 and chosen is not None:
            yield f"{len(tracks)} tracks of {KIND_WORDS[kind]}: number {chosen.index} is used"
        if is_present and chosen is not None and chosen.picture is not None:
            yield from _picture_warnings(chosen, chosen.picture)
        if is_present and chosen is not None and chosen.sound is not None:
            yield from _sound_warnings(chosen.sound, audio_rate_hz)
    if summary.has_audio and silent_seconds > summary.seconds / 2:
        yield f"the sound, mixed to mono, is silent in {silent_seconds} of {summary.seconds} s"
    if any(track.cover for track in media.tracks):
        yield "a cover picture is not a video: it is left out"
    if summary.has_audio and summary.has_visual:
        yield from _offset_warnings(media)


def _picture_warnings(track: Track, picture: PictureFormat) -> Iterator[str]:
    if not track.steady and track.steps_seconds is not None:
        low, high = (1000 * step for step in track.steps_seconds)
        yield f"variable frame rate ({low:.0f} to {high:.0f} ms per frame): frames are chosen by time stamp"
    if picture.rotation_degrees and picture.rotation_degrees % 90 == 0:
        yield f"turned by {picture.rotation_degrees}° as the file specifies"
    elif picture.rotation_degrees:
        yield "the file specifies a rotation that is not a quarter turn: left as it is"
    if abs(picture.pixel_aspect - 1) > SQUARE:
        yield f"pixels are {picture.pixel_aspect:.3g} times as wide as high: the picture is used as stored"
    if picture.interlaced:
        yield "interlaced: the lines of two moments are left as they are"


def _sound_warnings(sound: SoundFormat, audio_rate_hz: int) -> Iterator[str]:
    if sound.rate_hz < audio_rate_hz / 2:
        yield f"sound of {sound.rate_hz / 1000:g} kHz: nothing above {sound.rate_hz / 2000:g} kHz"


def _offset_warnings(media: MediaDescription) -> Iterator[str]:
    """Warn if sound and picture do not start or end together."""
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
        shown = -late <= LARGEST_LEAD_SECONDS
        effect = "the first picture is shown until then" if shown else "that much of it is left out"
        yield f"the sound starts {-late:.2f} s before the picture: {effect}"
    missing = picture.start_seconds + picture.seconds - sound.start_seconds - sound.seconds
    if missing > _LEAST_GAP_SECONDS:
        yield f"the sound ends {missing:.2f} s before the picture: silence after it"
    elif missing < -_LEAST_GAP_SECONDS:
        yield f"the sound ends {-missing:.2f} s after the picture: that much of it is left out"
