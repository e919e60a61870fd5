"""Read fastText's binary models: a whole phrase counts as one word, and its vector is the mean of its subwords.

The class vectors of the AVCA benchmark were made in this way (with wiki.en.bin). Words outside the training data also
get a vector. The files are gigabytes large, so only the dictionary and the needed rows are read, from a memory map.
"""

import mmap
import struct
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from extractors.errors import NoVectorError, TextEncoderError
from extractors.text.encoder import refuse_blank
from extractors.text.unit_vectors import REMEDY, unit_vectors
from extractors.text.word_vectors import unreadable

FASTTEXT_MAGIC = struct.pack("<i", 793_712_314)
_VERSIONS = (11, 12)  # of the format; only these begin with the magic number
_HEADER = struct.Struct("<4si12id3i2q")  # magic, version, training arguments, counts of the dictionary
_MATRIX = struct.Struct("<?2q")  # quantised, rows, width; the rows follow
# The format before version 11 (until spring 2017) has no magic number, no pruning and no quantisation.
_OLD_HEADER = struct.Struct("<12id3iq")
_OLD_MATRIX = struct.Struct("<2q")
HEADER_BYTES = _HEADER.size
_CHOICES = (1, 2, 3)  # values of the training arguments `loss` and `model`
_LARGEST_WIDTH = 10_000
_SUPERVISED = 3  # value of the training argument `model` in a classifier
_END_OF_ENTRY_BYTES = 1 + 8 + 1  # of a dictionary entry: NUL, number of occurrences, type
_MAX_WORD_BYTES = 1 << 16
_END_OF_SENTENCE = b"</s>"  # has a row but no subwords


@dataclass(frozen=True)
class _Shape:
    """The sizes in the header of a model.

    Attributes:
        width: number W of values in a vector.
        least: characters of the shortest subword.
        most: characters of the longest subword; 0 if there are no subwords.
        buckets: number of rows that the subwords share.
        entries: number of dictionary entries; words come first, then labels.
        words: number of words.
        pruned: whether the model was pruned, which only quantised models are.
        old: whether the file has the format before version 11.
    """

    width: int
    least: int
    most: int
    buckets: int
    entries: int
    words: int
    pruned: bool
    old: bool = False

    @property
    def header_bytes(self) -> int:
        """The bytes before the dictionary."""
        return _OLD_HEADER.size if self.old else _HEADER.size


