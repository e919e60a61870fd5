"""extractors/guarded.py: a result, an error, a crash and a hang of another process."""

import os
import sys
import time
from pathlib import Path

import pytest

from extractors.decoding.media_file import check_media_file, why_unreadable
from extractors.errors import VideoError
from extractors.guarded import call_guarded


def test_the_result_comes_back(tmp_path: Path) -> None:
    """From a process that is gone afterwards."""
    (tmp_path / "a.txt").write_text("hello")
    assert call_guarded(why_unreadable, tmp_path / "a.txt", limit_seconds=60) == "not a video but a text file"


def test_an_expected_error_comes_back(tmp_path: Path) -> None:
    """As the function raised it."""
    with pytest.raises(VideoError, match="no such file"):
        call_guarded(check_media_file, tmp_path / "a.mp4", limit_seconds=60)


def test_a_process_that_ends_by_itself_is_an_error(tmp_path: Path) -> None:
    """Whatever ended it; here a bug."""
    with pytest.raises(VideoError, match=r"ended by itself \(exit code 1\)"):
        call_guarded(len, tmp_path, limit_seconds=60)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a named pipe, on which reading blocks for ever")
def test_a_process_that_hangs_is_killed(tmp_path: Path) -> None:
    """After the limit, and not much later."""
    os.mkfifo(tmp_path / "a.mp4")
    began = time.monotonic()
    with pytest.raises(VideoError, match="not read within 2 s"):
        call_guarded(why_unreadable, tmp_path / "a.mp4", limit_seconds=2)
    assert time.monotonic() - began < 30
