"""Class vectors in the spaces of an extractor: those of its visual text encoder, then those of its audio one."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from extractors.text.encoder import TextEncoder, refuse_blank
from extractors.text.templates import Templates, filled

# What every clip is: a clip that is no nearer to a class than to these is nothing of the classes.
NEUTRAL_SIGHT, NEUTRAL_SOUND = "a video", "a sound"


class Encodes(Protocol):
    """Encodes texts to unit vectors."""

    @property
    def width(self) -> int: ...  # noqa: D102 - number of values in a vector

    def encode(self, phrases: Sequence[str]) -> NDArray[np.float32]: ...  # noqa: D102 - as `TextEncoder.encode`


class PairedText:
    """Encodes phrases for sight and for sound.

    Args:
        kind: name of the encoder.
        sight: encodes texts in the space of the pictures.
        sound: encodes texts in the space of the sounds.
        templates: the texts that a phrase is put into.
        checksums: identity of the models.

    Attributes:
        identity: kind, checksums and templates.
        width: visual width plus audio width.
        visual_width: number of values for sight, which come first.
    """

    def __init__(
        self, kind: str, sight: Encodes, sound: Encodes, templates: Templates, checksums: Mapping[str, str]
    ) -> None:
        self._sight, self._sound, self._templates = sight, sound, templates
        self.visual_width = sight.width
        self.width = sight.width + sound.width
        self.identity: Mapping[str, str] = {"encoder": kind, **checksums, **templates.to_identity()}

    def encode(self, phrases: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors (C, W) of C phrases, each of length 1; so are both parts, up to their common length.

        Each part is the mean of the unit vectors of all templates.

        Raises:
            NoVectorError: blank phrases, or texts that are longer than a tower takes.
            TextEncoderError: a damaged file.
        """
        refuse_blank(phrases)
        return _joined(
            _mean([self._sight.encode(filled(template, phrases)) for template in self._templates.sight]),
            _mean([self._sound.encode(filled(template, phrases)) for template in self._templates.sound]),
        )

    def neutral(self) -> NDArray[np.float32]:
        """Return the vector (1, W) of the neutral texts."""
        return _joined(self._sight.encode([NEUTRAL_SIGHT]), self._sound.encode([NEUTRAL_SOUND]))


def _mean(vectors: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Average unit vectors (C, W) of each template, and scale the means to length 1."""
    mean = np.mean(vectors, axis=0, dtype=np.float64)
    lengths = np.linalg.norm(mean, axis=1, keepdims=True)
    unit: NDArray[np.float32] = (mean / np.maximum(lengths, 1e-12)).astype(np.float32)
    return unit


def _joined(sight: NDArray[np.float32], sound: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(np.concatenate([sight, sound], axis=1) / np.sqrt(2), np.float32)


def paired_clip_clap(sight: TextEncoder, sound: TextEncoder, templates: Templates) -> PairedText:
    """Pair the text towers of a CLIP and of a CLAP model."""
    checksums = {"sha256": f"{sight.identity['sha256']}:{sound.identity['sha256']}"}
    return PairedText("clip-clap", sight, sound, templates, checksums)
