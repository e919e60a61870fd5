"""Features in memory: ragged arrays, as they are stored. Only a batch is padded and converted to float32."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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

_BLOCK_ROWS = 1024  # a block of some MB, which fits in the cache of a processor


@dataclass(frozen=True)
class Standardiser:
    """The mean and standard deviation of each feature, (D,) each; or the identity, which changes nothing."""

    audio_mean: Tensor
    audio_deviation: Tensor
    visual_mean: Tensor
    visual_deviation: Tensor

    @classmethod
    def identity(cls, audio_width: int, visual_width: int) -> "Standardiser":
        """Make a standardiser that leaves features unchanged."""
        return cls(
            torch.zeros(audio_width), torch.ones(audio_width), torch.zeros(visual_width), torch.ones(visual_width)
        )

    def audio(self, rows: Tensor) -> Tensor:
        """Standardise audio features (..., D) of float16 or float32; the result is float32."""
        return (rows - self.audio_mean).div_(self.audio_deviation)

    def visual(self, rows: Tensor) -> Tensor:
        """Standardise visual features (..., D) of float16 or float32; the result is float32."""
        return (rows - self.visual_mean).div_(self.visual_deviation)

    def to(self, device: torch.device) -> "Standardiser":
        """Copy the standardiser to another device."""
        return Standardiser(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class FeatureSet:
    """All videos of a features.h5, on the host.

    Legend: N videos, M a selection of them, B videos in a batch. D is the width of a second's vector. The longest video
    of a batch has T seconds, and all of them together have R seconds.
    """

    keys: tuple[str, ...]  # N
    classes: tuple[str, ...]
    labels: Tensor  # (N,) int64, indices into `classes`
    visual: Tensor  # (sum of seconds, D), float16 or float32 as stored
    audio: Tensor  # (sum of seconds, D)
    offsets: Tensor  # (N,) int64, the first row of each video
    seconds: Tensor  # (N,) int64
    has_audio: Tensor  # (N,) bool
    has_visual: Tensor  # (N,) bool
    attributes: Mapping[str, Any]  # the root attributes of the file: which extractor made it

    @cached_property
    def _index_of(self) -> dict[str, int]:
        return {key: index for index, key in enumerate(self.keys)}

    def indices(self, keys: Sequence[str]) -> Tensor:
        """Return the indices (len(keys),) of videos."""
        return torch.tensor([self._index_of[key] for key in keys], dtype=torch.int64)

    def videos_of_classes(self, indices: Tensor) -> Tensor:
        """Count the videos of each class (C,) among those at some indices (M,)."""
        return torch.bincount(self.labels[indices], minlength=len(self.classes))

    def batch(self, indices: Tensor, standardiser: Standardiser, device: torch.device) -> VideoBatch:
        """Make a batch of some videos: standardised, padded and masked, with zeros where the mask is False.

        The seconds are selected on the host. Only existing seconds are copied to `device`, in the type in which they
        are stored. They are copied to a GPU from pinned memory, so that the host does not wait for the copy.

        Args:
            indices: (B,) which videos, on the host.
            standardiser: on `device`.
            device: the device of the batch.
        """
        seconds = self.seconds[indices]
        steps = torch.arange(int(seconds.max()))
        valid = steps < seconds[:, None]  # (B, T)
        rows = self.offsets[indices][:, None] + steps  # (B, T)
        audio_mask, visual_mask = valid & self.has_audio[indices][:, None], valid & self.has_visual[indices][:, None]
        audio, audio_cells = _selected(self.audio, rows, audio_mask, device)
        visual, visual_cells = _selected(self.visual, rows, visual_mask, device)
        return VideoBatch(
            audio=_padded(standardiser.audio(audio), audio_cells, valid.shape),
            visual=_padded(standardiser.visual(visual), visual_cells, valid.shape),
            audio_mask=to_device(audio_mask, device),
            visual_mask=to_device(visual_mask, device),
        )

    def averaged(self) -> "FeatureSet":
        """Average the seconds of every video, for methods that need no more: each video has one second in float32."""
        return replace(
            self,
            visual=self._means(self.visual),
            audio=self._means(self.audio),
            offsets=torch.arange(len(self.keys)),
            seconds=torch.ones_like(self.seconds),
        )

    def _means(self, features: Tensor) -> Tensor:
        """Average the seconds of every video: (sum of seconds, D) -> (N, D), one block of rows at a time."""
        sums = torch.zeros(len(self.keys), features.shape[1])
        videos = torch.arange(len(self.keys))
        of_rows = torch.split(torch.repeat_interleave(videos, self.seconds), _BLOCK_ROWS)
        for rows, of_block in zip(self._rows(videos), of_rows, strict=True):
            sums.index_add_(0, of_block, features[rows].float())
        return sums / self.seconds[:, None]

    def statistics(self, indices: Tensor) -> Standardiser:
        """Compute mean and deviation over the seconds of videos (M,) that have the modality; identity if none has."""
        audio = self._moments(self.audio, indices[self.has_audio[indices]])
        visual = self._moments(self.visual, indices[self.has_visual[indices]])
        return Standardiser(*audio, *visual)

    def _moments(self, features: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Compute mean and deviation, (D,) each.

        The mean of a block is subtracted before its values are squared, so that float32 is exact enough for values of
        any size. The blocks are combined in float64 (Chan, Golub and LeVeque 1983, eq. 2.1).
        """
        width, count = features.shape[1], 0
        mean, squares = torch.zeros(width, dtype=torch.float64), torch.zeros(width, dtype=torch.float64)
        for rows in self._rows(indices):
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
        # A feature that never varies has no information: it becomes 0 and not enlarged noise of rounding.
        constant = deviation <= 1e-6 * mean.abs().clamp_min(1e-6)
        return mean.float(), torch.where(constant, 1.0, deviation).float()

    def _rows(self, indices: Tensor) -> Iterator[Tensor]:
        """Yield all rows of videos (M,) in the order of the file, one block at a time."""
        indices = torch.sort(indices).values
        seconds = self.seconds[indices]
        ends = seconds.cumsum(0)
        # If these videos are concatenated, their row r is row r + shift of the file; each video has its own shift.
        shifts = torch.repeat_interleave(self.offsets[indices] - (ends - seconds), seconds)
        for start in range(0, len(shifts), _BLOCK_ROWS):
            block = shifts[start : start + _BLOCK_ROWS]
            yield block + torch.arange(start, start + len(block))


