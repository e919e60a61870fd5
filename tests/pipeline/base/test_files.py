"""pipeline/base/files.py: whole or not at all, under kills, full disks and folders that cannot be written."""

import errno
import json
import math
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.base import files
from pipeline.base.errors import NoTextError, StorageError

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
needs_user = pytest.mark.skipif(
    hasattr(os, "geteuid") and os.geteuid() == 0, reason="runs as root, who may write everywhere"
)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    try:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], check=True, capture_output=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this user may not mount a tiny disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_new_file_takes_the_old_ones_place(tmp_path: Path) -> None:
    """After the body the new content is there, and nothing beside it."""
    path = tmp_path / "new folder" / "file.txt"

    for text in ("first", "second"):
        with files.replacing(path) as temporary:
            assert temporary.parent == path.parent
            temporary.write_text(text)
        assert path.read_text() == text

    assert list(path.parent.iterdir()) == [path]


def test_an_error_in_the_body_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    """A writer that fails half-way does no harm, and its error is not disguised."""
    path = tmp_path / "file.txt"
    path.write_text("old")

    with pytest.raises(ZeroDivisionError), files.replacing(path) as temporary:
        temporary.write_text(f"half {1 // 0}")

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="kills by signal")
def test_a_killed_writer_leaves_the_old_file(tmp_path: Path) -> None:
    """`kill -9` between the writing and the rename loses the new file only."""
    path = tmp_path / "file.txt"
    path.write_text("old")
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from pipeline.base.files import replacing\n"
        "with replacing(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )

    result = subprocess.run([sys.executable, "-c", program, str(path)], check=False)

    assert result.returncode == -signal.SIGKILL
    assert path.read_text() == "old"


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_new_file_has_the_permissions_that_the_umask_leaves(tmp_path: Path) -> None:
    """A temporary file is private; what takes its place is readable as any other file."""
    path = tmp_path / "file.txt"
    former = os.umask(0o027)
    try:
        files.write_text(path, "")
    finally:
        os.umask(former)

    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_full_disk_is_one_line_and_leaves_the_old_file(tiny_disk: Path) -> None:
    """The message names the file, the reason and what to do."""
    path = tiny_disk / "file.txt"
    path.write_text("old")

    with pytest.raises(StorageError, match=r"^no space left on the disk of .*file\.txt: free some") as caught:
        files.write_text(path, "x" * 100_000)

    assert "\n" not in str(caught.value)
    assert path.read_text() == "old"
    assert list(tiny_disk.iterdir()) == [path]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_is_full_only_at_fsync_leaves_the_old_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int
) -> None:
    """Network disks and quotas report their fullness as late as that."""
    path = tmp_path / "file.txt"
    path.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="no space left"):
        files.write_text(path, "new")

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_the_full_device_is_a_full_disk() -> None:
    """Every write to /dev/full fails for want of space."""
    with (
        pytest.raises(StorageError, match="no space left on the disk of /dev/full"),
        files.storage_errors(Path("/dev/full")),
    ):
        Path("/dev/full").write_text("x")


def test_the_error_number_in_an_hdf5_message_is_found() -> None:
    """HDF5 says only in the text of its error that the disk is full."""
    error = OSError("Can't write data (file write failed: errno = 28, error message = 'No space left on device')")

    assert "no space left" in str(files.storage_error(error, Path("a.h5")))


@needs_user
def test_a_folder_without_permission_is_one_line(tmp_path: Path) -> None:
    """Writing where one may not is said with a remedy."""
    tmp_path.chmod(0o500)

    with pytest.raises(StorageError, match=r"permission denied\. Choose another place"):
        files.write_text(tmp_path / "file.txt", "")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_refusal_of_the_system_is_a_matter_of_permission(number: int) -> None:
    """Also what only root's read-only disks and locked files report."""
    error = files.storage_error(OSError(number, os.strerror(number)), Path("a"))

    assert str(error) == "a: permission denied. Choose another place or change its permissions"


