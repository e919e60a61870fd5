"""The interface of text encoders: from phrases to unit vectors."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from extractors.errors import NoVectorError


class TextEncoder(Protocol):
    """Turns phrases into unit vectors.

    Attributes:
        identity: plain texts, `encoder` and `sha256` among them; encoders of equal identity give equal vectors.
        width: W, numbers in a vector.
    """

    @property
    def identity(self) -> Mapping[str, str]: ...  # noqa: D102 - described above

    @property
    def width(self) -> int: ...  # noqa: D102 - described above

    def encode(self, phrases: Sequence[str]) -> NDArray[np.float32]:
        """Vectors (C, W) of C phrases, in their order, each of length 1.

        Raises:
            NoVectorError: names every phrase that has no vector.
        """
        ...


def refuse_blank(phrases: Sequence[str]) -> None:
    """A phrase without a letter has no meaning, whatever an encoder would make of it.

    Raises:
        NoVectorError: names every such phrase.
    """
    blank: dict[str, list[str]] = {phrase: [] for phrase in phrases if not phrase.strip()}
    if blank:
        named = ", ".join(map(repr, blank))
        raise NoVectorError(f"no vector for {named}: a class needs a phrase with at least one word", blank)
