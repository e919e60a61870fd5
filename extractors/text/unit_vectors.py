"""Rows of any length -> rows of length 1, which is what every text encoder gives."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from extractors.errors import NoVectorError

REMEDY = "give the class another phrase, or use the text encoder minilm, which knows every phrase"


def unit_vectors(rows: Sequence[ArrayLike], phrases: Sequence[str], width: int, file: str) -> NDArray[np.float32]:
    """(C, W) scaled to length 1.

    Args:
        rows: C vectors (W,).
        phrases: C, whose vectors they are.
        width: W.
        file: where they come from, for the message.

    Raises:
        NoVectorError: names the phrases whose vector is zero.
    """
    vectors = np.array(rows, np.float64).reshape(len(rows), width)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    zero: dict[str, list[str]] = {
        phrase: [] for phrase, length in zip(phrases, lengths[:, 0], strict=True) if length == 0
    }
    if zero:
        raise NoVectorError(f"{file}: the vector of {', '.join(map(repr, zero))} is zero: {REMEDY}", zero)
    unit: NDArray[np.float32] = (vectors / lengths).astype(np.float32)
    return unit
