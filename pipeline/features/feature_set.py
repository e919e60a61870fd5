"""Features in memory: ragged arrays once, as they are stored; padded, in float32, only when a batch is chosen."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from daan.batch import VideoBatch
from pipeline.base.errors import PipelineError
from pipeline.features.index import StoredVideo
from pipeline.features.store import open_store

_BLOCK_ROWS = 1024  # rows that are looked at together: some MB, which a processor's cache holds


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
        """(..., D) audio features of float16 or float32, standardised, in float32."""
        return (rows - self.audio_mean).div_(self.audio_deviation)

    def visual(self, rows: Tensor) -> Tensor:
        """(..., D) visual features of float16 or float32, standardised, in float32."""
        return (rows - self.visual_mean).div_(self.visual_deviation)

    def to(self, device: torch.device) -> "Standardiser":
        """The same on another device."""
        return Standardiser(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class FeatureSet:
    """All videos of a features.h5, on the host.

    Legend: N videos, M some of them, D features, B videos in a batch, T seconds of the longest one, R seconds of the
    batch's videos together.
    """

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

    @cached_property
    def _index_of(self) -> dict[str, int]:
        return {key: place for place, key in enumerate(self.keys)}

    def indices(self, keys: Sequence[str]) -> Tensor:
        """(len(keys),) places of videos."""
        return torch.tensor([self._index_of[key] for key in keys], dtype=torch.int64)

    def batch(self, places: Tensor, standardiser: Standardiser, device: torch.device) -> VideoBatch:
        """Padded and masked features of some videos, standardised; zeros wherever the mask is False.

        Everything is chosen on the host, and only the seconds that are there leave it, as they are stored. A GPU gets
        them from pinned memory, so that nobody waits for it.

        Args:
            places: (B,) which videos, on the host.
            standardiser: on `device`.
            device: where the batch is wanted.
        """
        seconds = self.seconds[places]
        steps = torch.arange(int(seconds.max()))
        valid = steps < seconds[:, None]  # (B, T)
        rows = self.offsets[places][:, None] + steps  # (B, T)
        audio_mask, visual_mask = valid & self.has_audio[places][:, None], valid & self.has_visual[places][:, None]
        audio, audio_cells = _chosen(self.audio, rows, audio_mask, device)
        visual, visual_cells = _chosen(self.visual, rows, visual_mask, device)
        return VideoBatch(
            audio=_padded(standardiser.audio(audio), audio_cells, valid.shape),
            visual=_padded(standardiser.visual(visual), visual_cells, valid.shape),
            audio_mask=to_device(audio_mask, device),
            visual_mask=to_device(visual_mask, device),
        )

    def statistics(self, places: Tensor) -> Standardiser:
        """Mean and deviation over the seconds of (M,) videos that have the modality; identity where none has."""
        audio = self._moments(self.audio, places[self.has_audio[places]])
        visual = self._moments(self.visual, places[self.has_visual[places]])
        return Standardiser(*audio, *visual)

    def _moments(self, features: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation, (D,) each.

        Each block has its own mean taken off before it is squared, so that float32 is exact enough wherever the values
        lie; blocks are put together in float64 (Chan, Golub and LeVeque 1983, eq. 2.1).
        """
        width, count = features.shape[1], 0
        mean, squares = torch.zeros(width, dtype=torch.float64), torch.zeros(width, dtype=torch.float64)
        for rows in self._rows(places):
            block = features[rows].float()
            block_mean = block.mean(0)
            block.sub_(block_mean).square_()
            step = block_mean.double() - mean
            squares += block.sum(0).double() + step.square() * (count * len(block) / (count + len(block)))
            count += len(block)
            mean += step * (len(block) / count)
        if count == 0:
            return torch.zeros(width), torch.ones(width)
        deviation = (squares / count).sqrt()
        # A feature that never varies carries nothing: it becomes 0, not noise of rounding blown up.
        constant = deviation <= 1e-6 * mean.abs().clamp_min(1e-6)
        return mean.float(), torch.where(constant, 1.0, deviation).float()

    def _rows(self, places: Tensor) -> Iterator[Tensor]:
        """All rows of (M,) videos in the order of the file, a block at a time."""
        places = torch.sort(places).values
        seconds = self.seconds[places]
        ends = seconds.cumsum(0)
        # Row r of all these videos together is row r + shift of the file, with a shift for each video.
        shifts = torch.repeat_interleave(self.offsets[places] - (ends - seconds), seconds)
        for start in range(0, len(shifts), _BLOCK_ROWS):
            block = shifts[start : start + _BLOCK_ROWS]
            yield block + torch.arange(start, start + len(block))


def _chosen(features: Tensor, rows: Tensor, mask: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """The features (R, D) that a mask (B, T) lets through, as stored, and their cells (R,) in it; both on `device`."""
    cells = torch.nonzero(mask.flatten()).flatten()
    kept = torch.empty((len(cells), features.shape[1]), dtype=features.dtype, pin_memory=device.type == "cuda")
    torch.index_select(features, 0, rows.flatten()[cells], out=kept)
    return kept.to(device, non_blocking=True), to_device(cells, device)


def _padded(values: Tensor, cells: Tensor, shape: torch.Size) -> Tensor:
    """(B, T, D) with values (R, D) in the cells (R,) of (B, T), zeros in the others."""
    padded = values.new_zeros((shape.numel(), values.shape[1]))
    return padded.index_copy_(0, cells, values).reshape(*shape, values.shape[1])


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the host on `device`; a GPU fetches it when it gets there."""
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


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
        _refuse_not_finite(path, modality, values, videos, offsets)
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


def _refuse_not_finite(
    path: Path,
    modality: str,
    values: NDArray[np.floating],
    videos: Sequence[StoredVideo],
    offsets: NDArray[np.int64],
) -> None:
    """Name the first video with a NaN or an infinite value in its rows (sum of seconds, D)."""
    # Without its sign such a number's bits are at least those of infinity, read as an integer; numpy compares integers
    # many times faster than it tests half-precision numbers.
    integer = np.dtype(f"u{values.itemsize}")
    infinity, unsigned = np.array(np.inf, values.dtype).view(integer), integer.type(np.iinfo(integer).max >> 1)
    bits = values.view(integer)
    for start in range(0, len(bits), _BLOCK_ROWS):
        block = bits[start : start + _BLOCK_ROWS] & unsigned
        if block.max(initial=0) >= infinity:
            row = start + int((block >= infinity).any(axis=1).argmax())
            owner = videos[int(np.searchsorted(offsets, row, side="right")) - 1].video
            raise PipelineError(
                f"{path}: the {modality} features of {owner!r} are not finite: extract that video again"
            )
