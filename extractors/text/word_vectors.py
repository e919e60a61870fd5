"""Read files of word vectors: word2vec (text or binary) and GloVe; the content tells which format it is."""

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from extractors.errors import TextEncoderError

if TYPE_CHECKING:
    from gensim.models import KeyedVectors

Vectors = dict[str, NDArray[np.float32]]
_GZIP_MAGIC = b"\x1f\x8b"
_MAX_LINE_BYTES = 1 << 20
_SAMPLE_BYTES = 1 << 16
_CONTROL_CHARACTERS = re.compile(rb"[\x00-\x08\x0e-\x1f]")  # occur in binary numbers, never in text
_BLANKS = b" \t\r\n"
_BLANK_RUNS = re.compile(rb"[ \t]+")
FILE_ERRORS = (OSError, EOFError, zlib.error)


class WordVectorFile(Protocol):
    """A file of vectors with W = `width` numbers per word; its `form` is word2vec or glove."""

    @property
    def width(self) -> int: ...  # noqa: D102 - described above

    @property
    def form(self) -> str: ...  # noqa: D102 - described above

    def find(self, words: AbstractSet[str]) -> Vectors:
        """Return the vectors (W,) of those words that the file has.

        Raises:
            TextEncoderError: a damaged file.
        """
        ...


def open_word_vectors(path: Path) -> WordVectorFile:
    """Recognise a file of word vectors, plain or gzipped, by its first lines; `find` reads the vectors later.

    Raises:
        TextEncoderError: a file that is empty, unreadable, or of another format.
    """
    try:
        beginning = _beginning(path)
    except FILE_ERRORS as error:
        raise TextEncoderError(unreadable(path, error)) from error
    first, following = beginning.first_line, beginning.following
    if not first:
        raise TextEncoderError(f"{path} is empty: give a file of word2vec or GloVe vectors")
    header = re.fullmatch(rb"\s*(\d{1,12})\s+(\d{1,6})\s*", first)
    if header:
        count, width = int(header[1]), int(header[2])
        if count == 0 or width == 0 or not following:
            raise TextEncoderError(f"{path} contains no vectors: give a file of word2vec or GloVe vectors")
        if _is_text(following):
            return TextVectors(path, width, announced=count, ends_with_cr=beginning.ends_with_cr)
        if beginning.blank_lines:
            raise TextEncoderError(f"{path} is binary word2vec after a blank line: remove it, or make the file again")
        return BinaryVectors(path, width, announced=count)
    width = _numbers_at_the_end(_single_blanks(first)) if _is_text(first) else 0
    if width == 0:
        raise TextEncoderError(
            f"{path} is not a file of vectors: expected word2vec (text or binary), GloVe, fastText's .bin, "
            "or a .npy file that holds a dict"
        )
    return TextVectors(path, width, ends_with_cr=beginning.ends_with_cr)


@dataclass(frozen=True)
class _Beginning:
    """The beginning of a file of vectors."""

    first_line: bytes  # the first that is not blank; empty if there is none
    following: bytes  # some of what follows it
    blank_lines: int  # before it
    ends_with_cr: bool  # whether lines end with CR alone, as on the first Macs


def _beginning(path: Path) -> _Beginning:
    blank_lines = 0
    with open_plain_or_gzip(path) as file:
        line = _without_mark(file.readline(_MAX_LINE_BYTES))
        while line and not line.strip():
            blank_lines += 1
            line = file.readline(_MAX_LINE_BYTES)
        following = file.read(_SAMPLE_BYTES)
    first, end, rest = line.strip(_BLANKS).partition(b"\r")
    if end and _is_text(line):
        return _Beginning(first, rest + following, blank_lines, ends_with_cr=True)
    return _Beginning(line if line.strip() else b"", following, blank_lines, ends_with_cr=False)


def _lines(file: gzip.GzipFile | BufferedReader, *, ends_with_cr: bool) -> Iterable[bytes]:
    """Iterate over the lines of a text file."""
    if not ends_with_cr:
        return file
    text = io.TextIOWrapper(file, "latin-1", newline=None)  # a letter for every byte
    return (line.encode("latin-1") for line in text)


