"""extractors/processes.py: many files in several processes, where a bad one costs only itself."""

import os
import sys
import time
from pathlib import Path

import pytest

from extractors import processes
from extractors.decoding.media_file import check_media_file, why_unreadable
from extractors.errors import VideoError
from extractors.processes import call_guarded, call_guarded_each


def files(folder: Path, *names: str) -> list[Path]:
    """Small text files; one called `gone` is not made, and reading it ends the process that tries."""
    for name in names:
        if name != "gone":
            (folder / name).write_text("hello")
    return [folder / name for name in names]


def test_a_process_that_ends_by_itself_costs_only_its_file(tmp_path: Path) -> None:
    """Every path gets its answer, though there are fewer processes than paths."""
    paths = files(tmp_path, "a", "gone", "b", "c")

    answers = dict(call_guarded_each(why_unreadable, paths, workers=2, limit_seconds=60))

    assert [answers[tmp_path / name] for name in "abc"] == ["not a video but a text file"] * 3
    assert "ended by itself (exit code 1)" in str(answers[tmp_path / "gone"])


def test_an_expected_error_comes_back(tmp_path: Path) -> None:
    """As the function raised it."""
    ((path, answer),) = call_guarded_each(check_media_file, files(tmp_path, "gone"), workers=2, limit_seconds=60)

    assert path == tmp_path / "gone"
    assert isinstance(answer, VideoError)
    assert str(answer) == "no such file"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a named pipe, on which reading blocks for ever")
def test_a_file_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next file gets a process of its own."""
    monkeypatch.setattr(processes, "_START_LIMIT_SECONDS", 10.0)
    first, last = files(tmp_path, "a", "b")
    os.mkfifo(tmp_path / "hang")

    answers = dict(call_guarded_each(why_unreadable, [first, tmp_path / "hang", last], workers=1, limit_seconds=0.5))

    assert answers[first] == answers[last] == "not a video but a text file"
    assert str(answers[tmp_path / "hang"]) == "it was not read within 0.5 s: given up"


def test_nothing_to_do_starts_nothing() -> None:
    """No paths, no answers."""
    assert list(call_guarded_each(why_unreadable, [], workers=2, limit_seconds=1)) == []


def test_no_process_at_all_fails() -> None:
    """At least one must work."""
    with pytest.raises(ValueError, match="workers is 0; at least one process"):
        list(call_guarded_each(why_unreadable, [Path("a")], workers=0, limit_seconds=1))


def test_the_result_comes_back(tmp_path: Path) -> None:
    """From a process that is gone afterwards."""
    (tmp_path / "a.txt").write_text("hello")
    assert call_guarded(why_unreadable, tmp_path / "a.txt", limit_seconds=60) == "not a video but a text file"


def test_an_expected_error_of_a_single_call_comes_back(tmp_path: Path) -> None:
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
