"""pipeline/base/wording.py: numbers and suggestions for people."""

import os
import subprocess
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.base.wording import byte_size, counted, did_you_mean, grouped, not_a_file, shell_quoted, visible


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 videos"), (1, "1 video"), (2, "2 videos"), (12_345_678, "12 345 678 videos")]
)
def test_things_are_counted(number: int, words: str) -> None:
    """1 has the singular; groups of three digits are separated."""
    assert counted(number, "video") == words
    assert grouped(number) == words.split(" video", maxsplit=1)[0]


@pytest.mark.parametrize(
    ("size_bytes", "words"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KiB"), (5 << 20, "5.0 MiB"), (3 << 40, "3072.0 GiB")],
)
def test_sizes_have_the_largest_fitting_unit(size_bytes: int, words: str) -> None:
    """GiB is the largest unit."""
    assert byte_size(size_bytes) == words


def test_the_most_similar_choice_is_suggested() -> None:
    """A typing error of one letter finds the right name."""
    assert did_you_mean("daan.betta", ["daan.beta", "daan.heads"]) == " Did you mean daan.beta?"


def test_nothing_is_suggested_if_no_choice_is_similar() -> None:
    """A wrong suggestion would confuse."""
    assert did_you_mean("xyz", ["daan.beta", "training.epochs"]) == ""
    assert did_you_mean("xyz", []) == ""


def test_a_missing_path_suggests_a_similar_one_in_any_case(tmp_path: Path) -> None:
    """A wrong ending or capital letter is the usual reason for a missing file."""
    (tmp_path / "Holiday.MP4").touch()

    message = not_a_file(tmp_path / "holiday.mov")

    assert message == f"{tmp_path}/holiday.mov does not exist. Did you mean {tmp_path}/Holiday.MP4?"


def test_a_path_in_a_missing_folder_is_named_without_a_suggestion(tmp_path: Path) -> None:
    """A folder that does not exist contains no similar name."""
    path = tmp_path / "nowhere" / "clip.mp4"

    assert not_a_file(path) == f"{path} does not exist."


def test_a_link_that_leads_nowhere_is_said_to_be_one(tmp_path: Path) -> None:
    """Its own name is no suggestion."""
    link = tmp_path / "clip.mp4"
    link.symlink_to(tmp_path / "moved.mp4")
    assert not_a_file(link) == f"{link} is a link to {tmp_path / 'moved.mp4'}, which does not exist."
    loop = tmp_path / "loop.mp4"
    loop.symlink_to(loop)
    assert not_a_file(loop) == f"{loop} is a link to {loop}, which leads back to it."


def test_a_pipe_and_a_folder_are_no_regular_files(tmp_path: Path) -> None:
    """A shell gives a pipe for `<(command)`; reading it may wait for ever."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert (
        not_a_file(pipe) == f"{pipe} is not a regular file, but a pipe or a device: save its content as a file first."
    )
    assert not_a_file(tmp_path) == f"{tmp_path} is a folder."


@given(st.text())
def test_no_control_character_is_left_and_other_texts_stay(text: str) -> None:
    """The escapes are those of Python; line feeds stay."""
    shown = visible(text)
    assert not any(unicodedata.category(character) == "Cc" for character in shown if character != "\n")
    if text.isprintable():
        assert shown == text


def test_what_a_terminal_obeys_is_shown_as_an_escape() -> None:
    """Clearing the screen, setting the title, hiding lines, turning the text around."""
    assert visible("\x1b[2J\x9b1A\ra\tb\u202ec\x00") == r"\x1b[2J\x9b1A\ra\tb\u202ec\x00"
    assert visible("yoga [old] :dog: ü 瑜伽") == "yoga [old] :dog: ü 瑜伽"


@pytest.mark.parametrize("address", ["https://example.org/clip.mp4", "s3://bucket/a.mp4", "rtsp://camera/1"])
def test_an_address_is_called_one(address: str) -> None:
    """It is shown with both slashes, of which a path loses one."""
    assert not_a_file(Path(address)) == f"{address} is an address, not a file: save what it leads to as a file first."


def test_a_wildcard_that_matches_nothing_is_called_one(tmp_path: Path) -> None:
    """The shell replaces wildcards, unless they are in quotes or match nothing."""
    (tmp_path / "a.mp4").touch()
    assert "Wildcards work without quotes, and only if a file matches them." in not_a_file(tmp_path / "*.mp4")


def test_a_path_from_windows_is_told_the_slashes_of_this_system(tmp_path: Path) -> None:
    """Such paths stand in lists and in people's fingers."""
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").touch()
    found = not_a_file(Path(f"{tmp_path}\\videos\\a.mp4"))
    assert found.endswith(f"Did you mean {tmp_path}/videos/a.mp4? Folders are separated by slashes here.")


@pytest.mark.parametrize(
    "text", ["plain", "two words", "it's", "a\x1b[31mred", "new\nline", "caf\u00e9 \u202e", "b\udcffd"]
)
def test_a_quoted_argument_comes_back_from_a_shell_as_it_was(text: str) -> None:
    """Control characters and bytes that are not UTF-8 are escapes, which bash reads."""
    quoted = shell_quoted(text)
    assert quoted.isprintable()
    done = subprocess.run(["bash", "-c", f"printf %s {quoted}"], check=True, capture_output=True)
    assert done.stdout == os.fsencode(text)
