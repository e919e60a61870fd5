"""pipeline/base/files.py: files are whole or absent after kills, on full disks and in read-only folders."""

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
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.base import files
from pipeline.base.errors import NotTextError, StorageError

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
needs_user = pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root can write everywhere")


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 64 KiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    try:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], check=True, capture_output=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this user cannot mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_new_file_replaces_the_old_one(tmp_path: Path) -> None:
    """After the body, the file has the new content and the folder contains nothing else."""
    path = tmp_path / "new folder" / "file.txt"

    for text in ("first", "second"):
        with files.replacing(path) as temporary:
            assert temporary.parent == path.parent
            temporary.write_text(text)
        assert path.read_text() == text

    assert list(path.parent.iterdir()) == [path]


def test_an_error_in_the_body_leaves_only_the_old_file(tmp_path: Path) -> None:
    """A writer that fails half-way changes nothing, and its error is raised."""
    path = tmp_path / "file.txt"
    path.write_text("old")

    with pytest.raises(ZeroDivisionError), files.replacing(path) as temporary:
        temporary.write_text(f"half {1 // 0}")

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="kills by signal")
def test_a_killed_writer_leaves_the_old_file(tmp_path: Path) -> None:
    """`kill -9` between writing and renaming loses only the new file."""
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


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_a_new_file_has_the_permissions_of_the_umask(tmp_path: Path) -> None:
    """A temporary file is private; the final file has the permissions of any other new file."""
    path = tmp_path / "file.txt"
    former = os.umask(0o027)
    try:
        files.write_text(path, "")
    finally:
        os.umask(former)

    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_full_disk_is_a_storage_error_and_leaves_the_old_file(tiny_disk: Path) -> None:
    """The message is one line with the file, the reason and what to do."""
    path = tiny_disk / "file.txt"
    path.write_text("old")

    with pytest.raises(StorageError, match=r"^no space left on the disk of .*file\.txt: free some") as caught:
        files.write_text(path, "x" * 100_000)

    assert "\n" not in str(caught.value)
    assert path.read_text() == "old"
    assert list(tiny_disk.iterdir()) == [path]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_an_error_of_fsync_leaves_the_old_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int) -> None:
    """Network disks and quotas report a full disk only at fsync."""
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
def test_a_write_to_dev_full_reports_a_full_disk() -> None:
    """Every write to /dev/full fails with ENOSPC."""
    with (
        pytest.raises(StorageError, match="no space left on the disk of /dev/full"),
        files.storage_errors(Path("/dev/full")),
    ):
        Path("/dev/full").write_text("x")


def test_the_error_number_in_an_hdf5_message_is_found() -> None:
    """HDF5 reports a full disk only in the text of its error."""
    error = OSError("Can't write data (file write failed: errno = 28, error message = 'No space left on device')")

    assert "no space left" in str(files.storage_error(error, Path("a.h5")))


@needs_user
def test_a_folder_without_permission_is_a_storage_error(tmp_path: Path) -> None:
    """The message says what to do."""
    tmp_path.chmod(0o500)

    with pytest.raises(StorageError, match=r"permission denied\. Choose another path"):
        files.write_text(tmp_path / "file.txt", "")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_all_permission_errors_have_the_same_message(number: int) -> None:
    """Locked files have an error number of their own."""
    error = files.storage_error(OSError(number, os.strerror(number)), Path("a"))

    assert str(error) == "a: permission denied. Choose another path or change its permissions"


def test_a_read_only_file_system_is_called_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's error may be that of a missing permission; the file system tells the difference."""
    read_only = "x cannot be written: its file system is read-only. Choose another path"
    assert str(files.storage_error(OSError(errno.EROFS, "Read-only file system"), Path("x"))) == read_only
    assert not files.is_read_only(tmp_path / "not there yet")
    flags = SimpleNamespace(f_flag=os.ST_RDONLY)
    monkeypatch.setattr(os, "statvfs", lambda _: flags)
    assert files.is_read_only(tmp_path / "not there yet")
    assert str(files.storage_error(PermissionError(errno.EACCES, "Permission denied"), Path("x"))) == read_only


def test_other_disk_errors_keep_the_message_of_the_system() -> None:
    """The message also names the path."""
    assert str(files.storage_error(OSError(errno.EIO, "Input/output error"), Path("a"))) == "a: Input/output error"
    assert str(files.storage_error(FileNotFoundError(errno.ENOENT, "x"), Path("a"))) == "a does not exist"