class TextVectors:
    """A text file with one word and its numbers per line; word2vec begins with a line of counts, GloVe does not.

    Every `find` reads the whole file but keeps only the requested vectors. The usual files have millions of words and
    take gigabytes in memory; class names need hundreds. (gensim's reader also fails on the words with spaces that
    GloVe's largest file has.)

    Args:
        path: the file.
        width: number W of values in a vector.
        announced: number of words according to the first line; None if there is no such line.
        ends_with_cr: whether lines end with CR alone.
    """

    def __init__(self, path: Path, width: int, *, announced: int | None = None, ends_with_cr: bool = False) -> None:
        self._path, self.width, self._announced, self._ends_with_cr = path, width, announced, ends_with_cr
        self.form = "glove" if announced is None else "word2vec"

    def find(self, words: AbstractSet[str]) -> Vectors:
        """Return the vectors (W,) of those words that the file has; the first vector if a word occurs twice."""
        wanted = {word.encode(): word for word in words}
        found: Vectors = {}
        rows = 0 if self._announced is None else -1  # the first line holds the counts, so it does not count
        try:
            with open_plain_or_gzip(self._path) as file:
                for number, line in enumerate(_lines(file, ends_with_cr=self._ends_with_cr), 1):
                    plain = _single_blanks(_without_mark(line) if number == 1 else line)
                    if not plain or plain.isspace():
                        continue
                    rows += 1
                    if rows == 0:
                        continue
                    word = self._word_of(plain, number, wanted.keys())
                    if word in wanted and wanted[word] not in found:
                        found[wanted[word]] = self._vector_of(plain, number)
        except FILE_ERRORS as error:
            raise TextEncoderError(unreadable(self._path, error)) from error
        if self._announced is not None and rows < self._announced:
            raise TextEncoderError(
                f"{self._path} is cut short: it holds {rows} of {self._announced} words; make or download it again"
            )
        return found

    def _word_of(self, line: bytes, number: int, wanted: AbstractSet[bytes]) -> bytes:
        spaces = line.count(b" ")
        if spaces == self.width:
            return line.partition(b" ")[0]
        # GloVe has words with spaces. But if a requested word has too many numbers, the line is damaged.
        first, *between = line.rsplit(b" ", self.width)[0].split(b" ")
        if spaces < self.width or (first in wanted and all(map(_is_number, between))):
            raise TextEncoderError(
                f"{self._path}, line {number}: {spaces} numbers but the first line has {self.width}; "
                "the file is damaged: make or download it again"
            )
        return b" ".join([first, *between])

    def _vector_of(self, line: bytes, number: int) -> NDArray[np.float32]:
        fields = line.rsplit(b" ", self.width)[1:]
        try:
            with np.errstate(over="ignore"):  # a number that is too large becomes infinite, and is refused
                vector = np.array([_number(field) for field in fields], np.float32)
        except ValueError:
            vector = np.full(self.width, np.nan, np.float32)
        if not np.isfinite(vector).all():
            raise TextEncoderError(
                f"{self._path}, line {number}: not all values are finite numbers; "
                "the file is damaged: make or download it again"
            )
        return vector


class BinaryVectors:
    """A file in word2vec's binary format; gensim reads it as a whole at the first `find`, and it stays in memory.

    Args:
        path: the file; gensim requires the ending .gz if it is gzipped.
        width: number W of values in a vector.
        announced: number of words according to the first line.

    Raises:
        TextEncoderError: a file that is shorter than announced, or gzipped but without the ending .gz.
    """

    form = "word2vec"

    def __init__(self, path: Path, width: int, *, announced: int) -> None:
        if _is_gzip(path):
            if path.suffix != ".gz":
                raise TextEncoderError(f"{path} is gzipped binary word2vec: rename it to {path.name}.gz")
        elif path.stat().st_size < announced * (4 * width + 2):  # at least one letter and one space before the numbers
            raise TextEncoderError(
                f"{path} is cut short: its first line announces {announced} words of {width} numbers; "
                "make or download it again"
            )
        self._path, self.width = path, width
        self._table: KeyedVectors | None = None

    def find(self, words: AbstractSet[str]) -> Vectors:
        """Return the vectors (W,) of those words that the file has; the first vector if a word occurs twice."""
        if self._table is None:
            self._table = _read_binary(self._path)
        found: Vectors = {word: self._table.get_vector(word) for word in words if word in self._table}
        for word, vector in found.items():
            if not np.isfinite(vector).all():
                raise TextEncoderError(
                    f"{self._path}: the vector of {word!r} has numbers that are not finite; "
                    "the file is damaged: make or download it again"
                )
        return found


def _read_binary(path: Path) -> "KeyedVectors":
    try:
        from gensim.models import KeyedVectors  # noqa: PLC0415 - takes a second
    except ImportError as error:
        raise TextEncoderError(
            f"{path} is a binary word2vec file, and gensim, which reads it, does not load ({error}): reinstall gensim, "
            "or give the vectors as text"
        ) from error
    try:
        # The original tool can cut a long word within a letter. One such word must not make the file unreadable.
        return KeyedVectors.load_word2vec_format(str(path), binary=True, unicode_errors="replace")
    except (*FILE_ERRORS, ValueError, AssertionError, MemoryError) as error:
        raise TextEncoderError(unreadable(path, error)) from error


def open_plain_or_gzip(path: Path) -> gzip.GzipFile | BufferedReader:
    """Open a file for reading; unpack it if it is gzipped."""
    return gzip.open(path, "rb") if _is_gzip(path) else path.open("rb")


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC


def _is_text(content: bytes) -> bool:
    if _CONTROL_CHARACTERS.search(content):
        return False
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return error.end == len(content)  # true if only the end of the sample cuts a letter
    return True


def _without_mark(line: bytes) -> bytes:
    """Remove the byte order mark that editors write at the beginning of a file."""
    return line.removeprefix(codecs.BOM_UTF8)


def _single_blanks(line: bytes) -> bytes:
    """Remove blanks around a line, as fastText prints them, and leave one blank where there are several, or a tab."""
    line = line.strip(_BLANKS)
    return _BLANK_RUNS.sub(b" ", line) if b"  " in line or b"\t" in line else line


def _numbers_at_the_end(line: bytes) -> int:
    """Count the numbers that follow the word at the start of a line."""
    fields = line.split(b" ")
    count = 0
    while count < len(fields) - 1 and _is_number(fields[-1 - count]):
        count += 1
    return count


def _is_number(field: bytes) -> bool:
    try:
        _number(field)
    except ValueError:
        return False
    return True


def _number(field: bytes) -> float:
    """Read a number. Python would also read `1_0`, as 10."""
    if b"_" in field:
        raise ValueError
    return float(field)


def unreadable(path: Path, error: BaseException) -> str:
    """Return the message for a file that cannot be read."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"{path} cannot be read ({reason}): check the file, or make or download it again"
