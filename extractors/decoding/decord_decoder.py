"""The second decoder: decord for the pictures, with the same interface.

Differences from PyAV:

- decord reads the pictures only. Its sound differs from ffmpeg's: other mixing, another conversion of the rate, and
  samples that only prime the codec. So the sound comes from PyAV.
- Memory is not flat: decord keeps an index of all packets of the pictures.
- If decord has no time stamps for the pictures of an AVI file, they are spaced evenly, with a warning.
- Files whose edit list leaves pictures out, as `ffmpeg -ss` with `-c copy` makes them, are not supported.
- A file ends at its first bad packet. AV1, transport streams and programme streams are not supported. The size of the
  pictures may not change.
- decord can loop for ever while it holds the interpreter's lock. Run it in a `DecodingPool`, which kills it.

decord applies the rotation itself. Frames are chosen by their time stamps, because its average frame rate is not exact.
"""

from collections.abc import Generator, Iterator
from functools import partial
from typing import Any

import decord
import numpy as np
from numpy.typing import NDArray

from extractors.base import PictureInput
from extractors.decoding.interface import DecodingRequest, Second, VideoSummary
from extractors.decoding.pictures.convert import resize_and_crop
from extractors.decoding.pyav.opening import Opening
from extractors.decoding.pyav.stream import StreamReader
from extractors.decoding.pyav.video import decode_video
from extractors.decoding.timing.timeline import Pictures, Segment, TimedFrame
from extractors.errors import VideoError

# decord's own errors, and the built-in ones that its Python code raises for files it cannot read.
_DECORD_ERRORS = (decord.DECORDError, RuntimeError, AssertionError)


class DecordDecoder:
    """Reads ordinary files as PyAV does; the module docstring lists the differences."""

    name = "decord"

    def decode(self, request: DecodingRequest) -> Generator[Second, None, VideoSummary]:
        """See `Decoder.decode`."""
        return (yield from decode_video(request, _open_pictures))


def _open_pictures(
    header: StreamReader, opening: Opening, segment: Segment, wanted: PictureInput
) -> Pictures[Any] | None:
    """Return the pictures from the segment's start on; None if the file has none."""
    if not header.exists:
        return None
    # PyAV finds where the picture begins: decord counts from its first frame.
    shown = _PicturesOfFile(header, opening, segment)
    return Pictures(shown.frames(), partial(_convert, wanted=wanted), wanted, shown.warnings)


class _PicturesOfFile:
    """The pictures of a segment of a file, with decord's time stamps.

    Raises:
        VideoError: a file that decord cannot read, or that it reads wrongly without an error.
    """

    def __init__(self, header: StreamReader, opening: Opening, segment: Segment) -> None:
        if header.discarded_packets:
            raise VideoError("decord shows pictures that this file's edit list leaves out; use the pyav decoder")
        if header.is_broadcast:
            raise VideoError("decord shows wrong pictures of transport and programme streams; use the pyav decoder")
        try:
            self._reader = decord.VideoReader(str(header.path.absolute()), ctx=decord.cpu(0), num_threads=1)
            stamps = self._reader.get_frame_timestamp(range(len(self._reader))).astype(np.float64)
        except _DECORD_ERRORS as error:
            raise VideoError("decord cannot read the picture; use the pyav decoder") from error
        except UnicodeEncodeError as error:
            raise VideoError("decord cannot open a file whose name is not UTF-8; use the pyav decoder") from error
        self.warnings: list[str] = []
        self._starts = _unrounded(stamps[:, 0] - stamps[0, 0], header.stamp_step_seconds)
        steps = np.diff(self._starts)
        if not np.all((steps >= 0) & (steps <= header.largest_gap_seconds)) or (len(steps) and not np.any(steps)):
            if not header.is_avi:
                raise VideoError("decord has no usable time stamps for this file; use the pyav decoder")
            self.warnings.append("decord has no usable time stamps for this file: its pictures are spaced evenly")
            self._starts = np.arange(len(stamps), dtype=np.float64) * header.nominal_frame_seconds
        self._starts = self._starts + opening.lead_seconds
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


def _unrounded(seconds: NDArray[np.float64], step_seconds: float) -> NDArray[np.float64]:
    """Undo decord's rounding of times to 32 bits: times are multiples of the unit of the time stamps."""
    if step_seconds <= 0:
        return seconds
    steps: NDArray[np.float64] = np.rint(seconds / step_seconds)
    return steps * step_seconds


def _convert(image: Any, out: NDArray[Any], wanted: PictureInput) -> None:  # noqa: ANN401 -- decord has no types
    """Write a picture to `out`, (3, S, S); decord has already turned it upright."""
    rgb = image.asnumpy()
    if rgb.shape[2] != 3:
        raise VideoError("decord garbles pictures this narrow; use the pyav decoder")
    resize_and_crop(rgb, out, wanted)
