"""Class names -> vectors, kept in the workspace so that an encoder is loaded only when names or encoder change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from extractors.errors import NoVectorError, TextEncoderError, TextSpecError
from extractors.text.encoder import TextEncoder
from extractors.text.loading import load_text_encoder
from extractors.text.spec import MINILM, kept_text_spec, parse_text_spec, restored_text_spec
from pipeline.base.errors import PipelineError, StorageError, UsageError
from pipeline.base.files import fingerprint, read_json, write_json
from pipeline.base.hdf5 import new_hdf5
from pipeline.base.workspace import Stage, StageRecord, Workspace, cache_folder
from pipeline.datasets.phrases import phrases_in

_STAGE_VERSION = 1
AUTO = "auto"
_LEAST_LENGTH = 1e-3  # of a mean of unit vectors that still points somewhere


@dataclass(frozen=True)
class ClassEmbeddings:
    """Unit vectors (C, W), a row a class, in the order of the dataset's classes."""

    vectors: NDArray[np.float32]
    phrases: tuple[str, ...]  # C texts, whose vectors they are; `|` stands between the phrases of one
    encoder: Mapping[str, str]  # identity of the text encoder
    spec: str  # what to load it by


def remember_text(workspace: Workspace, spec: str) -> None:
    """Note the text encoder that a workspace uses where none is asked for; the caller holds its lock.

    A file that lies in the workspace is noted by its place there, so that the workspace may be moved.

    Args:
        workspace: gets text/source.json.
        spec: as for `extractors.text.loading.load_text_encoder`; relative paths count from the current folder.

    Raises:
        UsageError: neither a text encoder nor a file.
    """
    try:
        parse_text_spec(spec)
    except TextSpecError as error:
        raise UsageError(str(error)) from error
    write_json(_source_file(workspace), {"spec": kept_text_spec(spec, workspace.root)})


def chosen_text(workspace: Workspace, spec: str) -> str:
    """What is meant by the setting text.encoder: a spec, or by `auto` the workspace's own, else minilm.

    Raises:
        PipelineError: what the workspace notes is damaged, or its file is gone.
    """
    path = _source_file(workspace)
    if spec != AUTO or not path.exists():
        return MINILM if spec == AUTO else spec
    document = read_json(path)
    noted = document.get("spec") if isinstance(document, dict) else None
    if not isinstance(noted, str):
        raise StorageError(f"{path} is damaged (it names no text encoder): delete it, or name one with --text")
    try:
        return str(parse_text_spec(restored_text_spec(noted, workspace.root)))
    except TextSpecError as error:
        raise PipelineError(
            f"the text encoder that {workspace.root} uses is not there ({error}): "
            f"put it back, name another with --text, or delete {path}"
        ) from error


def _source_file(workspace: Workspace) -> Path:
    return workspace.text_folder / "source.json"


def load_encoder(spec: str) -> TextEncoder:
    """The text encoder that `spec` names.

    Raises:
        UsageError: neither a text encoder nor a file.
        PipelineError: it cannot be loaded.
    """
    try:
        return load_text_encoder(spec, cache_dir=cache_folder() / "text")
    except TextSpecError as error:
        raise UsageError(str(error)) from error
    except TextEncoderError as error:
        raise PipelineError(str(error)) from error


def encode_texts(encoder: TextEncoder, texts: Sequence[str]) -> NDArray[np.float32]:
    """Unit vectors (C, W) of C classes: the mean over the unit vectors of a class's phrases, where it has several.

    Args:
        encoder: of phrases.
        texts: C texts; `|` stands between phrases.

    Raises:
        UsageError: a phrase has no vector, or those of a class cancel each other.
        PipelineError: the encoder's file is damaged.
    """
    phrases = [phrases_in(text) or (text,) for text in texts]
    every = list(dict.fromkeys(chain(*phrases)))
    try:
        vector_of = dict(zip(every, encoder.encode(every), strict=True))
    except NoVectorError as error:
        raise UsageError(str(error)) from error
    except TextEncoderError as error:
        raise PipelineError(str(error)) from error
    rows = [
        _direction([vector_of[phrase] for phrase in several], text)
        for several, text in zip(phrases, texts, strict=True)
    ]
    return np.array(rows, np.float32).reshape(len(texts), encoder.width)


def _direction(vectors: Sequence[NDArray[np.float32]], text: str) -> NDArray[np.float32]:
    """The mean of unit vectors (W,), of length 1 again; a single one as it is."""
    if len(vectors) == 1:
        return vectors[0]
    mean = np.mean(vectors, axis=0, dtype=np.float64)
    length = float(np.linalg.norm(mean))
    if length < _LEAST_LENGTH:
        raise UsageError(f"the phrases {text!r} have opposite vectors, whose mean says nothing: give others")
    return np.asarray(mean / length, np.float32)


def encode_phrases(spec: str, texts: Sequence[str]) -> ClassEmbeddings:
    """Vectors of classes by the encoder called `spec`, a text a class with `|` between its phrases.

    Raises:
        UsageError: no such encoder, or a phrase has no vector.
        PipelineError: the encoder cannot be loaded.
    """
    encoder = load_encoder(spec)
    return ClassEmbeddings(encode_texts(encoder, texts), tuple(texts), dict(encoder.identity), spec)


def embed_classes(workspace: Workspace, phrases: Mapping[str, str], spec: str) -> ClassEmbeddings:
    """Embeddings of a dataset's classes, from the workspace where they were made already.

    Args:
        workspace: keeps text/class_embeddings.h5.
        phrases: class name -> its phrases, `|` between several.
        spec: the setting text.encoder, `auto` included.
    """
    spec = chosen_text(workspace, spec)
    encoder = load_encoder(spec)
    spec = restored_text_spec(spec, Path())  # absolute: a model finds it again from another folder
    identity = dict(encoder.identity)
    made_from = fingerprint({"stage": _STAGE_VERSION, "phrases": list(phrases.items()), "encoder": identity})
    path = workspace.text_folder / "class_embeddings.h5"
    stored = _load(path, made_from)
    if stored is not None:
        return ClassEmbeddings(vectors=stored, phrases=tuple(phrases.values()), encoder=identity, spec=spec)
    vectors = encode_texts(encoder, list(phrases.values()))
    with new_hdf5(path) as file:
        file["vectors"] = vectors
        file["classes"] = np.array(list(phrases), dtype=h5py.string_dtype())
        file["phrases"] = np.array(list(phrases.values()), dtype=h5py.string_dtype())
        file.attrs.update({**identity, "fingerprint": made_from})
    record = StageRecord(
        fingerprint=made_from,
        output=str(path.relative_to(workspace.root)),
        summary={"classes": len(phrases), "encoder": identity["encoder"]},
    )
    workspace.record(Stage.TEXT, record)
    return ClassEmbeddings(vectors=vectors, phrases=tuple(phrases.values()), encoder=identity, spec=spec)


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
