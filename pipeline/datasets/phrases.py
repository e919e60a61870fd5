"""The phrases that describe a class. Inside the program they are a tuple; in files and options, `|` separates them."""

import unicodedata
from collections.abc import Iterable

from extractors.text.phrases import phrase_of

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
