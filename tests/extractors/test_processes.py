"""extractors/processes.py: calls in other processes, where a bad file fails alone."""

import os
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from extractors.decoding.media_file import check_media_file, why_unreadable
from extractors.errors import VideoError
from extractors.processes.guarded_calls import call_guarded, call_guarded_each

CRASHING = """
import os

def read(path):
    \"\"\"Crash on a file called crash, as a native library would.\"\"\"
    if path.name == "crash":
        os._exit(3)
    return path.read_text()
"""


@pytest.fixture
def crashing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], str]:
    """Return a function that crashes on some files; its module is on the path of other processes."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "avzsl_crashing_module.py").write_text(CRASHING)
    monkeypatch.syspath_prepend(folder)
    function: Callable[[Path], str] = import_module("avzsl_crashing_module").read
    return function


def files(folder: Path, *names: str) -> list[Path]:
    """Write small text files and return their paths."""
    for name in names:
        (folder / name).write_text("hello")
    return [folder / name for name in names]


def test_a_process_that_crashes_fails_only_its_file(tmp_path: Path, crashing: Callable[[Path], str]) -> None:
    """Every path gets its answer, although there are fewer processes than paths."""
    paths = files(tmp_path, "a", "crash", "b", "c")

    answers = dict(call_guarded_each(crashing, paths, workers=2, limit_seconds=60))

    assert [answers[tmp_path / name] for name in "abc"] == ["hello"] * 3
    assert "exited unexpectedly (exit code 3)" in str(answers[tmp_path / "crash"])


def test_many_crashes_lose_no_file(tmp_path: Path, crashing: Callable[[Path], str]) -> None:
    """Every good file gets its answer although every other file ends its process."""
    paths = []
    for number in range(10):
        folder = tmp_path / str(number)
        folder.mkdir()
        paths += files(folder, "crash", "good")

    answers = dict(call_guarded_each(crashing, paths, workers=2, limit_seconds=60))

    assert [str(answers[path]) for path in paths if path.name == "good"] == ["hello"] * 10
    assert all("exit code 3" in str(answers[path]) for path in paths if path.name == "crash")


def test_an_expected_error_is_returned(tmp_path: Path) -> None:
    """A VideoError is returned as the function raised it."""
    ((path, answer),) = call_guarded_each(check_media_file, [tmp_path / "gone"], workers=2, limit_seconds=60)

    assert path == tmp_path / "gone"
    assert isinstance(answer, VideoError)
    assert str(answer) == "no such file"


def test_an_unexpected_error_fails_only_its_file_and_is_named(tmp_path: Path) -> None:
    """A bug that one of many files triggers does not end the whole work."""
    paths = [*files(tmp_path, "a"), tmp_path / "gone"]

    answers = dict(call_guarded_each(why_unreadable, paths, workers=1, limit_seconds=60))

    assert answers[tmp_path / "a"] == "not a video but a text file"
    assert "unexpected FileNotFoundError while reading it" in str(answers[tmp_path / "gone"])


@pytest.mark.skipif(sys.platform == "win32", reason="needs a named pipe, on which reading blocks for ever")
def test_a_file_that_hangs_fails_after_the_limit(tmp_path: Path) -> None:
    """A new process reads the next file."""
    first, last = files(tmp_path, "a", "b")
    os.mkfifo(tmp_path / "hang")

    answers = dict(call_guarded_each(why_unreadable, [first, tmp_path / "hang", last], workers=1, limit_seconds=0.5))

    assert answers[first] == answers[last] == "not a video but a text file"
    assert str(answers[tmp_path / "hang"]) == "it was not read within 0.5 s: given up"


def test_an_empty_list_of_paths_gives_no_answers() -> None:
    """There are no answers without paths."""
    assert list(call_guarded_each(why_unreadable, [], workers=2, limit_seconds=1)) == []


def test_zero_workers_are_refused() -> None:
    """At least one process is required."""
    with pytest.raises(ValueError, match="workers is 0; at least one process"):
        list(call_guarded_each(why_unreadable, [Path("a")], workers=0, limit_seconds=1))


def test_closing_the_generator_early_ends_its_processes(tmp_path: Path, crashing: Callable[[Path], str]) -> None:
    """The generator is closed early, for example by Ctrl-C."""
    answers = call_guarded_each(crashing, files(tmp_path, "a", "b", "c"), workers=1, limit_seconds=60)

    assert next(answers)[1] == "hello"
    answers.close()  # type: ignore[attr-defined]  # a generator

    assert list(answers) == []


def test_the_result_of_a_single_call_is_returned(tmp_path: Path) -> None:
    """The result arrives although the process ends after the call."""
    (tmp_path / "a.txt").write_text("hello")
    assert call_guarded(why_unreadable, tmp_path / "a.txt", limit_seconds=60) == "not a video but a text file"


def test_an_expected_error_of_a_single_call_is_raised(tmp_path: Path) -> None:
    """A VideoError is raised as the function raised it."""
    with pytest.raises(VideoError, match="no such file"):
        call_guarded(check_media_file, tmp_path / "a.mp4", limit_seconds=60)


def test_a_single_call_that_crashes_is_an_error(tmp_path: Path, crashing: Callable[[Path], str]) -> None:
    """The error contains the exit code."""
    with pytest.raises(VideoError, match=r"exited unexpectedly \(exit code 3\)"):
        call_guarded(crashing, *files(tmp_path, "crash"), limit_seconds=60)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a named pipe, on which reading blocks for ever")
def test_a_single_call_that_hangs_is_killed(tmp_path: Path) -> None:
    """The call fails after the limit and not much later."""
    os.mkfifo(tmp_path / "a.mp4")
    began = time.monotonic()
    with pytest.raises(VideoError, match="not read within 2 s"):
        call_guarded(why_unreadable, tmp_path / "a.mp4", limit_seconds=2)
    assert time.monotonic() - began < 30
