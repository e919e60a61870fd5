"""Class name -> vector: the interface of text encoders, how one is chosen, and how a name becomes a phrase."""

import itertools
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from extractors.errors import NoVectorError
from extractors.text.spec import CLIP, MINILM, parse_text_spec


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
            NoVectorError: names every phrase that has no vector.
        """
        ...


def load_text_encoder(spec: str, *, cache_dir: Path | None = None) -> TextEncoder:
    """The text encoder that `spec` names.

    Args:
        spec: `minilm`; the path of a file of vectors, alone or behind `fasttext:`, `word2vec:`, `glove:` or `file:`
            (any format); `clip:` and a folder or the name of a model on the hub.
        cache_dir: where models from the hub are kept, and the checksums of large files; None: models where
            huggingface_hub keeps them, checksums nowhere.

    Raises:
        TextSpecError: neither a name nor a file.
        TextEncoderError: the file is damaged or of another format, or a model is not here and cannot be fetched.
    """
    chosen = parse_text_spec(spec)
    # Imported late: torch and transformers take seconds, and a file of vectors needs neither.
    if chosen.kind == MINILM:
        from extractors.text.minilm import MiniLM  # noqa: PLC0415 - as above

        return MiniLM()
    if chosen.kind == CLIP:
        from extractors.text.clip import load_clip  # noqa: PLC0415 - as above

        return load_clip(chosen, cache_dir)
    from extractors.text.vector_files import load_vectors  # noqa: PLC0415 - as above

    return load_vectors(Path(chosen.place).expanduser(), form=chosen.kind, cache_dir=cache_dir)


def refuse_blank(phrases: Sequence[str]) -> None:
    """A phrase without a letter has no meaning, whatever an encoder would make of it.

    Raises:
        NoVectorError: names every such phrase.
    """
    blank: dict[str, list[str]] = {phrase: [] for phrase in phrases if not phrase.strip()}
    if blank:
        named = ", ".join(map(repr, blank))
        raise NoVectorError(f"no vector for {named}: a class needs a phrase with at least one word", blank)


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
