"""Recognise a new class name that means a trained class. README.md says how the rule was measured.

Legend: N new names, C classes of the model, W width of a class vector.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.class_embeddings.neighbours import NEARLY_THE_SAME
from pipeline.datasets.phrases import Phrases, phrases_of_name
from pipeline.training.trained_model import ModelClass

_LEAST_COSINE = 0.75  # the same words in other forms: "a cat purrs" has 0.78; "staring" and "star" have 0.31
_USUAL = 0.9  # quantile of the cosines of the classes to their nearest other class
_CLOSE = 0.9  # cosine that no two classes of one list reach; a name so near is favoured as the trained class is
_FUNCTION_WORDS = frozenset(
    [
        *("a", "an", "the", "some", "one", "this", "that", "these", "those"),
        *("my", "your", "his", "her", "its", "our", "their", "somebody", "someone", "there", "it"),
        *("is", "are", "was", "were", "be", "being", "been", "there's", "it's", "that's"),
    ]
)
# "a video of a dog barking" and "dog barking video" mean dog barking: the forms of the usual prompts and searches.
_RECORDING = "(video|clip|film|footage|photo|picture|image|recording|sound|audio|noise)s?"
_CARRIER = re.compile(rf"^(an? |the |some |this |that )?{_RECORDING} of | {_RECORDING}$", re.IGNORECASE)
_ENDINGS = ("ing", "ed", "es", "s")
_PUNCTUATION = ".,;:!?'\"()"


@dataclass(frozen=True)
class Resemblance:
    """The trained class that a new name resembles."""

    index: int  # of the class in the model
    cosine: float
    same: bool  # whether the name means this class; otherwise it is only nearer than usual
    close: bool  # whether the name is so near that the network favours it as it favours this class


def resemblances(
    phrases: Sequence[Phrases],
    vectors: NDArray[np.float32],
    classes: Sequence[ModelClass],
    class_vectors: NDArray[np.float32],
) -> list[Resemblance | None]:
    """Compare new names with the classes of a model.

    A name means a trained class if its words are the same, apart from articles, auxiliary verbs, endings and a
    beginning such as `a video of`. It also does if its vector is nearer than those of different classes ever are.
    Anything else remains a new class.

    Args:
        phrases: the phrases of N new names.
        vectors: (N, W), their unit vectors.
        classes: the C classes of the model.
        class_vectors: (C, W), their unit vectors.

    Returns:
        For each name the trained class that it resembles; None if it resembles none.
    """
    if not len(phrases) or not classes:
        return [None] * len(phrases)
    between = class_vectors @ class_vectors.T
    np.fill_diagonal(between, -1.0)
    nearest_others = between.max(axis=1)
    equal = max(NEARLY_THE_SAME, float(nearest_others.max()))
    usual = float(np.quantile(nearest_others, _USUAL))
    words = [_words((*entry.phrases, *phrases_of_name(entry.name))) for entry in classes]
    found: list[Resemblance | None] = []
    for of_name, cosines in zip(phrases, vectors @ class_vectors.T, strict=True):
        nearest = int(np.argmax(cosines))
        own = _words(of_name)
        alike = [index for index, of_class in enumerate(words) if own & of_class and cosines[index] >= _LEAST_COSINE]
        index = max(alike, key=lambda each: cosines[each]) if alike else nearest
        cosine = float(cosines[index])
        same = bool(alike) or cosine > equal
        near = same or (len(classes) > 1 and cosine > usual)
        close = cosine > max(_CLOSE, float(nearest_others.max()))
        found.append(Resemblance(index, cosine, same, close) if near and classes[index].seen else None)
    return found


def _words(phrases: Phrases) -> set[tuple[str, ...]]:
    """Reduce each phrase to its content words without endings.

    `a dog barks`, `dog barking` and `a video of a dog barking` give the same.
    """
    reduced = {
        tuple(
            _stem(word)
            for word in _CARRIER.sub("", phrase).lower().split()
            if word.strip(_PUNCTUATION) not in _FUNCTION_WORDS
        )
        for phrase in phrases
    }
    return {words for words in reduced if words}


def _stem(word: str) -> str:
    """Remove the ending of an English word, roughly: `bounces`, `bouncing` and `bounce` give the same."""
    word = word.strip(_PUNCTUATION)
    for ending in _ENDINGS:
        stem = word.removesuffix(ending)
        if stem != word and len(stem) > 1 and re.search("[aeiouy]", stem) and not word.endswith("ss"):
            word = stem
            break
    if word.endswith("e") and len(word) > 3:
        word = word[:-1]
    if word.endswith("i"):
        word = word[:-1] + "y"  # cries
    return word[:-1] if len(word) > 2 and word[-1] == word[-2] else word
