"""Damage files as disks, interrupted copies and strangers do: always the same for a seed."""

import random
from collections.abc import Callable, Iterator

import pytest


def mutants(content: bytes, *, count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield damaged versions of a content, each with a description; all differ from the content.

    Args:
        content: the bytes of a file, not empty.
        count: number of versions.
        seed: seed of the choices.
    """
    choices = random.Random(seed)
    made = 0
    while made < count:
        kind = choices.choice(_KINDS)
        at = choices.randrange(len(content))
        length = min(choices.choice((1, 2, 4, 8, 64, 512)), len(content) - at)
        mutant = kind(content, at, length, choices)
        if mutant != content:
            made += 1
            yield f"{kind.__name__[1:]} {length} at {at}", mutant


def _bit(content: bytes, at: int, _: int, choices: random.Random) -> bytes:
    return content[:at] + bytes([content[at] ^ 1 << choices.randrange(8)]) + content[at + 1 :]


def _zeros(content: bytes, at: int, length: int, _: random.Random) -> bytes:
    return content[:at] + bytes(length) + content[at + length :]


def _ones(content: bytes, at: int, length: int, _: random.Random) -> bytes:
    return content[:at] + b"\xff" * length + content[at + length :]


def _noise(content: bytes, at: int, length: int, choices: random.Random) -> bytes:
    return content[:at] + choices.randbytes(length) + content[at + length :]


def _cut(content: bytes, at: int, _: int, __: random.Random) -> bytes:
    return content[:at]


def _without(content: bytes, at: int, length: int, _: random.Random) -> bytes:
    return content[:at] + content[at + length :]


def _twice(content: bytes, at: int, length: int, _: random.Random) -> bytes:
    return content[: at + length] + content[at:]


def _text(content: bytes, at: int, length: int, choices: random.Random) -> bytes:
    piece = choices.choice(_PIECES)
    return content[:at] + piece + content[at + length :]


# What parsers of texts and numbers stumble over.
_PIECES = (
    b"\0",
    b"\x1b[2J",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b'"',
    b"'",
    b"{",
    b"[" * 3000,
    b"}" * 3,
    b",",
    b"\t",
    b"\r",
    b"\n",
    b": ",
    b"- ",
    b"&a *a",
    b"!!python/object:os.system",
    b"!!timestamp 2001-99-99",
    b"nan",
    b"-inf",
    b"1e999",
    b"9" * 5000,
    b"-1",
    b"null",
    b"../../..",
)
_KINDS = (_bit, _bit, _zeros, _ones, _noise, _cut, _without, _twice, _text)


@pytest.fixture
def damaged() -> Callable[..., Iterator[tuple[str, bytes]]]:
    """Return the function that damages a content."""
    return mutants
