"""A store as its export reads it: the features of a video by name, and the notes on what a layout cannot carry."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.avgzsl_benchmark.layouts.notes import ExportNotes
from pipeline.features.feature_set import FeatureSet
from pipeline.features.index import StoredVideo

# What an import fills in anew.
_OF_THE_FILE = {"content", "extractor_fingerprint", "schema", "dtype", "feature_width", "visual_width", "audio_width"}


@dataclass(frozen=True)
class ExportedStore:
    """Features in memory with the rows of the index; both in one order."""

    features: FeatureSet
    index: Sequence[StoredVideo]

    @cached_property
    def _place_of(self) -> dict[str, int]:
        return {key: place for place, key in enumerate(self.features.keys)}

    def class_of(self, key: str) -> str:
        """The class of a video."""
        return self.index[self._place_of[key]].class_name

    def videos_of_classes(self) -> dict[str, list[str]]:
        """Class -> its videos."""
        videos: dict[str, list[str]] = {}
        for video in self.index:
            videos.setdefault(video.class_name, []).append(video.video)
        return videos

    def rows(self, key: str, modality: str) -> NDArray[np.floating]:
        """(T, D) visual or audio features of a video as stored; zeros where it lacks the modality."""
        place = self._place_of[key]
        start = int(self.features.offsets[place])
        features = self.features.visual if modality == "visual" else self.features.audio
        rows: NDArray[np.floating] = features[start : start + int(self.features.seconds[place])].numpy()
        return rows


def notes_of(
    store: ExportedStore,
    layout: str,
    videos: Mapping[str, str],
    classes: Mapping[str, str],
    phrases: Mapping[str, str],
    phrase_vectors: Mapping[str, NDArray[np.float32]],
) -> ExportNotes:
    """What the layout does not say of a store.

    Args:
        store: what is exported.
        layout: avca or tcaf.
        videos: video -> exported name.
        classes: class -> exported name.
        phrases: exported words -> a class's phrases, where those are others.
        phrase_vectors: phrase -> (W,), of classes with several.
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
