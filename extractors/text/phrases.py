"""Turn the name of a class into a phrase of plain words."""

import itertools
import re
import unicodedata


def phrase_of(class_name: str) -> str:
    """Return the words of a class name in lower case: `ApplyEyeMakeup` -> `apply eye makeup`.

    Underscores, hyphens and camel case separate words. A name with spaces consists of plain words already, so its
    capitals separate nothing (`iPhone ringing`). A name without a word gives an empty phrase.
    """
    return " ".join(words_of(class_name)).lower()


def words_of(class_name: str) -> list[str]:
    """Return the words of a class name without changing their case: `TaiChi2` -> `Tai`, `Chi`, `2`."""
    name = unicodedata.normalize("NFC", class_name)
    has_spaces = len(name.split()) > 1
    pieces = "".join(" " if _is_separator(character) else character for character in name).split()
    return pieces if has_spaces else [word for piece in pieces for word in _split_camel_case(piece)]


def _is_separator(character: str) -> bool:
    return character == "_" or unicodedata.category(character) == "Pd"


def _split_camel_case(piece: str) -> list[str]:
    """Split a name at its capitals: `CPRTraining` -> `CPR`, `Training`."""
    # One letter per character (upper, lower, digit, other), so that plain patterns work for every alphabet.
    kinds = "".join(map(_kind, piece))
    # Digits are separated from the word before them only in camel case: `TaiChi2`, but not `mp3`.
    pattern = r"(?<=[ld])(?=ul)|(?<=l)(?=u)|(?<=u)(?=ul)" + ("|(?<=l)(?=d)" if "ul" in kinds else "")
    bounds = [0, *(match.start() for match in re.finditer(pattern, kinds)), len(piece)]
    return [piece[start:end] for start, end in itertools.pairwise(bounds)]


def _kind(character: str) -> str:
    if character.lower() != character:
        return "u"
    if character.islower():
        return "l"
    return "d" if character.isdigit() else "o"
