"""Scale vectors to length 1, as every text encoder returns them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from extractors.errors import NoVectorError

REMEDY = "give the class another phrase, or use the text encoder minilm, which has a vector for every phrase"


def unit_vectors(rows: Sequence[ArrayLike], phrases: Sequence[str], width: int, file: str) -> NDArray[np.float32]:
    """Scale C vectors to length 1: (C, W).

    Args:
        rows: C vectors (W,).
        phrases: the C phrases of these vectors.
        width: number W of values in a vector.
        file: name of the file that the vectors come from, for the message.

    Raises:
        NoVectorError: phrases whose vector is zero; the message names all of them.
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
