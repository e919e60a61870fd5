"""Features in memory: ragged arrays once, padded only when a batch is chosen."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from daan.network import VideoBatch
from pipeline.errors import PipelineError
from pipeline.feature_store import open_store

_STATISTICS_ROWS = 65536  # rows turned to float64 at once


@dataclass(frozen=True)
class Standardiser:
    """Mean and deviation of each feature, (D,) each; identity where features are used as they are."""

    audio_mean: Tensor
    audio_deviation: Tensor
    visual_mean: Tensor
    visual_deviation: Tensor

    @classmethod
    def identity(cls, audio_width: int, visual_width: int) -> "Standardiser":
        """Leaves features unchanged."""
        return cls(
            torch.zeros(audio_width), torch.ones(audio_width), torch.zeros(visual_width), torch.ones(visual_width)
        )

    def audio(self, rows: Tensor) -> Tensor:
        """(..., D) audio features, standardised; float32 whatever they were stored as."""
        return (rows.float() - self.audio_mean) / self.audio_deviation

    def visual(self, rows: Tensor) -> Tensor:
        """(..., D) visual features, standardised; float32 whatever they were stored as."""
        return (rows.float() - self.visual_mean) / self.visual_deviation

    def to(self, device: torch.device) -> "Standardiser":
        """The same on another device."""
        return Standardiser(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class FeatureSet:
    """All videos of a features.h5. Legend: N videos, D features, B videos in a batch, T seconds of the longest one."""

    keys: tuple[str, ...]  # N
    classes: tuple[str, ...]
    labels: Tensor  # (N,) int64, places in `classes`
    visual: Tensor  # (sum of seconds, D), float16 or float32 as stored
    audio: Tensor  # (sum of seconds, D)
    offsets: Tensor  # (N,) int64, first row of each video
    seconds: Tensor  # (N,) int64
    has_audio: Tensor  # (N,) bool
    has_visual: Tensor  # (N,) bool
    attributes: Mapping[str, Any]  # of the file: which extractor made it

    def places(self, keys: Sequence[str]) -> Tensor:
        """(len(keys),) places of videos."""
        place_of = {key: place for place, key in enumerate(self.keys)}
        return torch.tensor([place_of[key] for key in keys], dtype=torch.int64)

    def batch(self, places: Tensor, standardiser: Standardiser, device: torch.device) -> VideoBatch:
        """Padded and masked features of (B,) videos, standardised, on `device`."""
        seconds = self.seconds[places]
        steps = torch.arange(int(seconds.max()))
        valid = steps < seconds[:, None]  # (B, T)
        rows = torch.where(valid, self.offsets[places][:, None] + steps, 0)
        audio_mask, visual_mask = valid & self.has_audio[places][:, None], valid & self.has_visual[places][:, None]
        return VideoBatch(
            audio=standardiser.audio(self.audio[rows].to(device)),
            visual=standardiser.visual(self.visual[rows].to(device)),
            audio_mask=audio_mask.to(device),
            visual_mask=visual_mask.to(device),
        )

    def statistics(self, places: Tensor) -> Standardiser:
        """Mean and deviation over the seconds of (M,) videos that have the modality; identity where none has."""
        audio = self._moments(self.audio, places[self.has_audio[places]])
        visual = self._moments(self.visual, places[self.has_visual[places]])
        return Standardiser(*audio, *visual)

    def _moments(self, features: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        width = features.shape[1]
        total, squares, count = torch.zeros(width, dtype=torch.float64), torch.zeros(width, dtype=torch.float64), 0
        for rows in self._rows(places):
            block = features[rows].double()
            total += block.sum(0)
            squares += block.square().sum(0)
            count += len(block)
        if count == 0:
            return torch.zeros(width), torch.ones(width)
        mean = total / count
        deviation = (squares / count - mean.square()).clamp_min(0).sqrt()
        # A feature that never varies carries nothing: it becomes 0, not noise of rounding blown up.
        constant = deviation <= 1e-6 * mean.abs().clamp_min(1e-6)
        return mean.float(), torch.where(constant, 1.0, deviation).float()

    def _rows(self, places: Tensor) -> Iterator[Tensor]:
        """Rows of videos, some ten thousand at a time."""
        pending: list[Tensor] = []
        for place in places.tolist():
            start = int(self.offsets[place])
            pending.append(torch.arange(start, start + int(self.seconds[place])))
            if sum(map(len, pending)) >= _STATISTICS_ROWS:
                yield torch.cat(pending)
                pending = []
        if pending:
            yield torch.cat(pending)


def load_features(path: Path, classes: Sequence[str]) -> FeatureSet:
    """Read a features.h5.

    Args:
        path: the file.
        classes: names in the order that gives each its index.

    Raises:
        PipelineError: unreadable, a class that is not among `classes`, or values that are not finite.
    """
    with open_store(path) as store:
        videos, offsets = store.videos(), store.offsets()
        visual, audio, attributes = store.features("visual"), store.features("audio"), store.attributes
    place_of = {name: place for place, name in enumerate(classes)}
    for video in videos:
        if video.class_name not in place_of:
            raise PipelineError(
                f"{path}: video {video.video!r} is of class {video.class_name!r}, not in the dataset: extract again"
            )
    for modality, values in (("visual", visual), ("audio", audio)):
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if len(bad):
            owner = videos[int(np.searchsorted(offsets, bad[0], side="right")) - 1].video
            raise PipelineError(
                f"{path}: the {modality} features of {owner!r} are not finite: extract that video again"
            )
    return FeatureSet(
        keys=tuple(video.video for video in videos),
        classes=tuple(classes),
        labels=torch.tensor([place_of[video.class_name] for video in videos], dtype=torch.int64),
        visual=torch.from_numpy(visual),
        audio=torch.from_numpy(audio),
        offsets=torch.from_numpy(offsets),
        seconds=torch.tensor([video.seconds for video in videos], dtype=torch.int64),
        has_audio=torch.tensor([video.has_audio for video in videos], dtype=torch.bool),
        has_visual=torch.tensor([video.has_visual for video in videos], dtype=torch.bool),
        attributes=attributes,
    )