def test_other_disk_errors_keep_the_systems_words() -> None:
    """An error without a remedy of ours still names the path."""
    assert str(files.storage_error(OSError(errno.EIO, "Input/output error"), Path("a"))) == "a: Input/output error"
    assert str(files.storage_error(FileNotFoundError(errno.ENOENT, "x"), Path("a"))) == "a does not exist"


def test_a_file_in_the_way_of_a_folder_is_a_storage_error(tmp_path: Path) -> None:
    """A parent that is a file cannot hold anything."""
    (tmp_path / "file").touch()

    with pytest.raises(StorageError, match="file"):
        files.make_folder(tmp_path / "file" / "folder")
    with pytest.raises(StorageError, match="file"):
        files.write_text(tmp_path / "file" / "a.txt", "")


@settings(deadline=None, max_examples=50)
@given(text=st.text(st.characters(exclude_categories=["Cs"])) | st.just("a\r\nb\rc\n") | st.just("\udcff.mp4"))
def test_text_comes_back_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Line ends, all of Unicode and the bytes of names that are not UTF-8 survive."""
    path = tmp_path_factory.mktemp("text") / "file.txt"

    files.write_text(path, text)

    assert files.read_text(path, errors="surrogateescape") == text.removeprefix("\ufeff")


def test_text_in_another_encoding_fails_with_a_remedy(tmp_path: Path) -> None:
    """Latin-1 is told to the user instead of being guessed at."""
    path = tmp_path / "file.yaml"
    path.write_bytes("é".encode("latin-1"))

    with pytest.raises(NoTextError, match=r"file\.yaml is not a text file in UTF-8: save it as UTF-8") as caught:
        files.read_text(path)
    assert caught.value.exit_code == 2


@settings(deadline=None, max_examples=50)
@given(document=json_values)
def test_json_comes_back_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, document: Any) -> None:
    """Every JSON value survives writing and reading."""
    path = tmp_path_factory.mktemp("json") / "file.json"

    files.write_json(path, document)

    assert files.read_json(path) == document


def test_json_holds_paths_that_are_not_utf8(tmp_path: Path) -> None:
    """A workspace may note the path of a folder that was named in another encoding."""
    files.write_json(tmp_path / "file.json", {"source": "/videos/\udcff"})

    assert files.read_json(tmp_path / "file.json") == {"source": "/videos/\udcff"}


def test_undefined_numbers_become_null_wherever_they_stand() -> None:
    """Strict readers of JSON accept no NaN; numpy's numbers are numbers too."""
    document = {"a": math.nan, "b": [math.inf, {"c": (-math.inf, np.float64(0.5), np.float64("nan"))}]}

    assert json.loads(files.to_json(document)) == {"a": None, "b": [None, {"c": [None, 0.5, None]}]}


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1}x', b"\xff\xfe\x00", b"[" * 100_000], ids=lambda b: b[:8])
def test_damaged_json_fails_with_a_remedy(tmp_path: Path, content: bytes) -> None:
    """Half a file, binary noise and endless nesting are all: damaged."""
    path = tmp_path / "file.json"
    path.write_bytes(content)

    with pytest.raises(StorageError, match=r"file\.json is damaged: not JSON .* Delete it and run"):
        files.read_json(path)


def test_missing_json_fails(tmp_path: Path) -> None:
    """What is not there is said to be not there."""
    with pytest.raises(StorageError, match="does not exist"):
        files.read_json(tmp_path / "file.json")


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.text(), json_values, min_size=2, max_size=5))
def test_a_fingerprint_ignores_the_order_of_keys(document: dict[str, Any]) -> None:
    """Equal values have equal fingerprints however they were put together."""
    assert files.fingerprint(document) == files.fingerprint(dict(reversed(document.items())))


@settings(deadline=None, max_examples=50)
@given(json_values, json_values)
def test_different_values_have_different_fingerprints(first: Any, second: Any) -> None:
    """What JSON tells apart, a fingerprint tells apart."""
    equal = json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)

    assert (files.fingerprint(first) == files.fingerprint(second)) == equal
