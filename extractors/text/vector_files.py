"""Load text encoders from files: word vectors (word2vec, GloVe) or one vector per class name (the benchmark's .npy)."""

import string
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from extractors.errors import NoVectorError, TextEncoderError, TextSpecError
from extractors.files.checksums import cached_sha256
from extractors.files.safe_pickle import NPY_MAGIC, PickleRefusedError, load_npy
from extractors.text.encoder import TextEncoder
from extractors.text.fasttext import FASTTEXT_MAGIC, HEADER_BYTES, FastText, is_old_fasttext
from extractors.text.phrases import phrase_of, words_of
from extractors.text.spec import ANY_FILE, TextSpec
from extractors.text.unit_vectors import REMEDY, unit_vectors
from extractors.text.word_vectors import (
    FILE_ERRORS,
    Vectors,
    WordVectorFile,
    open_plain_or_gzip,
    open_word_vectors,
    unreadable,
)

# Words that some files do not have (Google's word2vec has no "of"). A phrase means almost the same without them.
_FUNCTION_WORDS = frozenset(("a", "an", "and", "at", "by", "for", "from", "in", "of", "on", "or", "the", "to", "with"))


def load_vectors(path: Path, *, form: str = ANY_FILE, cache_dir: Path | None = None) -> TextEncoder:
    """Load the text encoder that a file of vectors makes; find out the format from the content.

    Args:
        path: the file.
        form: fasttext, word2vec or glove if the user named the format; `file` for any format.
        cache_dir: folder for the checksums of large files; None to cache nothing.

    Raises:
        TextSpecError: a file of another format than requested, or a .npy file that is not a dict of vectors.
        TextEncoderError: a file that is empty, damaged or of an unknown format.
    """
    try:
        sha256 = cached_sha256(path, cache_dir)
    except OSError as error:
        raise TextEncoderError(unreadable(path, error)) from error
    identity = {"encoder": "vectors", "sha256": sha256}
    start = _first_bytes(path)
    if start.startswith(NPY_MAGIC):
        _check_form(path, form, "file")
        return NamedVectors(path, _read_named(path), identity)
    if start.startswith(FASTTEXT_MAGIC) or is_old_fasttext(start):
        _check_form(path, form, "fasttext")
        return FastText(path, {"encoder": "fasttext", "sha256": sha256})
    vectors = open_word_vectors(path)
    _check_form(path, form, vectors.form)
    return WordVectors(path, vectors, identity)


def _first_bytes(path: Path) -> bytes:
    try:
        with open_plain_or_gzip(path) as file:
            start = file.read(HEADER_BYTES)
        with path.open("rb") as file:
            gzipped = file.read(len(start)) != start
    except FILE_ERRORS as error:
        raise TextEncoderError(unreadable(path, error)) from error
    if gzipped and start.startswith((NPY_MAGIC, FASTTEXT_MAGIC)):
        raise TextEncoderError(f"{path} is gzipped: unpack it first (gunzip {path.name})")
    return start


def _check_form(path: Path, requested: str, found: str) -> None:
    """Refuse a file of another format than the user named."""
    if requested not in {ANY_FILE, found}:
        named = "a .npy file" if found == ANY_FILE else f"a {found} file"
        raise TextSpecError(f"{path} is {named}, not {requested}: give {TextSpec(found, str(path))}")


