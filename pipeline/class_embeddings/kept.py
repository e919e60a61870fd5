"""Encode long lists of class names once: with progress, and kept in the cache for the next command."""

import contextlib
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from extractors.text.encoder import TextEncoder
from pipeline.base.errors import PipelineError
from pipeline.base.files import fingerprint, make_folder, read_bytes, replacing
from pipeline.base.progress import Reporter
from pipeline.base.workspace import cache_folder
from pipeline.class_embeddings.embed import encode_classes
from pipeline.datasets.phrases import Phrases

_LEAST_KEPT = 1000  # fewer names take seconds
_AT_ONCE = 500


def encode_kept(encoder: TextEncoder, classes: Sequence[Phrases], reporter: Reporter) -> NDArray[np.float32]:
    """Encode the phrases of C classes as `encode_classes` does; a long list is encoded once and then kept.

    Args:
        encoder: the text encoder.
        classes: the phrases of each class.
        reporter: receives the progress of a long list.

    Returns:
        (C, W) unit vectors.

    Raises:
        UsageError: a phrase has no vector, or the vectors of a class cancel each other.
        PipelineError: the encoder's file is damaged.
    """
    if len(classes) < _LEAST_KEPT:
        return encode_classes(encoder, classes)
    path = _path(encoder.identity, classes)
    kept = _read(path, (len(classes), encoder.width))
    if kept is not None:
        return kept
    pieces = []
    with reporter.track("encoding class names", len(classes)) as tracker:
        for first in range(0, len(classes), _AT_ONCE):
            pieces.append(encode_classes(encoder, classes[first : first + _AT_ONCE]))
            tracker.advance(len(pieces[-1]))
    vectors = np.concatenate(pieces)
    with contextlib.suppress(PipelineError):  # a cache that cannot be written costs only time
        make_folder(path.parent)
        with replacing(path) as temporary:
            temporary.write_bytes(save({"vectors": vectors, "checksum": _checksum(vectors)}))
    return vectors


def _path(identity: Mapping[str, str], classes: Sequence[Phrases]) -> Path:
    name = fingerprint({"encoder": dict(identity), "classes": [list(phrases) for phrases in classes]})
    return cache_folder() / "text" / f"classes-{name}.safetensors"


def _read(path: Path, shape: tuple[int, int]) -> NDArray[np.float32] | None:
    """Read kept vectors (C, W); None if there are none, or if they are damaged."""
    try:
        found = load(read_bytes(path))
        vectors: NDArray[np.float32] = found["vectors"]
        is_whole = np.array_equal(found["checksum"], _checksum(vectors))
    except Exception:  # noqa: BLE001 - on damaged bytes the reader can raise any exception; the names are encoded again
        return None
    return vectors if is_whole and vectors.shape == shape and vectors.dtype == np.float32 else None


def _checksum(vectors: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.array([zlib.crc32(vectors.tobytes())], np.int64)
