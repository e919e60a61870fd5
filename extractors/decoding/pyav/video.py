"""Decode a video with two readers, one for its picture and one for its sound: what all decoders have in common."""

from collections.abc import Callable, Generator

import av

from extractors.decoding.interface import DecodingRequest, Second, VideoSummary
from extractors.decoding.limits import LengthLimit
from extractors.decoding.media_file import check_media_file
from extractors.decoding.pyav.announced import announced_end_seconds
from extractors.decoding.pyav.opening import Opening, open_tracks
from extractors.decoding.pyav.sound import open_sound_track
from extractors.decoding.pyav.stream import StreamReader
from extractors.decoding.timing.seconds import summarise_video
from extractors.decoding.timing.timeline import ImageT, Pictures, Segment
from extractors.decoding.timing.windows import cut_into_seconds, windows_warning

OpenPictures = Callable[[StreamReader, Opening, Segment], Pictures[ImageT] | None]


def decode_video(
    request: DecodingRequest, open_pictures: OpenPictures[ImageT]
) -> Generator[Second, None, VideoSummary]:
    """Yield a video's seconds, with the pictures of any library and the sound of PyAV.

    Args:
        request: the video.
        open_pictures: takes the reader of the picture, the opened tracks and the segment; returns the pictures, or
            None if no picture can be decoded.

    Raises:
        VideoError: see `Decoder.decode`.
    """
    segment = Segment.of(request)
    check_media_file(request.path)
    limit = LengthLimit(request.path.stat().st_size, request.longest_seconds)
    av.logging.set_level(av.logging.PANIC)
    # Two demuxers: any interleaving of picture and sound leaves memory flat.
    with StreamReader(request.path, "video") as picture, StreamReader(request.path, "audio") as sound:
        opening = open_tracks(picture, sound)
        pictures = open_pictures(picture, opening, segment)
        track = open_sound_track(sound, opening, request.audio_rate_hz, segment)
        starts = None if pictures is None else picture.window_starts(request.windows, segment, limit)
        duration, count = yield from cut_into_seconds(pictures, track, segment, starts, limit)
        return summarise_video(
            segment,
            seconds=count,
            duration_seconds=duration,
            announced_seconds=announced_end_seconds(
                sound if pictures is None else picture, opening, track, segment, duration
            ),
            has_audio=track is not None,
            has_visual=pictures is not None,
            warnings=[
                *([] if pictures is None else pictures.warnings),
                *_warnings(picture, sound, has_audio=track is not None, has_visual=pictures is not None),
                *windows_warning(request.windows, has_visual=pictures is not None),
            ],
        )


def _warnings(picture: StreamReader, sound: StreamReader, *, has_audio: bool, has_visual: bool) -> list[str]:
    """Describe what is missing or damaged, one line each."""
    warnings = []
    for reader, found, what in ((picture, has_visual, "picture"), (sound, has_audio, "sound track")):
        if reader.exists and not found:
            warnings.append(f"the {what} cannot be decoded: treated as absent")
        elif reader.damaged_packets:
            warnings.append(f"damaged packets skipped in the {what}: {reader.damaged_packets}")
    if not (has_audio and has_visual) and (picture.late_tracks or sound.late_tracks):
        warnings.append("a track that begins later was left out")
    return warnings
