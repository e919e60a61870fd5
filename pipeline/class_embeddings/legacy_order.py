"""The order of class embeddings that the AVCA, TCaF and ClipClap code uses by mistake, on request.

On UCF, ActivityNet and VGGSound, AVCA and TCaF give 79 of 101, 8 of 200 and 205 of 309 classes a wrong vector; ClipClap
0, 8 and 205.

That code sorts the vectors by phrase, but looks them up by the position of the sorted class names. So many classes get
the vector of another class (see pipeline/avgzsl_benchmark/README.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from extractors.text.templates import Templates
from pipeline.base.progress import Reporter
from pipeline.base.workspace import Workspace
from pipeline.class_embeddings.embed import ClassEmbeddings, encode_phrases
from pipeline.datasets.dataset import Dataset, read_phrases
from pipeline.datasets.phrases import Phrases, phrases_of_name, phrases_text
from pipeline.settings.training import LegacyOrder

_CODE: Mapping[LegacyOrder, str] = {"off": "", "avca": "AVCA and TCaF", "clipclap": "ClipClap"}
_OF_UCF = frozenset(("applyeyemakeup", "handstandpushups", "yoyo"))  # classes that only UCF has


def legacy_phrases(phrases: Mapping[str, Phrases], order: LegacyOrder = "avca") -> dict[str, Phrases]:
    """Give each class the phrases whose vector the published code uses for it.

    The published code has one phrase per class. If a class has several phrases, they are sorted and moved together.

    Args:
        phrases: class name -> its own phrases, for all classes of the benchmark, since each class shifts the order.
        order: whose code is repeated. The ClipClap code names the classes of UCF anew, by the words of the class name.
            These names are in the order of the classes, so that each class gets its own vector there.
    """
    if order == "clipclap" and {name.casefold() for name in phrases} >= _OF_UCF:
        moved = sorted(phrases, key=lambda name: phrases_text(phrases_of_name(name)))
        return {name: phrases[of] for name, of in zip(sorted(phrases), moved, strict=True)}
    return dict(zip(sorted(phrases), sorted(phrases.values(), key=phrases_text), strict=True))


def in_legacy_order(
    embeddings: ClassEmbeddings, names: Sequence[str], given_phrases: Mapping[str, Phrases]
) -> ClassEmbeddings:
    """Replace the vectors (C, W) of classes by those of other phrases.

    Args:
        embeddings: the embeddings of the classes' own phrases.
        names: the names of C classes.
        given_phrases: class name -> phrases, from `legacy_phrases`.

    Raises:
        UsageError: a phrase has no vector.
        PipelineError: the encoder cannot be loaded.
    """
    given = tuple(given_phrases[name] for name in names)
    vector_of = dict(zip(embeddings.phrases, embeddings.vectors, strict=True))
    others = [phrases for phrases in given if phrases not in vector_of]
    if others:  # phrases of classes that have no videos here
        made = encode_phrases(embeddings.spec, others, Templates.from_identity(embeddings.encoder))
        vector_of |= dict(zip(others, made.vectors, strict=True))
    vectors = np.stack([vector_of[phrases] for phrases in given])
    return replace(embeddings, vectors=vectors, phrases=given)


def embed_in_legacy_order(
    workspace: Workspace, dataset: Dataset, embeddings: ClassEmbeddings, order: LegacyOrder, reporter: Reporter
) -> ClassEmbeddings:
    """Give the dataset's classes the vectors that published code would give them.

    Args:
        workspace: the workspace of the dataset.
        dataset: the dataset.
        embeddings: the embeddings of the classes' own phrases.
        order: whose code is repeated.
        reporter: receives a warning with the number of classes that get a wrong vector.
    """
    # Classes without videos count too: the UCF code sorts all 101 names, of which its splits use 51.
    listed = read_phrases(workspace.dataset_folder / "classes.csv")
    own = {name: phrases or phrases_of_name(name) for name, phrases in listed.items()} | dict(dataset.phrases)
    given = legacy_phrases(own, order)
    wrong = sum(given[name] != phrases for name, phrases in own.items())
    reporter.warn(
        f"legacy class order: {wrong} of {len(own)} classes get another class's vector, as in the {_CODE[order]} code "
        "(text.legacy_class_order)"
    )
    return in_legacy_order(embeddings, dataset.classes, given)
