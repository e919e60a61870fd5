"""What every method of the published tables fulfils: a network, its losses, its scores and its options.

Legend: B positive videos of a batch, N videos, C classes, W width of a class embedding, O width of the shared space.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from daan.batch import VideoBatch

# exact: as in published code; paper: from a paper's text, without code; reconstructed: parts are our own reading.
Status = Literal["exact", "paper", "reconstructed"]


@dataclass(frozen=True)
class About:
    """Where a method comes from."""

    name: str  # the name in commands and settings, such as avca
    title: str  # the name in tables, such as AVCA
    paper: str
    year: int
    status: Status
    summary: str  # one sentence


@dataclass(frozen=True)
class Needs:
    """What a method needs from those who call it."""

    seconds: bool = False  # one vector per second; otherwise their mean is enough
    negatives: bool = False  # a video of another class for each positive
    training: bool = True  # False: the method has nothing to learn
    paired_text: bool = False  # features and class embeddings of encoders that were trained together


@dataclass(frozen=True)
class TrainingBatch:
    """The inputs of one step.

    Raises:
        ValueError: numbers of videos, texts or labels that do not fit.
    """

    videos: VideoBatch  # B positives; then, if the method needs negatives, B videos of other classes, one for each
    text: Tensor  # (B, W) or (2B, W) class embeddings of these videos
    labels: Tensor  # (B,) row of each positive's class in the class table
    class_table: Tensor  # (C, W) class embeddings of all training classes

    def __post_init__(self) -> None:
        if len(self.text) != len(self.videos) or len(self.videos) not in {self.pairs, 2 * self.pairs}:
            raise ValueError(
                f"{len(self.videos)} videos, {len(self.text)} class embeddings, {self.pairs} labels: give one text per "
                "video and one label per positive"
            )
        if self.pairs == 0:
            raise ValueError(
                "0 videos: give one or more positives, and then as many negatives if the method needs them"
            )

    @property
    def pairs(self) -> int:
        """The number of positives."""
        return len(self.labels)

    def select(self, rows: Tensor) -> "TrainingBatch":
        """Select positives by their row indices (N,), with their negatives."""
        both = rows if len(self.videos) == self.pairs else torch.cat((rows, rows + self.pairs))
        return TrainingBatch(self.videos[both], self.text[both], self.labels[rows], self.class_table)

    @property
    def positive(self) -> VideoBatch:
        """The B positives."""
        return self.videos.first(self.pairs)

    @property
    def negative(self) -> VideoBatch:
        """The B negatives."""
        return self.videos.rest(self.pairs)

    @property
    def positive_text(self) -> Tensor:
        """(B, W) class embeddings of the positives."""
        return self.text[: self.pairs]

    @property
    def negative_text(self) -> Tensor:
        """(B, W) class embeddings of the negatives."""
        return self.text[self.pairs :]


@dataclass(frozen=True, kw_only=True)
class MethodConfig:
    """The options that every method has; the widths are set from the data.

    Raises:
        ValueError: an option out of its range; the message names the option, its value and what is allowed.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    # Setting of training -> the value that its authors use; without a preset it is the default.
    training_defaults: ClassVar[Mapping[str, Any]] = {}
    # Option -> its value in the small network for few training videos; empty if the method has no small network.
    small: ClassVar[Mapping[str, Any]] = {}
    sizes: ClassVar[tuple[str, ...]] = ()  # options that choose the size of the network

    audio_width: int = 512  # width of the audio vector of a second
    visual_width: int = 512  # width of the visual vector of a second
    text_width: int = 300  # width of a class embedding

    def __post_init__(self) -> None:
        self._positive("audio_width", "visual_width", "text_width")

    def idle_options(self, longest_seconds: int) -> str:  # noqa: ARG002 - for methods that have such options
        """Say which options do nothing on videos of at most so many seconds; empty if all of them do something."""
        return ""

    def _positive(self, *names: str) -> None:
        """Check options that are whole numbers of at least 1, such as a width."""
        for name in names:
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"{name} is {value}, must be at least 1")

    def _not_negative(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise ValueError(f"{name} is {value}, must be a finite number of at least 0")

    def _fraction(self, *names: str) -> None:
        """Check options that must be at least 0 and less than 1, such as a dropout."""
        for name in names:
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise ValueError(f"{name} is {value}, must be at least 0 and less than 1")

    def _choice(self, name: str, allowed: Sequence[str]) -> None:
        value = getattr(self, name)
        if value not in allowed:
            raise ValueError(f"{name} is {value!r}, must be one of {', '.join(allowed)}")


@dataclass(frozen=True)
class Part:
    """A group of layers whose gradients a report shows, such as the encoder of a modality."""

    modality: str  # audio or visual
    name: str
    layers: tuple[nn.Module, ...]


class Method(nn.Module, ABC):
    """A network with its losses and scores.

    Attributes:
        about: where the method comes from.
        needs: what it needs from its callers.
        scores: the names of its distances.
        config: its options.
    """

    about: ClassVar[About]
    needs: ClassVar[Needs]
    scores: tuple[str, ...]
    config: Any

    @abstractmethod
    def losses(self, batch: TrainingBatch) -> dict[str, Tensor]:
        """Compute the terms of the loss by name, as scalars; a step minimises their sum."""

    @abstractmethod
    def embed_videos(self, videos: VideoBatch) -> dict[str, Tensor]:
        """Embed N videos: tensors with N rows by name, which `distances` reads.

        Raises:
            ValueError: widths other than those of the options.
        """

    @abstractmethod
    def embed_classes(self, text: Tensor) -> Tensor:
        """Embed class embeddings (C, W) -> (C, O).

        Raises:
            ValueError: a width other than that of the options.
        """

    @abstractmethod
    def distances(self, videos: Mapping[str, Tensor], classes: Tensor) -> dict[str, Tensor]:
        """Compute the distances (N, C) by each score; the class of the smallest distance is the likeliest.

        Args:
            videos: what `embed_videos` returned.
            classes: (C, O), what `embed_classes` returned.
        """

    @property
    def score(self) -> str:
        """The score that predicts: the published one, which is the first one by default."""
        return self.scores[0]

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts whose gradients a report shows; none by default."""
        return ()

    def _check_text(self, text: Tensor) -> None:
        check_width("class embeddings", text, self.config.text_width)

    def _check_widths(self, videos: VideoBatch) -> None:
        check_width("audio features", videos.audio, self.config.audio_width)
        check_width("visual features", videos.visual, self.config.visual_width)


def check_width(what: str, values: Tensor, expected: int) -> None:
    """Refuse vectors of another width than a network takes.

    Raises:
        ValueError: another width.
    """
    if values.shape[-1] != expected:
        raise ValueError(
            f"{what} are {values.shape[-1]} wide, the network takes {expected}: give {what} of width {expected}"
        )
