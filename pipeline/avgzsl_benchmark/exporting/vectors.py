"""The class vectors for an export. If the workspace uses the benchmark's vectors, they are exported bit for bit."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from extractors.files.safe_pickle import PickleRefusedError, load_npy
from pipeline.base.workspace import Workspace
from pipeline.class_embeddings.embed import AUTO, chosen_spec, encode_phrases
from pipeline.datasets.phrases import Phrases, phrases_text


def vectors_of(
    workspace: Workspace, classes: Iterable[Phrases], text: str | None
) -> dict[Phrases, NDArray[np.float32]]:
    """Encode the phrases of classes: phrases -> vector (W,) of length 1.

    Args:
        workspace: the workspace whose text encoder is used if `text` is None.
        classes: the phrases of each class.
        text: another text encoder, as `--text` names it; None for the workspace's own.

    Raises:
        UsageError: an unknown encoder, or a phrase without a vector.
        PipelineError: an encoder that cannot be loaded.
    """
    wanted, spec = list(dict.fromkeys(classes)), chosen_spec(workspace, text or AUTO)
    vectors = dict(zip(wanted, encode_phrases(spec, wanted).vectors, strict=True))
    stored = _stored(spec.path) if spec.path else {}
    return {phrases: stored.get(phrases_text(phrases), vector) for phrases, vector in vectors.items()}


def _stored(path: Path) -> dict[str, NDArray[np.float32]]:
    """Read names and vectors of a .npy file unchanged: scaling to length 1 again can change the last bit."""
    if path.suffix != ".npy" or not path.is_file():
        return {}
    try:
        stored = load_npy(path)
    except PickleRefusedError:  # encode_phrases could read the file, so it is of a form without names
        return {}
    found = stored.items() if isinstance(stored, dict) else ()
    return {name: vector for name, vector in found if vector.dtype == np.float32 and _is_unit(vector)}


def _is_unit(vector: NDArray[np.float32]) -> bool:
    return bool(abs(float(np.linalg.norm(vector.astype(np.float64))) - 1) < 1e-5)
