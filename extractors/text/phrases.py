"""From the name of a class to a phrase in plain words."""

import itertools
import re
import unicodedata


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
