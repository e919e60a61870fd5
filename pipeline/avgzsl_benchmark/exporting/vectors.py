"""The vectors of all classes, for export: those of the benchmark to the last bit, where the workspace uses them."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from extractors.files.safe_pickle import PickleRefusedError, load_npy
from pipeline.base.workspace import Workspace
from pipeline.class_embeddings.embed import AUTO, chosen_text, encode_phrases


def vectors_of(workspace: Workspace, texts: Iterable[str], spec: str | None) -> dict[str, NDArray[np.float32]]:
    """Text -> (W,) of length 1.

    Args:
        workspace: whose text encoder it is, where none is asked for.
        texts: a class's phrases each.
        spec: another text encoder.

    Raises:
        UsageError: no such encoder, or a phrase has no vector.
        PipelineError: the encoder cannot be loaded.
    """
    wanted, chosen = list(dict.fromkeys(texts)), chosen_text(workspace, spec or AUTO)
    vectors = dict(zip(wanted, encode_phrases(chosen, wanted).vectors, strict=True))
    return vectors | {text: vector for text, vector in _stored(Path(chosen)).items() if text in vectors}


def _stored(path: Path) -> dict[str, NDArray[np.float32]]:
    """Name -> vector of a .npy file, as it is there: scaling to length 1 once more can change the last bit."""
    if path.suffix != ".npy" or not path.is_file():
        return {}
    try:
        stored = load_npy(path)
    except PickleRefusedError:  # encode_phrases has read the file: it is of a form that holds no names
        return {}
    found = stored.items() if isinstance(stored, dict) else ()
    return {name: vector for name, vector in found if vector.dtype == np.float32 and _is_unit(vector)}


def _is_unit(vector: NDArray[np.float32]) -> bool:
    return bool(abs(float(np.linalg.norm(vector.astype(np.float64))) - 1) < 1e-5)
