"""Compare class vectors: the nearest classes of each class, nearly equal classes, classes without a vector."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from extractors.errors import NoVectorError, TextEncoderError
from extractors.text.encoder import TextEncoder
from extractors.text.spec import TextSpec
from pipeline.base.errors import PipelineError
from pipeline.class_embeddings.embed import encode_classes, load_encoder
from pipeline.datasets.phrases import Phrases

NEARLY_THE_SAME = 0.95  # cosine similarity above which two classes can hardly be distinguished
THE_SAME = 0.999999  # only rounding separates the vectors
_CLASSES_AT_ONCE = 1024


@dataclass(frozen=True)
class Neighbour:
    """A class and its cosine similarity to another class."""

    name: str
    cosine: float


@dataclass(frozen=True)
class EmbeddedClass:
    """A class, its phrases, and its nearest classes, the nearest first."""

    name: str
    phrases: Phrases
    nearest: tuple[Neighbour, ...]


@dataclass(frozen=True)
class EmbeddingTable:
    """The vectors of classes by one text encoder, compared with each other."""

    spec: str
    encoder: Mapping[str, str]  # identity of the text encoder
    width: int
    classes: tuple[EmbeddedClass, ...]  # the classes with a vector
    without_vector: Mapping[str, Mapping[str, tuple[str, ...]]]  # class -> phrase without a vector -> unknown words
    alike: tuple[tuple[str, str, float], ...]  # pairs of classes and their cosine similarity, the most similar first

    def to_json(self) -> dict[str, Any]:
        """Convert the table to the document of `embed --json`."""
        return {
            "text": self.spec,
            "encoder": dict(self.encoder),
            "width": self.width,
            "classes": [
                {
                    "class": entry.name,
                    "phrases": list(entry.phrases),
                    "nearest": [{"class": near.name, "cosine": near.cosine} for near in entry.nearest],
                }
                for entry in self.classes
            ],
            "without_vector": self.without_vector,
            "alike": [{"classes": [first, second], "cosine": cosine} for first, second, cosine in self.alike],
        }


def embedding_table(spec: TextSpec, phrases: Mapping[str, Phrases], *, neighbours: int) -> EmbeddingTable:
    """Embed classes and compare each with all others.

    Args:
        spec: the text encoder.
        phrases: class name -> its phrases.
        neighbours: number of nearest classes to list for each class.

    Raises:
        UsageError: the text encoder does not exist, or the vectors of a class cancel each other.
        PipelineError: the text encoder cannot be loaded.
    """
    encoder = load_encoder(spec)
    missing = _without_vector(encoder, phrases)
    embedded = {name: of_class for name, of_class in phrases.items() if name not in missing}
    vectors = encode_classes(encoder, list(embedded.values()))
    cosines = vectors @ vectors.T  # (C, C)
    return EmbeddingTable(
        spec=str(spec),
        encoder=dict(encoder.identity),
        width=encoder.width,
        classes=_with_neighbours(embedded, cosines, neighbours),
        without_vector=missing,
        alike=alike_classes(list(embedded), vectors),
    )


def _without_vector(encoder: TextEncoder, phrases: Mapping[str, Phrases]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Find the classes with a phrase that has no vector: class -> phrase -> its unknown words."""
    try:
        encoder.encode(list(dict.fromkeys(chain(*phrases.values()))))
    except NoVectorError as error:
        unknown = {phrase: tuple(words) for phrase, words in error.missing.items()}
        by_class = {name: [phrase for phrase in of_class if phrase in unknown] for name, of_class in phrases.items()}
        return {name: {phrase: unknown[phrase] for phrase in lacking} for name, lacking in by_class.items() if lacking}
    except TextEncoderError as error:
        raise PipelineError(str(error)) from error
    return {}


def _with_neighbours(
    phrases: Mapping[str, Phrases], cosines: NDArray[np.float32], neighbours: int
) -> tuple[EmbeddedClass, ...]:
    names = list(phrases)
    entries = []
    for index, (name, of_class) in enumerate(phrases.items()):
        order = [other for other in np.argsort(-cosines[index], kind="stable") if other != index][:neighbours]
        nearest = tuple(Neighbour(names[other], float(cosines[index, other])) for other in order)
        entries.append(EmbeddedClass(name, of_class, nearest))
    return tuple(entries)


def alike_classes(
    names: Sequence[str], vectors: NDArray[np.float32], least: float = NEARLY_THE_SAME
) -> tuple[tuple[str, str, float], ...]:
    """Find classes that can hardly be distinguished.

    Args:
        names: names of C classes.
        vectors: (C, W) their unit vectors.
        least: cosine similarity above which two classes are alike.

    Returns:
        Pairs of names and their cosine similarity, the most similar first.
    """
    pairs = []
    for start in range(0, len(names), _CLASSES_AT_ONCE):  # 20,000 names would give a matrix of gigabytes
        cosines = vectors[start : start + _CLASSES_AT_ONCE] @ vectors[start:].T
        firsts, seconds = np.nonzero(np.triu(cosines > least, k=1))
        indices = zip(firsts.tolist(), seconds.tolist(), strict=True)
        pairs += [(names[start + a], names[start + b], float(cosines[a, b])) for a, b in indices]
    return tuple(sorted(pairs, key=lambda pair: -pair[2]))