class FastText:
    """Computes vectors of whole phrases, including their spaces, with a fastText model.

    A phrase's vector is the mean of the rows of its subwords and, if it is a word of the dictionary, of its own row.
    This is fastText's `get_word_vector`, scaled to length 1.

    Args:
        path: a .bin file.
        identity: identity of the encoder.

    Raises:
        TextEncoderError: a file that is damaged, of an unknown version, or quantised.
    """

    def __init__(self, path: Path, identity: Mapping[str, str]) -> None:
        self._path, self.identity = path, identity
        with self._mapped() as content:
            self._shape = self._read_shape(content)
        self.width = self._shape.width

    def encode(self, phrases: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors (C, W) of C phrases, in the same order, each of length 1.

        Raises:
            NoVectorError: phrases that are blank or too short to have a subword; the message names all of them.
            TextEncoderError: a damaged file.
        """
        refuse_blank(phrases)
        with self._mapped() as content:
            row_of, end = self._look_up(content, {phrase.encode() for phrase in phrases})
            matrix = self._matrix(content, end)
        rows_of = {phrase: self._rows_of(phrase.encode(), row_of) for phrase in phrases}
        missing: dict[str, list[str]] = {phrase: [] for phrase, rows in rows_of.items() if not rows}
        if missing:
            named = ", ".join(map(repr, missing))
            raise NoVectorError(f"{self._path.name} has no vector for {named}: {REMEDY}", missing)
        vectors = [matrix[rows_of[phrase]].mean(axis=0, dtype=np.float64) for phrase in phrases]
        if not all(np.isfinite(vector).all() for vector in vectors):
            raise TextEncoderError(f"{self._path} holds numbers that are not finite: make or download it again")
        return unit_vectors(vectors, phrases, self.width, self._path.name)

    def _mapped(self) -> mmap.mmap:
        try:
            with self._path.open("rb") as file:
                return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise TextEncoderError(unreadable(self._path, error)) from error

    def _read_shape(self, content: mmap.mmap) -> _Shape:
        if is_old_fasttext(content[:HEADER_BYTES]):
            return _old_shape(content[: _OLD_HEADER.size])
        if len(content) < _HEADER.size:
            raise self._cut_short()
        _, version, *rest = _HEADER.unpack_from(content)
        width, model, buckets, least, most = rest[0], *rest[7:11]
        entries, words, labels, _, pruned_rows = rest[13:]
        if version not in _VERSIONS:
            raise TextEncoderError(
                f"{self._path} is a fastText model of version {version}, but only {_VERSIONS[0]} and {_VERSIONS[1]} "
                "can be read: convert it with a current fastText, or give another model"
            )
        if min(width, words, buckets + 1, least + 1, most + 1) < 1 or labels < 0 or entries != words + labels:
            raise TextEncoderError(f"{self._path} is damaged (its header is inconsistent): make or download it again")
        if version == _VERSIONS[0] and model == _SUPERVISED:
            most = 0  # classifiers of this version have no subwords, even if their header gives a length
        return _Shape(width, least, most, buckets, entries, words, pruned=pruned_rows >= 0)

    def _look_up(self, content: mmap.mmap, wanted: AbstractSet[bytes]) -> tuple[dict[bytes, int], int]:
        """Return the rows of the phrases that are words of the dictionary, and the offset where the dictionary ends."""
        rows: dict[bytes, int] = {}
        start, find = self._shape.header_bytes, content.find
        for row in range(self._shape.entries):
            end = find(b"\0", start, start + _MAX_WORD_BYTES)
            if end < 0:
                raise self._cut_short()
            word = content[start:end]
            if word in wanted and row < self._shape.words:
                rows.setdefault(word, row)
            start = end + _END_OF_ENTRY_BYTES
        return rows, start

    def _matrix(self, content: mmap.mmap, start: int) -> NDArray[np.float32]:
        """Map the rows (R, W) of words and buckets, without reading them yet."""
        shape = self._shape
        layout = _OLD_MATRIX if shape.old else _MATRIX
        if start + layout.size > len(content):
            raise self._cut_short()
        *quantised, rows, width = layout.unpack_from(content, start)
        if any(quantised) or shape.pruned:
            raise TextEncoderError(
                f"{self._path} is a quantised fastText model (.ftz), which cannot be read: give the original .bin"
            )
        if (rows, width) != (shape.words + shape.buckets, shape.width):
            raise TextEncoderError(
                f"{self._path} is damaged ({rows} rows of {width}, but its header gives "
                f"{shape.words + shape.buckets} of {shape.width}): make or download it again"
            )
        first = start + layout.size
        if first + 4 * rows * width > len(content):
            raise self._cut_short()
        return np.memmap(self._path, dtype="<f4", mode="r", offset=first, shape=(rows, width))

    def _rows_of(self, phrase: bytes, row_of: Mapping[bytes, int]) -> list[int]:
        own = [row_of[phrase]] if phrase in row_of else []
        if phrase == _END_OF_SENTENCE or not self._shape.buckets:
            return own
        shape = self._shape
        hashes = (_fnv1a(subword) for subword in subwords(phrase, least=shape.least, most=shape.most))
        return own + [shape.words + value % shape.buckets for value in hashes]

    def _cut_short(self) -> TextEncoderError:
        return TextEncoderError(f"{self._path} is cut short: make or download it again")


def is_old_fasttext(start: bytes) -> bool:
    """Return whether a file begins like a fastText model of the format before version 11, which has no mark."""
    if len(start) < _OLD_HEADER.size or start.startswith(FASTTEXT_MAGIC):
        return False
    (
        width,
        window,
        epochs,
        least_count,
        negatives,
        ngrams,
        loss,
        model,
        buckets,
        least,
        most,
        rate,
        sampling,
        *counts,
    ) = _OLD_HEADER.unpack_from(start)
    entries, words, labels, tokens = counts
    return (
        1 <= width <= _LARGEST_WIDTH
        and min(window, epochs, ngrams, rate, words, tokens) >= 1
        and min(least_count, negatives, buckets, labels) >= 0
        and loss in _CHOICES
        and model in _CHOICES
        and 0 <= least <= _LARGEST_WIDTH
        and 0 <= most <= _LARGEST_WIDTH
        and entries == words + labels
        and 0 <= sampling <= 1
    )


def _old_shape(start: bytes) -> _Shape:
    width, *rest = _OLD_HEADER.unpack(start)
    model, buckets, least, most = rest[6:10]
    entries, words = rest[12:14]
    most = 0 if model == _SUPERVISED else most
    return _Shape(width, least, most, buckets, entries, words, pruned=False, old=True)


def subwords(word: bytes, *, least: int, most: int) -> Iterator[bytes]:
    """Yield the substrings of `<word>` of `least` to `most` characters, except the marks alone, as fastText does.

    Args:
        word: word in UTF-8; no character of it is cut.
        least: characters of the shortest substring.
        most: characters of the longest substring.
    """
    marked = b"<" + word + b">"
    # A byte that does not continue a character starts one.
    starts = [index for index, byte in enumerate(marked) if byte & 0xC0 != 0x80]
    bounds = [*starts, len(marked)]
    for first in range(len(starts)):
        for length in range(max(least, 1), min(most, len(starts) - first) + 1):
            is_mark = length == 1 and first in {0, len(starts) - 1}
            if not is_mark:
                yield marked[bounds[first] : bounds[first + length]]


def _fnv1a(subword: bytes) -> int:
    """Compute 32-bit FNV-1a; fastText treats bytes as signed, so those from 128 on also set the upper bits."""
    value = 2_166_136_261
    for byte in subword:
        value = ((value ^ (byte if byte < 0x80 else byte | 0xFFFFFF00)) * 16_777_619) & 0xFFFFFFFF
    return value
