"""The phrases that describe a class: one text, in which `|` stands between several."""

from collections.abc import Iterable

from extractors.text.phrases import phrase_of

SEPARATOR = "|"


def phrases_in(text: str) -> tuple[str, ...]:
    """The phrases of a class, each once: `dog barking | a dog barks` -> two. A text without any gives none."""
    parts = (part.strip() for part in text.split(SEPARATOR))
    return tuple(dict.fromkeys(part for part in parts if part))


def joined(phrases: Iterable[str]) -> str:
    """Phrases as one text."""
    return f" {SEPARATOR} ".join(phrases)


def phrases_of_name(name: str) -> str:
    """The text of a class that is given by names: `DogBarking|a dog barks` -> `dog barking | a dog barks`."""
    return joined(dict.fromkeys(phrase for part in phrases_in(name) if (phrase := phrase_of(part))))


def reads_as(text: str) -> str:
    """Equal for texts that mean the same class: the order of the phrases, case and spaces do not count."""
    return joined(sorted({" ".join(phrase.lower().split()) for phrase in phrases_in(text)}))
