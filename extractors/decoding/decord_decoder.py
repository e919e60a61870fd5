"""The second decoder: decord, with the same interface.

Differences from PyAV:

- Memory is not flat: the sound of the whole video is in memory at once, and decord keeps an index of all packets.
- Sound is placed by the start times in the file's header; later gaps are not detected. It is mixed to ffmpeg's level,
  within one step of 16 bits. If the rate is converted, torchaudio's filter differs a little from ffmpeg's.
- If decord has no time stamps for the pictures (some AVI files), they are spaced evenly, with a warning.
- A file ends at its first bad packet. AV1, transport streams and programme streams are not supported. The size of the
  pictures may not change.
- decord can loop for ever while it holds the interpreter's lock. Run it in a `DecodingPool`, which kills it.

decord applies the rotation itself. Frames are chosen by their time stamps, because its average frame rate is not exact.
"""

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import decord
import numpy as np
import torch
import torchaudio
from numpy.typing import NDArray

from extractors.decoding.frames import resize_and_crop
from extractors.decoding.interface import DecodingRequest, Second, VideoSummary
from extractors.decoding.media_file import check_media_file
from extractors.decoding.pyav.sound import mono_gain
from extractors.decoding.pyav.stream import StreamReader
from extractors.decoding.seconds import SoundPiece, SoundTrack, join_seconds, summarise_video
from extractors.decoding.timeline import Segment, TimedFrame, frames_by_second
from extractors.errors import VideoError

# decord's own errors, and the built-in ones that its Python code raises for files it cannot read.
_DECORD_ERRORS = (decord.DECORDError, RuntimeError, AssertionError)


class DecordDecoder:
    """Reads ordinary files as PyAV does; the module docstring lists the differences."""

    name = "decord"

    def decode(self, request: DecodingRequest) -> Generator[Second, None, VideoSummary]:
        """See `Decoder.decode`."""
        segment = Segment.of(request)
        check_media_file(request.path)
        # PyAV reads the headers: decord gives neither the rate and layout of the sound nor the start of the picture.
        with StreamReader(request.path, "video") as picture, StreamReader(request.path, "audio") as sound:
            pictures = _Pictures(request.path, picture, segment) if picture.exists else None
            samples = _read_sound(request.path, sound, request.audio_rate_hz)
            track = None
            if samples is not None:
                offset_seconds = sound.start_seconds - picture.start_seconds if picture.exists else 0.0
                piece = SoundPiece(round(offset_seconds * request.audio_rate_hz), samples)
                track = SoundTrack(iter([piece]), rate_hz=request.audio_rate_hz, segment=segment)
            seconds = None if pictures is None else frames_by_second(pictures.frames(), _convert, segment)
            duration = yield from join_seconds(seconds, track, segment)
            warnings = [] if pictures is None else pictures.warnings
            if sound.exists and track is None:
                warnings.append("the sound track cannot be decoded: treated as absent")
            return summarise_video(
                segment,
                duration_seconds=duration,
                announced_seconds=(sound if pictures is None else picture).announced_seconds[0],
                has_audio=track is not None,
                has_visual=pictures is not None,
                warnings=warnings,
            )


class _Pictures:
    """The pictures of a segment of a file, with decord's time stamps.

    Raises:
        VideoError: a file that decord cannot read, or that it reads wrongly without an error.
    """

    def __init__(self, path: Path, header: StreamReader, segment: Segment) -> None:
        if header.is_broadcast:
            raise VideoError("decord shows wrong pictures of transport and programme streams; use the pyav decoder")
        try:
            self._reader = decord.VideoReader(str(path.absolute()), ctx=decord.cpu(0), num_threads=1)
            stamps = self._reader.get_frame_timestamp(range(len(self._reader))).astype(np.float64)
        except _DECORD_ERRORS as error:
            raise VideoError("decord cannot read the picture; use the pyav decoder") from error
        except UnicodeEncodeError as error:
            raise VideoError("decord cannot open a file whose name is not UTF-8; use the pyav decoder") from error
        self.warnings: list[str] = []
        self._starts = stamps[:, 0] - stamps[0, 0]
        steps = np.diff(self._starts)
        if not np.all((steps >= 0) & (steps <= header.largest_gap_seconds)):
            self.warnings.append("decord has no usable time stamps for this file: its pictures are spaced evenly")
            self._starts = np.arange(len(stamps)) * header.nominal_frame_seconds
        # Some containers give a picture no duration.
        self._durations = stamps[:, 1] - stamps[:, 0]
        usable = (self._durations > 0) & (self._durations <= header.largest_gap_seconds)
        self._durations[~usable] = header.nominal_frame_seconds
        self._first = max(0, int(np.searchsorted(self._starts, segment.start_seconds, side="right")) - 1)

    def frames(self) -> Iterator[TimedFrame[Any]]:
        """Yield the pictures from the one on screen at the segment's start to the last one that decord can read."""
        try:
            if self._first > 0:
                self._reader.seek_accurate(self._first)
            for index in range(self._first, len(self._reader)):
                start = float(self._starts[index])
                yield TimedFrame(start, start + float(self._durations[index]), self._reader.next())
        except (StopIteration, *_DECORD_ERRORS):
            self.warnings.append("decord stopped at a picture it cannot decode; the pyav decoder may read on")


def _convert(image: Any, out: NDArray[np.float32]) -> None:  # noqa: ANN401 -- decord has no types
    """Write a picture to `out`, (3, 112, 112); decord has already turned it upright."""
    rgb = image.asnumpy()
    if rgb.shape[2] != 3:
        raise VideoError("decord garbles pictures this narrow; use the pyav decoder")
    resize_and_crop(rgb, out)


def _read_sound(path: Path, header: StreamReader, rate_hz: int) -> NDArray[np.int16] | None:
    """Read all of the sound, (N,), mixed and resampled; None if decord cannot read any."""
    if header.sound_format is None:
        return None
    own_rate_hz, layout = header.sound_format
    try:
        reader = decord.AudioReader(str(path.absolute()), ctx=decord.cpu(0), sample_rate=own_rate_hz, mono=True)
        mixed = torch.from_numpy(reader[:].asnumpy()[0] * np.float32(mono_gain(layout)))
    except _DECORD_ERRORS:
        return None
    # decord's own rate conversion drifts: its error is 77 of 2886 rms on a tone. torchaudio differs from ffmpeg by 1.
    resampled = torchaudio.functional.resample(mixed, own_rate_hz, rate_hz)
    samples: NDArray[np.int16] = (resampled * 32768).round().clamp(-32768, 32767).to(torch.int16).numpy()
    return samples
