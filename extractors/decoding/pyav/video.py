"""Decode a video with two readers, one for its picture and one for its sound: what all decoders have in common."""

from collections.abc import Callable, Generator

import av

from extractors.base import InputSpec, PictureInput
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
from extractors.errors import VideoError

OpenPictures = Callable[[StreamReader, Opening, Segment, PictureInput], Pictures[ImageT] | None]


def decode_video(
    request: DecodingRequest, open_pictures: OpenPictures[ImageT]
) -> Generator[Second, None, VideoSummary]:
    """Yield a video's seconds, with the pictures of any library and the sound of PyAV.

    Args:
        request: the video.
        open_pictures: takes the reader of the picture, the opened tracks, the segment and the wanted pictures;
            returns the pictures, or None if no picture can be decoded.

    Raises:
        VideoError: see `Decoder.decode`.
    """
    segment, inputs = Segment.of(request), request.inputs
    check_media_file(request.path)
    limit = LengthLimit(request.path.stat().st_size, request.longest_seconds)
    av.logging.set_level(av.logging.PANIC)
    # Two demuxers: any interleaving of picture and sound leaves memory flat.
    with StreamReader(request.path, "video") as picture, StreamReader(request.path, "audio") as sound:
        opening = open_tracks(picture, sound)
        # Both tracks are opened even if only one is wanted: together they define the clock, and with it the seconds.
        wanted, heard = inputs.picture, inputs.sound
        pictures = None if wanted is None else open_pictures(picture, opening, segment, wanted)
        track = None if heard is None else open_sound_track(sound, opening, heard.rate_hz, segment)
        _check_wanted(inputs, has_visual=pictures is not None, has_audio=track is not None)
        starts = None if pictures is None else picture.window_starts(inputs.windows, segment, limit)
        around = 1.0 if heard is None else heard.window_seconds
        duration, count = yield from cut_into_seconds(
            pictures, track, segment, starts, limit, sound_window_seconds=around
        )
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
                *_warnings(picture, sound, inputs, has_audio=track is not None, has_visual=pictures is not None),
                *windows_warning(inputs.windows, has_visual=pictures is not None),
            ],
        )


def _check_wanted(inputs: InputSpec, *, has_visual: bool, has_audio: bool) -> None:
    """Refuse a video that lacks the only modality of an extractor.

    Raises:
        VideoError: such a video.
    """
    if inputs.sound is None and not has_visual:
        raise VideoError("no picture can be decoded, and this extractor only sees")
    if inputs.picture is None and not has_audio:
        raise VideoError("no sound can be decoded, and this extractor only hears")


def _warnings(
    picture: StreamReader, sound: StreamReader, inputs: InputSpec, *, has_audio: bool, has_visual: bool
) -> list[str]:
    """Describe what is missing or damaged in the wanted tracks, one line each."""
    warnings = []
    for reader, found, wanted, what in (
        (picture, has_visual, inputs.picture, "picture"),
        (sound, has_audio, inputs.sound, "sound track"),
    ):
        if wanted is None:
            continue
        if reader.exists and not found:
            warnings.append(f"the {what} cannot be decoded: treated as absent")
        elif reader.damaged_packets:
            warnings.append(f"damaged packets skipped in the {what}: {reader.damaged_packets}")
    is_incomplete = not (has_audio or inputs.sound is None) or not (has_visual or inputs.picture is None)
    if is_incomplete and (picture.late_tracks or sound.late_tracks):
        warnings.append("a track that begins later was left out")
    return warnings
