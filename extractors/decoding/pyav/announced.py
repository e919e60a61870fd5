"""The end of a video according to its header, to notice files that are cut short."""

from extractors.decoding.pyav.opening import Opening
from extractors.decoding.pyav.stream import StreamReader
from extractors.decoding.timing.seconds import SoundTrack
from extractors.decoding.timing.timeline import Segment, whole_seconds


def announced_end_seconds(
    reader: StreamReader, opening: Opening, track: SoundTrack | None, segment: Segment, duration: float
) -> float | None:
    """Return the announced end of a video on its clock; None if it is only that of the sound, which may be longer.

    Args:
        reader: the reader of the picture; of the sound if there is no picture.
        opening: the opened tracks.
        track: the sound; None without sound. It may be read to its end.
        segment: the requested segment.
        duration: the actual duration of the segment in seconds.
    """
    announced, of_stream = reader.announced_seconds
    if announced is None:
        return None
    if of_stream:
        return announced + opening.lead_seconds
    if track is None:
        return announced
    # A complete segment is not cut short, so its sound need not be read to the end of the file.
    if whole_seconds(duration) >= whole_seconds(min(announced, segment.end_seconds) - segment.start_seconds):
        return announced
    sound_reaches_it = whole_seconds(track.skip_to_end()) >= whole_seconds(announced - segment.start_seconds)
    return None if sound_reaches_it else announced