def _selected(features: Tensor, rows: Tensor, mask: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """Select the features (R, D) where a mask (B, T) is True, and their cells (R,) in the mask; both on `device`."""
    cells = torch.nonzero(mask.flatten()).flatten()
    kept = torch.empty((len(cells), features.shape[1]), dtype=features.dtype, pin_memory=device.type == "cuda")
    torch.index_select(features, 0, rows.flatten()[cells], out=kept)
    return kept.to(device, non_blocking=True), to_device(cells, device)


def _padded(values: Tensor, cells: Tensor, shape: torch.Size) -> Tensor:
    """Make (B, T, D) with values (R, D) in the cells (R,) of (B, T), and zeros in the other cells."""
    if len(cells) == shape.numel():  # no padding: the cells are all of them, in order
        return values.reshape(*shape, values.shape[1])
    padded = values.new_zeros((shape.numel(), values.shape[1]))
    return padded.index_copy_(0, cells, values).reshape(*shape, values.shape[1])


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor of the host to `device`; the host does not wait for a GPU."""
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def load_features(path: Path, classes: Sequence[str]) -> FeatureSet:
    """Read a features.h5.

    Args:
        path: the file.
        classes: the names of the classes; a label is an index into them.

    Raises:
        DamagedFileError: the features of a video are not what was written.
        PipelineError: the file is unreadable, has a class that is not in `classes`, or has values that are not finite.
    """
    with open_store(path) as store:
        videos, offsets = store.videos(), store.offsets()
        visual, audio, attributes = store.features("visual"), store.features("audio"), store.attributes
        store.check(visual, audio)
    label_of = {name: label for label, name in enumerate(classes)}
    for video in videos:
        if video.class_name not in label_of:
            raise PipelineError(
                f"{path}: video {video.video!r} is of class {video.class_name!r}, not in the dataset: extract again"
            )
    for modality, values in (("visual", visual), ("audio", audio)):
        _refuse_not_finite(path, modality, values, videos, offsets)
    return FeatureSet(
        keys=tuple(video.video for video in videos),
        classes=tuple(classes),
        labels=torch.tensor([label_of[video.class_name] for video in videos], dtype=torch.int64),
        visual=_at_least_a_column(visual),
        audio=_at_least_a_column(audio),
        offsets=torch.from_numpy(offsets),
        seconds=torch.tensor([video.seconds for video in videos], dtype=torch.int64),
        has_audio=torch.tensor([video.has_audio for video in videos], dtype=torch.bool),
        has_visual=torch.tensor([video.has_visual for video in videos], dtype=torch.bool),
        attributes=attributes,
    )


def _at_least_a_column(values: NDArray[np.floating]) -> Tensor:
    """Give a modality that the extractor lacks one column of zeros, because a network needs a width for it."""
    return torch.from_numpy(values if values.shape[1] else np.zeros((len(values), 1), values.dtype))


def _refuse_not_finite(
    path: Path,
    modality: str,
    values: NDArray[np.floating],
    videos: Sequence[StoredVideo],
    offsets: NDArray[np.int64],
) -> None:
    """Name the first video with a NaN or an infinite value in the rows (sum of seconds, D)."""
    # Without the sign, the bits of such a value are an integer that is at least that of infinity. numpy compares
    # integers many times faster than it tests half-precision numbers.
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
