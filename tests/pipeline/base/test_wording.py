"""pipeline/base/wording.py: numbers as people write them."""

import pytest

from pipeline.base.wording import byte_size, counted, grouped


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 videos"), (1, "1 video"), (2, "2 videos"), (12_345_678, "12 345 678 videos")]
)
def test_things_are_counted(number: int, words: str) -> None:
    """One is singular; thousands are apart."""
    assert counted(number, "video") == words
    assert grouped(number) == words.split(" video", maxsplit=1)[0]


@pytest.mark.parametrize(
    ("size_bytes", "words"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KiB"), (5 << 20, "5.0 MiB"), (3 << 40, "3072.0 GiB")],
)
def test_sizes_have_the_largest_fitting_unit(size_bytes: int, words: str) -> None:
    """Up to GiB."""
    assert byte_size(size_bytes) == words
