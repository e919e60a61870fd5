"""Class name -> vector: the interface of text encoders, how one is chosen, and how a name becomes a phrase."""

import difflib
import itertools
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from extractors.errors import TextEncoderError


class TextEncoder(Protocol):
    """Turns phrases into unit vectors.

    Attributes:
        identity: plain texts, `encoder` and `sha256` among them; encoders of equal identity give equal vectors.
        width: W, numbers in a vector.
    """

    @property
    def identity(self) -> Mapping[str, str]: ...  # noqa: D102 - described above

    @property
    def width(self) -> int: ...  # noqa: D102 - described above

    def encode(self, phrases: Sequence[str]) -> NDArray[np.float32]:
        """Vectors (C, W) of C phrases, in their order, each of length 1.

        Raises:
            TextEncoderError: names every phrase that has no vector.
        """
        ...


def _minilm() -> TextEncoder:
    from extractors.text_minilm import MiniLM  # noqa: PLC0415 - torch and transformers take seconds to import

    return MiniLM()


_ENCODERS: Mapping[str, Callable[[], TextEncoder]] = {"minilm": _minilm}


def load_text_encoder(spec: str) -> TextEncoder:
    """The text encoder of that name, or the one a file of vectors makes; a name goes before a file of that name.

    Args:
        spec: `minilm`, or the path of a file: word2vec (text or binary), GloVe, or the benchmark's .npy.

    Raises:
        TextEncoderError: neither a name nor a file, or the file is damaged or of another format.
    """
    if spec in _ENCODERS:
        return _ENCODERS[spec]()
    path = Path(spec)
    if path.is_file():
        from extractors.text_vectors import load_vectors  # noqa: PLC0415 - only for those who bring a file

        return load_vectors(path)
    if path.is_dir():
        raise TextEncoderError(f"{spec} is a folder: give the file of vectors in it")
    close = difflib.get_close_matches(spec, _ENCODERS, n=1)
    remedy = f"did you mean {close[0]}?" if close else "give the path of a word2vec, GloVe or .npy file of vectors"
    names = ", ".join(sorted(_ENCODERS))
    raise TextEncoderError(f"{spec!r} is neither a text encoder ({names}) nor a file that exists: {remedy}")


def phrase_of(class_name: str) -> str:
    """The words of a class name, in lower case: `ApplyEyeMakeup` -> `apply eye makeup`.

    Underscores, hyphens and camel case part words. A name that has spaces is in plain words already, so its capitals
    part nothing (`iPhone ringing`). A name without a word gives an empty phrase.
    """
    return " ".join(words_of(class_name)).lower()


def words_of(class_name: str) -> list[str]:
    """The words of a class name in the case they were written in: `TaiChi2` -> `Tai`, `Chi`, `2`."""
    name = unicodedata.normalize("NFC", class_name)
    plain = len(name.split()) > 1
    parts = "".join(" " if _is_separator(character) else character for character in name).split()
    return parts if plain else [word for part in parts for word in _split_camel_case(part)]


def _is_separator(character: str) -> bool:
    return character == "_" or unicodedata.category(character) == "Pd"


def _split_camel_case(part: str) -> list[str]:
    """`CPRTraining` -> `CPR`, `Training`."""
    # A letter a character (upper, lower, digit, other) lets plain patterns work on every alphabet.
    kinds = "".join(map(_kind, part))
    # Digits part from the word before them in camel case only: `TaiChi2`, but not `mp3`.
    pattern = r"(?<=[ld])(?=ul)|(?<=l)(?=u)|(?<=u)(?=ul)" + ("|(?<=l)(?=d)" if "ul" in kinds else "")
    bounds = [0, *(match.start() for match in re.finditer(pattern, kinds)), len(part)]
    return [part[start:end] for start, end in itertools.pairwise(bounds)]


def _kind(character: str) -> str:
    if character.lower() != character:
        return "u"
    if character.islower():
        return "l"
    return "d" if character.isdigit() else "o"
