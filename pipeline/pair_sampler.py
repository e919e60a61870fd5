"""Which videos form the pairs of a batch: classes are drawn evenly, so that large classes do not win (as AVCA)."""

import torch
from torch import Tensor


class PairSampler:
    """Draws pairs of a video and a negative, a video of another class.

    Args:
        labels: (N,) class of every video.
        places: (M,) the videos to draw from, of at least two classes.
    """

    def __init__(self, labels: Tensor, places: Tensor) -> None:
        order = torch.argsort(labels[places], stable=True)
        self._places = places[order]
        classes, counts = torch.unique_consecutive(labels[self._places], return_counts=True)
        self._counts, self._starts = counts, torch.cumsum(counts, 0) - counts
        self._classes = len(classes)

    def draw(self, pairs: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """(B,) positives and (B,) negatives, as places of videos."""
        positive = torch.randint(self._classes, (pairs,), generator=generator)
        shift = torch.randint(1, self._classes, (pairs,), generator=generator)
        return self._video_of(positive, generator), self._video_of((positive + shift) % self._classes, generator)

    def _video_of(self, classes: Tensor, generator: torch.Generator) -> Tensor:
        within = (torch.rand(len(classes), generator=generator, dtype=torch.float64) * self._counts[classes]).long()
        return self._places[self._starts[classes] + within]
