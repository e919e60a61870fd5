"""fastText's binary models: a phrase as a whole is one word, its vector the mean over its subwords.

That is how the class vectors of the AVCA benchmark were made (wiki.en.bin), and how words that the model never saw get
a vector. Such files hold gigabytes: only the dictionary and the rows that are needed are read, from a memory map.
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
_VERSIONS = (11, 12)  # of the format; the only ones that begin with the magic number
_HEADER = struct.Struct("<4si12id3i2q")  # magic, version, arguments of the training, counts of the dictionary
_MATRIX = struct.Struct("<?2q")  # quantised, rows, width; then the rows
_SUPERVISED = 3  # the argument `model` of a classifier
_END_OF_ENTRY_BYTES = 1 + 8 + 1  # of a dictionary entry: NUL, how often the word was seen, its type
_LONGEST_WORD_BYTES = 1 << 16
_END_OF_SENTENCE = b"</s>"  # has a row and no subwords


@dataclass(frozen=True)
class _Shape:
    """What the head of a model says."""

    width: int  # W
    least: int  # characters of the shortest subword
    most: int  # and of the longest; 0: no subwords
    buckets: int  # rows that subwords share
    entries: int  # of the dictionary: words, then labels
    words: int
    pruned: bool


class FastText:
    """Vectors of whole phrases by a fastText model, spaces and all.

    A phrase's vector is the mean over the rows of its subwords, and over its own row where it is a word of the
    dictionary: fastText's `get_word_vector`, scaled to length 1.

    Args:
        path: a .bin file.
        identity: of the encoder.

    Raises:
        TextEncoderError: damaged, of an unknown version, or quantised.
    """

    def __init__(self, path: Path, identity: Mapping[str, str]) -> None:
        self._path, self.identity = path, identity
        with self._mapped() as content:
            self._shape = self._read_shape(content)
        self.width = self._shape.width

    def encode(self, phrases: Sequence[str]) -> NDArray[np.float32]:
        """Vectors (C, W) of C phrases, in their order, each of length 1.

        Raises:
            NoVectorError: names every phrase that is blank, or too short to have a subword.
            TextEncoderError: the file is damaged.
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
            raise TextEncoderError(f"{self._path}: not all of it is finite numbers; make or download it again")
        return unit_vectors(vectors, phrases, self.width, self._path.name)

    def _mapped(self) -> mmap.mmap:
        try:
            with self._path.open("rb") as file:
                return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise TextEncoderError(unreadable(self._path, error)) from error

    def _read_shape(self, content: mmap.mmap) -> _Shape:
        if len(content) < _HEADER.size:
            raise self._cut_short()
        _, version, *rest = _HEADER.unpack_from(content)
        width, model, buckets, least, most = rest[0], *rest[7:11]
        entries, words, labels, _, pruned_rows = rest[13:]
        if version not in _VERSIONS:
            raise TextEncoderError(
                f"{self._path} is a fastText model of version {version}, known are {_VERSIONS[0]} and {_VERSIONS[1]}: "
                "convert it with a fastText of now, or give another"
            )
        if min(width, words, buckets + 1, least + 1, most + 1) < 1 or labels < 0 or entries != words + labels:
            raise TextEncoderError(f"{self._path} is damaged (its head contradicts itself): make or download it again")
        if version == _VERSIONS[0] and model == _SUPERVISED:
            most = 0  # classifiers of that version have no subwords, whatever they say
        return _Shape(width, least, most, buckets, entries, words, pruned=pruned_rows >= 0)

    def _look_up(self, content: mmap.mmap, wanted: AbstractSet[bytes]) -> tuple[dict[bytes, int], int]:
        """The rows of those phrases that are words of the dictionary, and where the dictionary ends."""
        rows: dict[bytes, int] = {}
        place, find = _HEADER.size, content.find
        for row in range(self._shape.entries):
            end = find(b"\0", place, place + _LONGEST_WORD_BYTES)
            if end < 0:
                raise self._cut_short()
            word = content[place:end]
            if word in wanted and row < self._shape.words:
                rows.setdefault(word, row)
            place = end + _END_OF_ENTRY_BYTES
        return rows, place

    def _matrix(self, content: mmap.mmap, start: int) -> NDArray[np.float32]:
        """Rows (R, W) of words and buckets, left in the file until they are asked for."""
        shape = self._shape
        if start + _MATRIX.size > len(content):
            raise self._cut_short()
        quantised, rows, width = _MATRIX.unpack_from(content, start)
        if quantised or shape.pruned:
            raise TextEncoderError(
                f"{self._path} is a quantised fastText model (.ftz), which is not read: give the .bin it was made from"
            )
        if (rows, width) != (shape.words + shape.buckets, shape.width):
            raise TextEncoderError(
                f"{self._path} is damaged ({rows} rows of {width}, its head says {shape.words + shape.buckets} of "
                f"{shape.width}): make or download it again"
            )
        first = start + _MATRIX.size
        if first + 4 * rows * width > len(content):
            raise self._cut_short()
        return np.memmap(self._path, dtype="<f4", mode="r", offset=first, shape=(rows, width))

    def _rows_of(self, phrase: bytes, row_of: Mapping[bytes, int]) -> list[int]:
        own = [row_of[phrase]] if phrase in row_of else []
        if phrase == _END_OF_SENTENCE or not self._shape.buckets:
            return own
        shape = self._shape
        hashes = (_fnv1a(part) for part in subwords(phrase, least=shape.least, most=shape.most))
        return own + [shape.words + value % shape.buckets for value in hashes]

    def _cut_short(self) -> TextEncoderError:
        return TextEncoderError(f"{self._path} is cut short: make or download it again")


def subwords(word: bytes, *, least: int, most: int) -> Iterator[bytes]:
    """Every part of `<word>` of `least` to `most` characters, but for the marks alone, as fastText takes them.

    Args:
        word: in UTF-8, of which no character is cut.
        least: characters of the shortest part.
        most: of the longest.
    """
    marked = b"<" + word + b">"
    # A byte that does not go on with a character begins one.
    starts = [place for place, byte in enumerate(marked) if byte & 0xC0 != 0x80]
    bounds = [*starts, len(marked)]
    for first in range(len(starts)):
        for length in range(max(least, 1), min(most, len(starts) - first) + 1):
            is_mark = length == 1 and first in {0, len(starts) - 1}
            if not is_mark:
                yield marked[bounds[first] : bounds[first + length]]


def _fnv1a(part: bytes) -> int:
    """32 bits of FNV-1a; fastText takes bytes as signed, so that those from 128 on set the upper bits too."""
    value = 2_166_136_261
    for byte in part:
        value = ((value ^ (byte if byte < 0x80 else byte | 0xFFFFFF00)) * 16_777_619) & 0xFFFFFFFF
    return value
