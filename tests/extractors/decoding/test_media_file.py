"""extractors/decoding/media_file.py: paths are checked before a decoder opens them."""

import os
from pathlib import Path

import pytest

from extractors.decoding.media_file import check_media_file, why_unreadable
from extractors.errors import VideoError


def test_a_file_with_content_passes(tmp_path: Path) -> None:
    """A file with content passes, also through a symbolic link."""
    (tmp_path / "clip.mp4").write_bytes(b"x")
    (tmp_path / "link.mp4").symlink_to(tmp_path / "clip.mp4")
    check_media_file(tmp_path / "clip.mp4")
    check_media_file(tmp_path / "link.mp4")


def test_a_loop_of_links_fails(tmp_path: Path) -> None:
    """A link to itself cannot be reached."""
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    with pytest.raises(VideoError, match="cannot be reached"):
        check_media_file(tmp_path / "loop.mp4")


def test_a_device_fails() -> None:
    """A device is refused, because it may never end."""
    with pytest.raises(VideoError, match="not a regular file"):
        check_media_file(Path("/dev/zero"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_fails(tmp_path: Path) -> None:
    """The reason names the permission, not the content."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"x")
    path.chmod(0)
    with pytest.raises(VideoError, match="no permission"):
        check_media_file(path)


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"\0\0\0\x20ftypisom" + b"\0" * 20, "cut short"),
        (b"  <HTML><body>", "web page"),
        ("nur Text, größer".encode() * 60, "text file"),
        (bytes(range(256)), "not a video, or damaged"),
    ],
)
def test_the_first_bytes_give_the_reason(tmp_path: Path, head: bytes, reason: str) -> None:
    """The reason is right even if the last examined byte is in the middle of a UTF-8 character."""
    (tmp_path / "x.mp4").write_bytes(head)
    assert reason in why_unreadable(tmp_path / "x.mp4")
