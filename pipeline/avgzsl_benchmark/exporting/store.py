"""A feature store during an export: the features of each video, and the notes on what a layout cannot store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.avgzsl_benchmark.layouts.notes import ExportNotes
from pipeline.datasets.phrases import Phrases
from pipeline.features.feature_set import FeatureSet
from pipeline.features.index import StoredVideo

# Attributes that an import sets again.
_OF_THE_FILE = {"content", "extractor_fingerprint", "schema", "dtype", "feature_width", "visual_width", "audio_width"}


@dataclass(frozen=True)
class ExportedStore:
    """Features in memory and the rows of their index, in the same order."""

    features: FeatureSet
    index: Sequence[StoredVideo]

    @cached_property
    def _index_of(self) -> dict[str, int]:
        return {key: index for index, key in enumerate(self.features.keys)}

    def class_of(self, key: str) -> str:
        """Return the class of a video."""
        return self.index[self._index_of[key]].class_name

    def videos_of_classes(self) -> dict[str, list[str]]:
        """Map each class to its videos."""
        videos: dict[str, list[str]] = {}
        for video in self.index:
            videos.setdefault(video.class_name, []).append(video.video)
        return videos

    def rows(self, key: str, modality: str) -> NDArray[np.floating]:
        """Return the stored features (T, D) of a video in one modality; zeros if the video lacks it."""
        index = self._index_of[key]
        start = int(self.features.offsets[index])
        features = self.features.visual if modality == "visual" else self.features.audio
        rows: NDArray[np.floating] = features[start : start + int(self.features.seconds[index])].numpy()
        return rows


def notes_of(
    store: ExportedStore,
    layout: str,
    videos: Mapping[str, str],
    classes: Mapping[str, str],
    phrases: Mapping[str, Phrases],
    phrase_vectors: Mapping[str, NDArray[np.float32]],
) -> ExportNotes:
    """Collect the facts about a store that the layout does not store.

    Args:
        store: the store that is exported.
        layout: avca or tcaf.
        videos: video -> exported name.
        classes: class -> exported name.
        phrases: exported wording -> the phrases of the class, if they differ.
        phrase_vectors: phrase -> (W,), for classes with several phrases.
    """
    named = [(videos[video.video], video) for video in store.index]
    attributes = {name: value for name, value in store.features.attributes.items() if name not in _OF_THE_FILE}
    return ExportNotes(
        layout=layout,
        dtype=str(store.features.visual.numpy().dtype),
        attributes=attributes,
        videos={name: key for key, name in videos.items() if name != key},
        classes={name: own for own, name in classes.items() if name != own},
        phrases=phrases,
        phrase_vectors=phrase_vectors,
        absent={
            "visual": tuple(name for name, video in named if not video.has_visual),
            "audio": tuple(name for name, video in named if not video.has_audio),
        },
        segments={
            name: (video.start_seconds, video.end_seconds)
            for name, video in named
            if video.start_seconds is not None or video.end_seconds is not None
        },
        duration_seconds={
            name: video.duration_seconds
            for name, video in named
            if video.duration_seconds != (1 if layout == "avca" else video.seconds)
        },
        warnings={name: video.warnings for name, video in named if video.warnings},
    )
