"""The interface of text encoders, which turn phrases into unit vectors."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from extractors.errors import NoVectorError


class TextEncoder(Protocol):
    """Turns phrases into unit vectors.

    Attributes:
        identity: strings, including `encoder` and `sha256`; encoders of equal identity give equal vectors.
        width: number W of values in a vector.
    """

    @property
    def identity(self) -> Mapping[str, str]: ...  # noqa: D102 - described above

    @property
    def width(self) -> int: ...  # noqa: D102 - described above

    def encode(self, phrases: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors (C, W) of C phrases, in the same order, each of length 1.

        Raises:
            NoVectorError: phrases without a vector; the message names all of them.
        """
        ...


def refuse_blank(phrases: Sequence[str]) -> None:
    """Refuse blank phrases: they have no meaning, even if an encoder would give them a vector.

    Raises:
        NoVectorError: blank phrases; the message names all of them.
    """
    blank: dict[str, list[str]] = {phrase: [] for phrase in phrases if not phrase.strip()}
    if blank:
        named = ", ".join(map(repr, blank))
        raise NoVectorError(f"no vector for {named}: a class needs a phrase with at least one word", blank)
