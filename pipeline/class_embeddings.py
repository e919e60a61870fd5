"""Class names -> vectors, kept in the workspace so that an encoder is loaded only when names or encoder change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    return ClassEmbeddings(vectors=vectors, encoder=dict(encoder.identity), spec=spec)


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
        return ClassEmbeddings(vectors=stored, encoder=identity, spec=spec)
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
