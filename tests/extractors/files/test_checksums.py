"""extractors/files/checksums.py: large files are read once, and again after a change."""

import hashlib
import os
from pathlib import Path

import pytest

from extractors.files import checksums
from extractors.files.checksums import cached_sha256, sha256_of_file


def sum_of(path: Path) -> str:
    """Compute the expected checksum."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The list of files that were read."""
    paths: list[Path] = []

    def reading(path: Path) -> str:
        paths.append(path)
        return sum_of(path)

    monkeypatch.setattr(checksums, "sha256_of_file", reading)
    return paths


def test_a_large_file_is_read_once_until_it_changes(tmp_path: Path, read: list[Path]) -> None:
    """A change of content is noticed, even if length and date stay the same."""
    file, cache = tmp_path / "vectors.bin", tmp_path / "cache"
    file.write_bytes(b"one")
    assert [cached_sha256(file, cache, large_bytes=3) for _ in range(3)] == [sum_of(file)] * 3
    assert len(read) == 1
    before = file.stat()
    file.write_bytes(b"two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert cached_sha256(file, cache, large_bytes=3) == sum_of(file)
    assert len(read) == 2


def test_checksums_of_small_files_are_not_cached(tmp_path: Path) -> None:
    """Reading a small file is faster than finding a record."""
    (tmp_path / "vectors.bin").write_bytes(b"one")
    assert cached_sha256(tmp_path / "vectors.bin", tmp_path / "cache") == sum_of(tmp_path / "vectors.bin")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("damage", ["", "nonsense", "a" * 63, "a" * 65])
def test_a_damaged_record_is_not_used(tmp_path: Path, damage: str) -> None:
    """A damaged record is written again, and a cache that cannot be written does no harm."""
    file, cache = tmp_path / "vectors.bin", tmp_path / "cache"
    file.write_bytes(b"one")
    cached_sha256(file, cache, large_bytes=0)
    (record,) = (cache / "checksums").iterdir()
    record.write_text(damage)
    assert cached_sha256(file, cache, large_bytes=0) == sum_of(file) == record.read_text()
    (tmp_path / "no_folder").touch()
    assert cached_sha256(file, tmp_path / "no_folder", large_bytes=0) == sum_of(file)


def test_a_missing_file_fails(tmp_path: Path) -> None:
    """The error reaches the caller, who knows what the file is for."""
    with pytest.raises(FileNotFoundError):
        cached_sha256(tmp_path / "gone.bin", tmp_path / "cache")


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_the_hash_is_that_of_the_whole_content(tmp_path: Path, size: int) -> None:
    """The hash is also right at the borders of the blocks that are read."""
    path = tmp_path / "file"
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    path.write_bytes(content)

    assert sha256_of_file(path) == hashlib.sha256(content).hexdigest()
