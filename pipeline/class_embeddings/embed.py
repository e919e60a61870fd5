"""Embed classes: choose a text encoder, encode phrases, cache the vectors in the workspace."""

import zlib
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
from extractors.text.spec import MINILM, TextSpec, parse_text_spec
from extractors.text.templates import Templates
from pipeline.base.errors import DamagedFileError, PipelineError, StorageError, UsageError
from pipeline.base.files import fingerprint, read_json, write_json
from pipeline.base.hdf5.reading import opened_hdf5, own_dataset, reading_hdf5
from pipeline.base.hdf5.writing import new_hdf5
from pipeline.base.workspace import Stage, StageRecord, Workspace, cache_folder
from pipeline.datasets.phrases import Phrases, phrases_text

_STAGE_VERSION = 1
AUTO = "auto"
_LEAST_LENGTH = 1e-3  # if the mean of unit vectors is shorter, its direction means nothing


@dataclass(frozen=True)
class ClassEmbeddings:
    """Unit vectors (C, W), one row per class, in the order of the dataset's classes."""

    vectors: NDArray[np.float32]
    phrases: tuple[Phrases, ...]  # (C), the phrases of each row
    encoder: Mapping[str, str]  # identity of the text encoder
    spec: TextSpec  # how to load the encoder again


def read_spec(text: str) -> TextSpec:
    """Parse the value of `--text`.

    Args:
        text: the value: minilm, `KIND:LOCATION` such as `glove:vectors.txt`, or the path of a file of vectors.

    Raises:
        UsageError: the value is neither the name of a text encoder nor a file.
    """
    try:
        return parse_text_spec(text)
    except TextSpecError as error:
        raise UsageError(str(error)) from error


def record_spec(workspace: Workspace, spec: TextSpec) -> None:
    """Record the text encoder that a workspace uses by default. The caller must hold the workspace's lock.

    A file inside the workspace is recorded with a relative path, so that the workspace can be moved.
    """
    write_json(_source_file(workspace), {"spec": spec.to_text(workspace.root)})


def chosen_spec(workspace: Workspace, setting: str) -> TextSpec:
    """Parse the setting text.encoder.

    `auto` means the text encoder that is paired with the extractor of the features, else the workspace's own encoder,
    else minilm.

    Raises:
        UsageError: the setting names neither a text encoder nor a file.
        PipelineError: the workspace's record is damaged, or the file it names does not exist.
    """
    path = _source_file(workspace)
    if setting == AUTO:
        paired = paired_spec(workspace)
        if paired is not None:
            return paired
    if setting != AUTO or not path.exists():
        return read_spec(MINILM if setting == AUTO else setting)
    document = read_json(path)
    recorded = document.get("spec") if isinstance(document, dict) else None
    if not isinstance(recorded, str):
        raise StorageError(f"{path} is damaged (it names no text encoder): delete it, or name one with --text")
    spec = TextSpec.from_text(recorded, workspace.root)
    try:
        spec.check()
    except TextSpecError as error:
        raise PipelineError(
            f"the text encoder that {workspace.root} uses is missing ({error}): "
            f"put it back, name another with --text, or delete {path}"
        ) from error
    return spec


def paired_spec(workspace: Workspace) -> TextSpec | None:
    """Return the text encoder that is paired with the extractor of the present features; None if there is none."""
    record = workspace.stages().get(Stage.FEATURES)
    paired = str(record.summary.get("paired_text", "")) if record else ""
    return TextSpec.from_text(paired, workspace.root) if paired else None


def _source_file(workspace: Workspace) -> Path:
    return workspace.text_folder / "source.json"


def load_encoder(spec: TextSpec, templates: Templates | None = None) -> TextEncoder:
    """Load a text encoder.

    Args:
        spec: the text encoder.
        templates: the templates of an encoder that is paired with an extractor; None for the usual ones.

    Raises:
        UsageError: its file does not exist, or has another format than the spec.
        PipelineError: the text encoder cannot be loaded.
    """
    try:
        return load_text_encoder(
            spec, cache_dir=cache_folder() / "text", models_dir=cache_folder() / "weights", templates=templates
        )
    except TextSpecError as error:
        raise UsageError(str(error)) from error
    except TextEncoderError as error:
        raise PipelineError(str(error)) from error


