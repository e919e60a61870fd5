"""cli/system_limits.py: a limit of the system is one line that names it, and a bug of ours stays a traceback."""

import errno
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from cli.system_limits import limit_behind, limit_met
from extractors.errors import UnavailableError
from pipeline.base.errors import UsageError

AVZSL = Path(sys.executable).parent / "avzsl"
SAMPLES = Path(__file__).parents[2] / "sample_videos"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EMFILE, "Too many open files"), "too many open files: the limit is"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "not enough memory"),
        (MemoryError(), "not enough memory"),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), "not enough memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"), "not enough memory"),
        (RuntimeError("can't start new thread"), "(ulimit"),
    ],
)
def test_a_limit_is_named(error: Exception, words: str) -> None:
    """The line says how to raise it."""
    line = limit_met(error)
    assert line is not None
    assert words in line
    assert "\n" not in line


@pytest.mark.parametrize(
    "error", [RuntimeError("shape mismatch"), OSError(errno.EIO, "input/output"), ImportError("x")]
)
def test_other_errors_are_no_limits(error: Exception) -> None:
    """They are bugs of ours, or belong to somebody else."""
    assert limit_met(error) is None


def raised_from(cause: Exception) -> UsageError:
    """Make an error that was raised because a library did not load."""
    error, middle = UsageError("reinstall it"), UnavailableError("does not load")
    error.__cause__, middle.__cause__ = middle, cause
    return error


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (ImportError("libdav1d.so: failed to map segment from shared object"), "not enough memory"),
        (RuntimeError("Failed to import clip because of: libx.so: failed to map segment"), "not enough memory"),
        (OSError(errno.EMFILE, "Too many open files"), "too many open files"),
    ],
)
def test_a_limit_behind_an_expected_error_is_named(cause: Exception, words: str) -> None:
    """The installation is not to blame, so reinstalling does not help."""
    assert words in str(limit_behind(raised_from(cause)))


@pytest.mark.parametrize(
    "cause",
    [MemoryError(), ImportError("no module"), OSError(errno.EACCES, "out of memory.mp4"), BlockingIOError(11, "")],
)
def test_an_expected_error_of_another_cause_keeps_its_words(cause: Exception) -> None:
    """A damaged file can ask for too much memory; its error says which file."""
    assert limit_behind(raised_from(cause)) is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits as on Linux")
@pytest.mark.parametrize(
    ("name", "limit", "words"),
    [
        ("RLIMIT_NOFILE", 12, "too many open files: the limit is 12"),
        ("RLIMIT_AS", 400 << 20, "not enough memory: this"),
    ],
)
def test_a_command_under_a_low_limit_ends_with_one_line(tmp_path: Path, name: str, limit: int, words: str) -> None:
    """There is no traceback, and the exit code is that of failed work."""
    done = subprocess.run(
        [AVZSL, "extract", SAMPLES, "-w", tmp_path / "ws", "--weights", "untrained", "--width", "1"],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(getattr(resource, name), (limit, limit)),
    )
    assert done.returncode == 1, done.stderr
    assert f"avzsl: {words}" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