def test_a_file_in_place_of_a_folder_is_a_storage_error(tmp_path: Path) -> None:
    """A file cannot be the parent of a file or folder."""
    (tmp_path / "file").touch()

    with pytest.raises(StorageError, match="file"):
        files.make_folder(tmp_path / "file" / "folder")
    with pytest.raises(StorageError, match="file"):
        files.write_text(tmp_path / "file" / "a.txt", "")


@settings(deadline=None, max_examples=50)
@given(text=st.text(st.characters(exclude_categories=["Cs"])) | st.just("a\r\nb\rc\n") | st.just("\udcff.mp4"))
def test_text_is_read_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Line ends, all Unicode characters and names that are not UTF-8 are preserved."""
    path = tmp_path_factory.mktemp("text") / "file.txt"

    files.write_text(path, text)

    assert files.read_text(path, errors="surrogateescape") == text.removeprefix("\ufeff")


def test_text_in_another_encoding_is_refused(tmp_path: Path) -> None:
    """Latin-1 is not guessed; the message says what to do."""
    path = tmp_path / "file.yaml"
    path.write_bytes("é".encode("latin-1"))

    with pytest.raises(NotTextError, match=r"file\.yaml is not a text file in UTF-8: save it as UTF-8") as caught:
        files.read_text(path)
    assert caught.value.exit_code == 2


@settings(deadline=None, max_examples=50)
@given(document=st.dictionaries(st.text().filter(lambda key: key != "checksum"), json_values))
def test_json_is_read_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, document: dict[str, Any]) -> None:
    """Every JSON value is preserved, and the checksum is not part of the document."""
    path = tmp_path_factory.mktemp("json") / "file.json"

    files.write_json(path, document)

    assert files.read_json(path) == document
    assert json.loads(path.read_text(errors="surrogateescape"))["checksum"]


def test_a_changed_number_in_json_is_found(tmp_path: Path) -> None:
    """A document without a checksum, of another program or an older version, is read as it is."""
    path = tmp_path / "file.json"
    files.write_json(path, {"beta": 2.5})
    path.write_text(path.read_text().replace("2.5", "2.75"))
    with pytest.raises(StorageError, match=r"damaged \(its content is not what was written\)"):
        files.read_json(path)
    path.write_text('{"beta": 2.75}')
    assert files.read_json(path) == {"beta": 2.75}


def test_a_reader_words_the_damage(tmp_path: Path) -> None:
    """It knows how the file is made again."""
    path = tmp_path / "file.json"
    path.write_text("{")
    with pytest.raises(NotTextError, match=r"^not JSON: .*, export again$"):
        files.read_json(path, lambda fault: NotTextError(f"{fault}, export again"))


def test_json_may_contain_paths_that_are_not_utf8(tmp_path: Path) -> None:
    """A workspace may record the path of a folder whose name has another encoding."""
    files.write_json(tmp_path / "file.json", {"source": "/videos/\udcff"})

    assert files.read_json(tmp_path / "file.json") == {"source": "/videos/\udcff"}


def test_undefined_numbers_become_null_at_every_depth() -> None:
    """Strict JSON readers refuse NaN; numpy's numbers are converted too."""
    document = {"a": math.nan, "b": [math.inf, {"c": (-math.inf, np.float64(0.5), np.float64("nan"))}]}

    assert json.loads(files.to_json(document)) == {"a": None, "b": [None, {"c": [None, 0.5, None]}]}


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1}x', b"\xff\xfe\x00", b"[" * 100_000], ids=lambda b: b[:8])
def test_damaged_json_is_a_storage_error(tmp_path: Path, content: bytes) -> None:
    """Half a file, random bytes and very deep nesting have the same message, which says what to do."""
    path = tmp_path / "file.json"
    path.write_bytes(content)

    with pytest.raises(StorageError, match=r"file\.json is damaged \(not JSON: .*\)\. Delete it and run"):
        files.read_json(path)


def test_missing_json_is_a_storage_error(tmp_path: Path) -> None:
    """The message says that the file does not exist."""
    with pytest.raises(StorageError, match="does not exist"):
        files.read_json(tmp_path / "file.json")


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.text(), json_values, min_size=2, max_size=5))
def test_a_fingerprint_ignores_the_order_of_keys(document: dict[str, Any]) -> None:
    """Equal values have equal fingerprints."""
    assert files.fingerprint(document) == files.fingerprint(dict(reversed(document.items())))


@settings(deadline=None, max_examples=50)
@given(json_values, json_values)
def test_different_values_have_different_fingerprints(first: Any, second: Any) -> None:
    """Two fingerprints are equal only if the JSON texts are equal."""
    equal = json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)

    assert (files.fingerprint(first) == files.fingerprint(second)) == equal
