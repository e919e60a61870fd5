"""The order of class embeddings that the published AVCA, TCaF and ClipClap code uses by mistake, on request."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from pipeline.class_embeddings.embed import ClassEmbeddings, encode_phrases


def legacy_phrases(phrases: Mapping[str, str]) -> dict[str, str]:
    """Class name -> the phrase whose vector the benchmark's public code gives it (benchmark.md, its fault).

    That code sorts the vectors by phrase, and takes them by the places of the sorted class names. It knows one phrase a
    class; here a class's phrases are sorted and given away together, as one text.

    Args:
        phrases: class name -> its own phrase, for all classes of the benchmark: each shifts those behind it.
    """
    return dict(zip(sorted(phrases), sorted(phrases.values()), strict=True))


def in_legacy_order(
    embeddings: ClassEmbeddings, names: Sequence[str], given_phrases: Mapping[str, str]
) -> ClassEmbeddings:
    """Embeddings (C, W) of the phrases that some classes are given instead of their own.

    Args:
        embeddings: of the classes' own phrases.
        names: C classes.
        given_phrases: class name -> phrase, as `legacy_phrases` makes them.

    Raises:
        UsageError: a phrase has no vector.
        PipelineError: the encoder cannot be loaded.
    """
    given = tuple(given_phrases[name] for name in names)
    vector_of = dict(zip(embeddings.phrases, embeddings.vectors, strict=True))
    others = [phrase for phrase in given if phrase not in vector_of]
    if others:  # phrases of classes that have no videos here
        vector_of |= dict(zip(others, encode_phrases(embeddings.spec, others).vectors, strict=True))
    vectors = np.stack([vector_of[phrase] for phrase in given])
    return replace(embeddings, vectors=vectors, phrases=given)