def encode_classes(encoder: TextEncoder, classes: Sequence[Phrases]) -> NDArray[np.float32]:
    """Encode the phrases of C classes; a class with several phrases gets the mean of their vectors.

    Args:
        encoder: the text encoder.
        classes: the phrases of each class.

    Returns:
        (C, W) unit vectors.

    Raises:
        UsageError: a phrase has no vector, or the vectors of a class cancel each other.
        PipelineError: the encoder's file is damaged.
    """
    named = [phrases or ("",) for phrases in classes]  # the encoder then refuses the empty phrase with a message
    unique = list(dict.fromkeys(chain(*named)))
    try:
        vector_of = dict(zip(unique, encoder.encode(unique), strict=True))
    except NoVectorError as error:
        raise UsageError(str(error)) from error
    except TextEncoderError as error:
        raise PipelineError(str(error)) from error
    rows = [_direction([vector_of[phrase] for phrase in phrases], phrases) for phrases in named]
    return np.array(rows, np.float32).reshape(len(named), encoder.width)


def _direction(vectors: Sequence[NDArray[np.float32]], phrases: Phrases) -> NDArray[np.float32]:
    """Average unit vectors (W,) and scale the mean to length 1; return a single vector unchanged."""
    if len(vectors) == 1:
        return vectors[0]
    mean = np.mean(vectors, axis=0, dtype=np.float64)
    length = float(np.linalg.norm(mean))
    if length < _LEAST_LENGTH:
        raise UsageError(f"the phrases {phrases_text(phrases)!r} have opposite vectors that cancel out: give others")
    return np.asarray(mean / length, np.float32)


def encode_phrases(spec: TextSpec, classes: Sequence[Phrases], templates: Templates | None = None) -> ClassEmbeddings:
    """Load an encoder and encode the phrases of classes; `templates` are those of `load_encoder`.

    Raises:
        UsageError: the encoder does not exist, or a phrase has no vector.
        PipelineError: the encoder cannot be loaded.
    """
    encoder = load_encoder(spec, templates)
    return ClassEmbeddings(encode_classes(encoder, classes), tuple(classes), dict(encoder.identity), spec)


def embed_classes(
    workspace: Workspace, phrases: Mapping[str, Phrases], setting: str, templates: Templates | None = None
) -> ClassEmbeddings:
    """Embed a dataset's classes, or read their vectors from the workspace if nothing changed.

    Args:
        workspace: the workspace, which caches the vectors in text/class_embeddings.h5.
        phrases: class name -> its phrases.
        setting: the setting text.encoder.
        templates: as for `load_encoder`.

    Raises:
        UsageError: the setting names no text encoder, or a phrase has no vector.
        PipelineError: the text encoder cannot be loaded.
    """
    spec = chosen_spec(workspace, setting)
    encoder = load_encoder(spec, templates)
    spec = spec.absolute(Path())  # absolute, so that a model finds it from any folder
    identity = dict(encoder.identity)
    texts = {name: phrases_text(of_class) for name, of_class in phrases.items()}
    made_from = fingerprint({"stage": _STAGE_VERSION, "phrases": list(texts.items()), "encoder": identity})
    path = workspace.text_folder / "class_embeddings.h5"
    vectors = _read_cached(path, made_from, (len(phrases), encoder.width))
    if vectors is None:
        vectors = encode_classes(encoder, list(phrases.values()))
        with new_hdf5(path) as file:
            file["vectors"] = vectors
            file["classes"] = np.array(list(texts), dtype=h5py.string_dtype())
            file["phrases"] = np.array(list(texts.values()), dtype=h5py.string_dtype())
            file.attrs.update({**identity, "fingerprint": made_from, "checksum": zlib.crc32(vectors.tobytes())})
    record = StageRecord(
        fingerprint=made_from,
        output=str(path.relative_to(workspace.root)),
        summary={"classes": len(phrases), "encoder": identity["encoder"]},
    )
    former = workspace.stages().get(Stage.TEXT)
    if former is None or former.fingerprint != made_from:  # also after a kill between the file and its record
        workspace.record(Stage.TEXT, record)
    return ClassEmbeddings(vectors=vectors, phrases=tuple(phrases.values()), encoder=identity, spec=spec)


def _read_cached(path: Path, made_from: str, shape: tuple[int, int]) -> NDArray[np.float32] | None:
    """Read the cached vectors of `shape` (C, W).

    Returns:
        The vectors; None if there are none, if they are damaged, or if they were made from other phrases or by another
        encoder.
    """
    if not path.exists():
        return None

    def damage(error: Exception) -> DamagedFileError:
        return DamagedFileError(path, str(error))

    try:
        with opened_hdf5(path, damage) as file, reading_hdf5(damage, path):
            written, checksum = file.attrs.get("fingerprint"), file.attrs.get("checksum")
            stored = own_dataset(file, "vectors")
            if stored is None or (stored.shape, stored.dtype) != (shape, np.float32):
                return None
            vectors: NDArray[np.float32] = stored[...]
    except DamagedFileError:
        return None
    is_current = isinstance(written, str) and written == made_from
    return vectors if is_current and checksum == zlib.crc32(vectors.tobytes()) else None
