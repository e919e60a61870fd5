"""extractors/decoding/limits.py: a small file cannot ask for days of work or for gigabytes."""

from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest

from extractors.decoding.interface import DecodingRequest, available_decoders, get_decoder
from extractors.decoding.limits import LengthLimit, check_picture_size
from extractors.errors import VideoError
from extractors.selavi.options import selavi_inputs


def write_pictures(path: Path, seconds: list[float], *, size: int = 64) -> Path:
    """Write a picture at each time."""
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for index, time in enumerate(seconds):
            frame = av.VideoFrame.from_ndarray(np.full((size, size, 3), index * 9 % 256, np.uint8), format="rgb24")
            frame.pts, frame.time_base = round(time * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("decoder", available_decoders())
def test_hours_of_video_in_a_few_bytes_end_early(tmp_path: Path, decoder: str) -> None:
    """Two pictures an hour apart are damaged time stamps, and not an hour of work."""
    path = write_pictures(tmp_path / "clip.mkv", [0, 1, 2, 3500, 3501])
    seconds = get_decoder(decoder).decode(DecodingRequest(path=path, inputs=selavi_inputs(24_000)))
    assert len(list(islice(seconds, 600))) == 600
    with pytest.raises(VideoError, match=r"s of video in \d+ bytes: damaged time stamps"):
        next(seconds)


def test_a_still_picture_of_some_minutes_is_a_video(tmp_path: Path) -> None:
    """Short videos may have any number of bytes."""
    path = write_pictures(tmp_path / "clip.mkv", [0, 1, 2, 200])
    assert len(list(get_decoder("pyav").decode(DecodingRequest(path=path, inputs=selavi_inputs(24_000))))) >= 200


def test_a_video_longer_than_the_limit_fails(tmp_path: Path) -> None:
    """The message names the setting."""
    request = DecodingRequest(
        path=write_pictures(tmp_path / "clip.mkv", [0, 1, 2, 3, 4, 5]), inputs=selavi_inputs(24_000), longest_seconds=3
    )
    with pytest.raises(VideoError, match=r"the limit: .*--set extraction\.longest_seconds=SECONDS"):
        list(get_decoder("pyav").decode(request))


def test_a_large_file_may_have_many_seconds() -> None:
    """Ten hours of speech take 27 MB."""
    LengthLimit(size_bytes=27_000_000).check(36_000)


def test_pictures_that_take_gigabytes_are_refused() -> None:
    """8K pictures are read."""
    check_picture_size(7680, 4320)
    with pytest.raises(VideoError, match="have 60000 x 60000 pixels"):
        check_picture_size(60_000, 60_000)
