"""Class names -> vectors, kept in the workspace so that an encoder is loaded only when names or encoder change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from extractors.errors import TextEncoderError
from extractors.text import TextEncoder, load_text_encoder
from pipeline.errors import PipelineError, UsageError
from pipeline.files import fingerprint
from pipeline.hdf5_files import new_hdf5
from pipeline.workspace import StageRecord, Workspace

STAGE = "text"
_STAGE_VERSION = 1


@dataclass(frozen=True)
class ClassEmbeddings:
    """Unit vectors (C, W), a row a class, in the order of the dataset's classes."""

    vectors: NDArray[np.float32]
    phrases: tuple[str, ...]  # C, whose vectors they are
    encoder: Mapping[str, str]  # identity of the text encoder
    spec: str  # what to load it by: a name or a file


def encode_phrases(spec: str, phrases: Sequence[str]) -> ClassEmbeddings:
    """Vectors of phrases by the encoder called `spec`.

    Raises:
        UsageError: a phrase has no vector.
        PipelineError: the encoder cannot be loaded.
    """
    return _encode(_load_encoder(spec), spec, phrases)


def _encode(encoder: TextEncoder, spec: str, phrases: Sequence[str]) -> ClassEmbeddings:
    try:
        vectors = encoder.encode(phrases)
    except TextEncoderError as error:
        raise UsageError(str(error)) from error
    return ClassEmbeddings(vectors=vectors, phrases=tuple(phrases), encoder=dict(encoder.identity), spec=spec)


def _load_encoder(spec: str) -> TextEncoder:
    try:
        return load_text_encoder(spec)
    except TextEncoderError as error:
        raise PipelineError(str(error)) from error


def embed_classes(workspace: Workspace, phrases: Mapping[str, str], spec: str) -> ClassEmbeddings:
    """Embeddings of a dataset's classes, from the workspace where they were made already.

    Args:
        workspace: keeps text/class_embeddings.h5.
        phrases: class name -> phrase.
        spec: `minilm` or the path of a file of vectors.
    """
    encoder = _load_encoder(spec)
    identity = dict(encoder.identity)
    if "file" in identity:  # a model finds it again from another folder
        spec = str(Path(spec).absolute())
    made_from = fingerprint({"stage": _STAGE_VERSION, "phrases": list(phrases.items()), "encoder": identity})
    path = workspace.text_folder / "class_embeddings.h5"
    stored = _load(path, made_from)
    if stored is not None:
        return ClassEmbeddings(vectors=stored, phrases=tuple(phrases.values()), encoder=identity, spec=spec)
    embeddings = _encode(encoder, spec, list(phrases.values()))
    with new_hdf5(path) as file:
        file["vectors"] = embeddings.vectors
        file["classes"] = np.array(list(phrases), dtype=h5py.string_dtype())
        file["phrases"] = np.array(list(phrases.values()), dtype=h5py.string_dtype())
        file.attrs.update({**identity, "fingerprint": made_from})
    record = StageRecord(
        fingerprint=made_from,
        output=str(path.relative_to(workspace.root)),
        summary={"classes": len(phrases), "encoder": identity["encoder"]},
    )
    workspace.record(STAGE, record)
    return embeddings


def legacy_phrases(phrases: Mapping[str, str]) -> dict[str, str]:
    """Class name -> the phrase whose vector the benchmark's public code gives it (benchmark.md, its fault).

    That code sorts the vectors by phrase, and takes them by the places of the sorted class names.

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


def _load(path: Path, made_from: str) -> NDArray[np.float32] | None:
    """The vectors in a file, if it was made from the same phrases by the same encoder; a damaged one is made anew."""
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("fingerprint") != made_from:
                return None
            vectors: NDArray[np.float32] = file["vectors"][...]
            return vectors
    except (OSError, KeyError):
        return None
