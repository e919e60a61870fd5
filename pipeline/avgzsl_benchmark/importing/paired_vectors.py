"""The class vectors of CLIP and CLAP in a folder of the ClipClap code: two files, one per text encoder."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.class_embeddings.embed import encode_phrases, read_spec
from pipeline.datasets.phrases import Phrases

_OF_AUDIO = "wavcaps_"  # begins the name of the file of the audio text encoder


def find_paired_vectors(feature_folder: Path) -> tuple[Path, Path] | None:
    """Find the two files in `features/<method>/text`.

    Returns:
        The file of the visual text encoder and that of the audio text encoder; None if the folder has no such pair.
    """
    of_audio = sorted((feature_folder / "text").glob(f"{_OF_AUDIO}word_embeddings_*.npy"))
    pairs = [(path.with_name(path.name.removeprefix(_OF_AUDIO)), path) for path in of_audio]
    return next((pair for pair in pairs if pair[0].is_file()), None)


def joined_vectors(visual: Path, audio: Path, classes: Sequence[Phrases]) -> dict[str, NDArray[np.float32]]:
    """Join the vectors of both files for every phrase of the classes: phrase -> (Wv + Wa), each part of length 1.

    Raises:
        UsageError: a file of another kind, or a phrase without a vector.
    """
    phrases = list(dict.fromkeys(phrase for of_class in classes for phrase in of_class))
    alone = [(phrase,) for phrase in phrases]
    parts = [encode_phrases(read_spec(str(path)), alone).vectors for path in (visual, audio)]
    return dict(zip(phrases, np.concatenate(parts, axis=1), strict=True))
