"""What class vectors say about classes: which are near each other, which nearly the same, which have none."""

from collections.abc import Mapping
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

NEARLY_THE_SAME = 0.95  # cosine similarity from which two classes can hardly be told apart


@dataclass(frozen=True)
class Neighbour:
    """A class and how near it is."""

    name: str
    cosine: float


@dataclass(frozen=True)
class EmbeddedClass:
    """A class, what describes it, and the classes nearest to it, nearest first."""

    name: str
    phrases: Phrases
    nearest: tuple[Neighbour, ...]


@dataclass(frozen=True)
class EmbeddingTable:
    """Classes by one text encoder."""

    spec: str
    encoder: Mapping[str, str]  # identity
    width: int
    classes: tuple[EmbeddedClass, ...]  # those with a vector
    without_vector: Mapping[str, Mapping[str, tuple[str, ...]]]  # class -> its phrases without one -> unknown words
    alike: tuple[tuple[str, str, float], ...]  # pairs and their cosine similarity, most alike first

    def to_json(self) -> dict[str, Any]:
        """The document of `embed --json`."""
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
        neighbours: how many of the nearest classes to list for each.

    Raises:
        UsageError: no such text encoder, or a class's phrases cancel each other.
        PipelineError: the text encoder cannot be loaded.
    """
    encoder = load_encoder(spec)
    missing = _without_vector(encoder, phrases)
    embedded = {name: several for name, several in phrases.items() if name not in missing}
    vectors = encode_classes(encoder, list(embedded.values()))
    cosines = vectors @ vectors.T  # (C, C)
    return EmbeddingTable(
        spec=str(spec),
        encoder=dict(encoder.identity),
        width=encoder.width,
        classes=_with_neighbours(embedded, cosines, neighbours),
        without_vector=missing,
        alike=_alike(list(embedded), cosines),
    )


def _without_vector(encoder: TextEncoder, phrases: Mapping[str, Phrases]) -> dict[str, dict[str, tuple[str, ...]]]:
    """The classes of which a phrase has no vector, those phrases, and the unknown words of each."""
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
    for place, (name, several) in enumerate(phrases.items()):
        order = [other for other in np.argsort(-cosines[place], kind="stable") if other != place][:neighbours]
        nearest = tuple(Neighbour(names[other], float(cosines[place, other])) for other in order)
        entries.append(EmbeddedClass(name, several, nearest))
    return tuple(entries)


def _alike(names: list[str], cosines: NDArray[np.float32]) -> tuple[tuple[str, str, float], ...]:
    firsts, seconds = np.nonzero(np.triu(cosines > NEARLY_THE_SAME, k=1))
    pairs = [(names[a], names[b], float(cosines[a, b])) for a, b in zip(firsts, seconds, strict=True)]
    return tuple(sorted(pairs, key=lambda pair: -pair[2]))