class WordVectors:
    """Looks up the vectors of phrases: the entry of the whole phrase if the file has one, or the mean of its words.

    Spellings are tried in this order: as given, in lower case, capitalised (`New_York`), in capitals (`TV`). The words
    of an entry may be joined by spaces or underscores. Function words that the file lacks are left out of the mean.

    Args:
        path: path of the file, for messages.
        vectors: the word vectors of the file.
        identity: identity of the encoder.
    """

    def __init__(self, path: Path, vectors: WordVectorFile, identity: Mapping[str, str]) -> None:
        self._name, self._vectors, self.identity = path.name, vectors, identity
        self.width = vectors.width

    def encode(self, phrases: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors (C, W) of C phrases, in the same order, each of length 1.

        Raises:
            NoVectorError: phrases without a vector; the message names all of them and the missing words.
            TextEncoderError: a damaged file.
        """
        words = {phrase: [bare for word in words_of(phrase) if (bare := _bare(word))] for phrase in phrases}
        phrase_spellings = {phrase: _spellings_of_phrase(phrase, words[phrase]) for phrase in phrases}
        word_spellings = {word: _spellings_of_word(word) for word in chain(*words.values())}
        found = self._vectors.find(set(chain(*phrase_spellings.values(), *word_spellings.values())))
        by_word = {
            word: vector
            for word, spellings in word_spellings.items()
            if (vector := _first_of(spellings, found)) is not None
        }
        vectors, missing = {}, {}
        for phrase in phrases:
            entry = _first_of(phrase_spellings[phrase], found)
            known = [by_word[word] for word in words[phrase] if word in by_word]
            unknown = [word for word in words[phrase] if word not in by_word and word.lower() not in _FUNCTION_WORDS]
            if entry is None and (unknown or not known):
                missing[phrase] = unknown
            else:
                vectors[phrase] = np.mean(known, axis=0) if entry is None else entry
        if missing:
            raise _no_vector(self._name, missing)
        return unit_vectors([vectors[phrase] for phrase in phrases], phrases, self.width, self._name)


class NamedVectors:
    """Looks up vectors of class names: first by the exact name, then by its phrase, then by its letters alone.

    `HandStandPushups` finds `Handstand Pushups`. Names that differ only in such ways are found by exact name only.

    Args:
        path: path of the file, for messages.
        vectors: vector (W,) of each name.
        identity: identity of the encoder.
    """

    def __init__(self, path: Path, vectors: Mapping[str, NDArray[np.float32]], identity: Mapping[str, str]) -> None:
        self._name, self._vectors, self.identity = path.name, vectors, identity
        self.width = len(next(iter(vectors.values())))
        self._by_phrase = _unambiguous({name: phrase_of(name) for name in vectors})
        self._by_letters = _unambiguous({name: _letters_of(name) for name in vectors})

    def encode(self, phrases: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors (C, W) of C class names or phrases, in the same order, each of length 1.

        Raises:
            NoVectorError: names without a vector; the message names all of them.
        """
        names = {phrase: self._name_of(phrase) for phrase in phrases}
        missing: dict[str, list[str]] = {phrase: [] for phrase, name in names.items() if name is None}
        if missing:
            raise _no_vector(self._name, missing)
        rows = [self._vectors[name] for phrase in phrases if (name := names[phrase]) is not None]
        return unit_vectors(rows, phrases, self.width, self._name)

    def _name_of(self, phrase: str) -> str | None:
        if phrase in self._vectors:
            return phrase
        return self._by_phrase.get(phrase_of(phrase)) or self._by_letters.get(_letters_of(phrase))


def _read_named(path: Path) -> dict[str, NDArray[np.float32]]:
    """Read a .npy file that holds a dict of names and vectors."""
    try:
        stored = load_npy(path)
    except PickleRefusedError as error:
        raise TextSpecError(f"{path} is refused: {error}") from error
    if not isinstance(stored, dict) or not stored:
        raise TextSpecError(f"{path} contains no vectors: expected a dict of class names and vectors from numpy.save")
    return {_checked_name(path, name): _checked_vector(path, name, vector, stored) for name, vector in stored.items()}


def _checked_name(path: Path, name: object) -> str:
    if not isinstance(name, str):
        raise TextSpecError(f"{path}: the key {name!r} is not a class name: expected a dict of class names and vectors")
    return name


def _checked_vector(path: Path, name: str, vector: object, stored: Mapping[Any, Any]) -> NDArray[np.float32]:
    first = next(iter(stored.values()))
    if not isinstance(vector, np.ndarray) or vector.ndim != 1 or vector.dtype.kind not in "fiu" or not vector.size:
        raise TextSpecError(f"{path}: the value of {name!r} is not a vector: expected one array of numbers per name")
    if vector.shape != first.shape:  # the first one was checked first
        raise TextSpecError(
            f"{path}: the vector of {name!r} has {vector.size} numbers but the first has {first.size}: "
            "make the file again"
        )
    with np.errstate(over="ignore"):  # a number beyond float32 becomes infinite
        numbers = vector.astype(np.float32)
    if not np.isfinite(numbers).all():
        raise TextSpecError(
            f"{path}: the vector of {name!r} has numbers that are not finite in float32: make the file again"
        )
    return numbers


def _first_of(spellings: Sequence[str], found: Vectors) -> NDArray[np.float32] | None:
    return next((found[spelling] for spelling in spellings if spelling in found), None)


def _spellings_of_phrase(phrase: str, words: Sequence[str]) -> list[str]:
    cased = [[phrase.strip()], words, *([change(word) for word in words] for change in (str.lower, str.capitalize))]
    return [joint.join(spelled) for spelled in cased for joint in (" ", "_") if spelled]


def _spellings_of_word(word: str) -> list[str]:
    return [word, word.lower(), word.capitalize(), word.upper()]


def _bare(word: str) -> str:
    """Remove the punctuation around a word: `sounds,` -> `sounds`."""
    return word.strip(string.punctuation)


def _letters_of(name: str) -> str:
    return "".join(character for character in phrase_of(name).casefold() if character.isalnum())


def _unambiguous(forms: Mapping[str, str]) -> dict[str, str]:
    """Map each form to its name, without the forms that several names share."""
    names: dict[str, list[str]] = {}
    for name, form in forms.items():
        names.setdefault(form, []).append(name)
    return {form: names_of_form[0] for form, names_of_form in names.items() if form and len(names_of_form) == 1}


def _no_vector(file: str, missing: Mapping[str, Sequence[str]]) -> NoVectorError:
    named = (repr(phrase) + (f" ({', '.join(words)})" if words else "") for phrase, words in missing.items())
    return NoVectorError(f"{file} has no vector for {'; '.join(named)}: {REMEDY}", missing)
