"""The phrases that describe a class. Inside the program they are a tuple; in files and options, `|` separates them."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping

from extractors.text.phrases import phrase_of
from pipeline.base.errors import UsageError

Phrases = tuple[str, ...]

_SEPARATOR = "|"


def parse_phrases(text: str) -> Phrases:
    """Split a text at `|` into phrases, each once: `dog barking | a dog barks` gives two.

    Returns:
        The phrases without spaces around them; none if the text has only spaces and separators.
    """
    phrases = (phrase.strip() for phrase in text.split(_SEPARATOR))
    return tuple(dict.fromkeys(phrase for phrase in phrases if phrase))


def phrases_text(phrases: Iterable[str]) -> str:
    """Join phrases into the text that files hold; `parse_phrases` reads it."""
    return f" {_SEPARATOR} ".join(phrases)


def phrases_of_name(name: str) -> Phrases:
    """Make phrases from the name of a class: `DogBarking|a dog_barks` gives `dog barking` and `a dog barks`."""
    return tuple(dict.fromkeys(phrase for text in parse_phrases(name) if (phrase := phrase_of(text))))


def comparable_phrases(phrases: Iterable[str]) -> Phrases:
    """Normalise phrases so that equal results mean the same class: order, case and spaces do not count."""
    return tuple(sorted({" ".join(unicodedata.normalize("NFC", phrase).lower().split()) for phrase in phrases}))


def refuse_equal_phrases(phrases: Mapping[str, Phrases]) -> None:
    """Refuse classes with the same phrases: they would have the same embedding and could not be distinguished.

    Raises:
        UsageError: such classes, or a class whose name has no letters.
    """
    for name, several in phrases.items():
        if not any(phrase.strip() for phrase in several):
            raise UsageError(
                f"class {name!r} has no letters to make a phrase from: rename it, or give its phrase in classes.csv"
            )
    compared = {name: comparable_phrases(several) for name, several in phrases.items()}
    for same, count in Counter(compared.values()).items():
        if count > 1:
            names = ", ".join(repr(name) for name in phrases if compared[name] == same)
            raise UsageError(
                f"duplicate class names: {names} all have the phrase {phrases_text(same)!r}. "
                "Rename one, or give them phrases in classes.csv"
            )
