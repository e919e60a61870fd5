"""Choose what the seconds of each video show: its class, a background, or one of two events in their order.

Legend: C classes, W width of a class vector, N videos, R seconds of all videos together.

Two classes of an order pair show the same two events, one class in one order, the other class in the other order.
Their time averages are equal. Which order a class has can be told from its vector: pairs are made of a class above and
a class below the median of one principal component of the class vectors, and the class above it begins with the first
event. Both classes of a pair are used in the same way (for training, or as unseen classes of validation or test). In
all pairs the two events differ in the same direction, as the events of opening and closing do, so that it can be
learned from some classes and used for others.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.avgzsl_benchmark.synthetic.recipe import SyntheticRecipe

_BACKGROUNDS = 8
_BACKGROUNDS_PER_CLASS = 3
_COMPONENTS = 5  # principal components of the class vectors that may decide the order

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class OrderPairs:
    """Which classes are pairs that differ only in the order of two events."""

    partner: Indices  # (C,) the other class of the pair; the class itself if it is in no pair
    direction: Floats  # (C,) 1 for the first event and then the second; -1 for the other order; 0 outside pairs

    @classmethod
    def choose(cls, vectors: Floats, groups: Indices, fraction: float) -> "OrderPairs":
        """Choose pairs of classes.

        Args:
            vectors: (C, W), the class vectors.
            groups: (C,) a number for each class; both classes of a pair have the same.
            fraction: fraction of the classes of each group that are in pairs, 0 to 1. A group gives fewer if all its
                classes are on the same side of the median.
        """
        partner, direction = np.arange(len(vectors)), np.zeros(len(vectors), np.float32)
        if fraction == 0:
            return cls(partner, direction)
        centred = (vectors - vectors.mean(axis=0)).astype(np.float64)
        components = np.linalg.svd(centred, full_matrices=False)[2][:_COMPONENTS]
        sides = centred @ components.T  # (C, components)
        sides -= np.median(sides, axis=0)
        pairs_of = [_pairs(vectors, side, groups, fraction) for side in sides.T]
        for above, below in max(pairs_of, key=len):
            partner[above], partner[below] = below, above
            direction[above], direction[below] = 1, -1
        return cls(partner, direction)

    @property
    def content_of(self) -> Indices:
        """The class (C,) that gives each class its content: the lower of the two of a pair, or the class itself."""
        return np.minimum(self.partner, np.arange(len(self.partner)))

    def shared_vectors(self, vectors: Floats) -> Floats:
        """Replace the vectors (C, W) of a pair by their mean, scaled to the mean of both lengths."""
        both = np.stack((vectors, vectors[self.partner]))
        mean, lengths = both.mean(axis=0), np.linalg.norm(both, axis=2).mean(axis=0)
        mean *= (lengths / np.maximum(np.linalg.norm(mean, axis=1), np.finfo(np.float32).tiny))[:, None]
        return np.where((self.direction != 0)[:, None], mean, vectors).astype(np.float32)


def _pairs(vectors: Floats, side: NDArray[np.float64], groups: Indices, fraction: float) -> list[tuple[int, int]]:
    """List the pairs (class above, class below) for one component: clear cases first, then the most similar vectors."""
    pairs = []
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        members = members[np.argsort(-np.abs(side[members]), kind="stable")]
        above, below = members[side[members] > 0], members[side[members] < 0]
        count = min(round(fraction * len(members) / 2), len(above), len(below))
        likeness = vectors[above[:count]] @ vectors[below[:count]].T
        for _ in range(count):
            row, column = np.unravel_index(int(likeness.argmax()), likeness.shape)
            pairs.append((int(above[row]), int(below[column])))
            likeness[row], likeness[:, column] = -np.inf, -np.inf
    return pairs


@dataclass(frozen=True)
class Scenes:
    """What both modalities of the videos show."""

    labels: Indices  # (N,) class of each video
    sound_labels: Indices  # (N,) class that the sound shows; another one for foreign sound
    seconds: Indices  # (N,)
    positions: Indices  # (R,) number of each second within its video
    shows_class: Flags  # (R,) whether a second shows the class; else it shows the background
    half: Floats  # (R,) 1 in the first half of the class's seconds, -1 in the second, 0 in between and elsewhere
    backgrounds: Indices  # (N,) the background of each video

    @classmethod
    def draw(cls, recipe: SyntheticRecipe, labels: Indices, seconds: Indices, classes: int) -> "Scenes":
        """Draw the scenes of N videos.

        Args:
            recipe: fractions of backgrounds and foreign sound.
            labels: (N,) class of each video.
            seconds: (N,) length of each video.
            classes: C.
        """
        random = recipe.random("events")
        shown = np.maximum(1, np.rint((1 - recipe.background) * seconds).astype(np.int64))  # (N,)
        begins = (random.random(len(seconds)) * (seconds - shown + 1)).astype(np.int64)
        positions = np.arange(seconds.sum()) - np.repeat(np.cumsum(seconds) - seconds, seconds)
        within, length = positions - np.repeat(begins, seconds), np.repeat(shown, seconds)
        shows_class = (within >= 0) & (within < length)
        first, second = within < length // 2, within >= length - length // 2
        half = np.where(shows_class, first.astype(np.float32) - second.astype(np.float32), np.float32(0))
        usual = np.stack([random.permutation(_BACKGROUNDS)[:_BACKGROUNDS_PER_CLASS] for _ in range(classes)])
        backgrounds = usual[labels, random.integers(_BACKGROUNDS_PER_CLASS, size=len(labels))]
        sound_labels = _sound_labels(recipe, labels, classes)
        return cls(labels, sound_labels, seconds, positions, shows_class, half, backgrounds)


def _sound_labels(recipe: SyntheticRecipe, labels: Indices, classes: int) -> Indices:
    """Draw the class (N,) that the sound of each video shows."""
    random = recipe.random("foreign")
    is_foreign = random.random(len(labels)) < recipe.foreign_sound
    other = (labels + random.integers(1, classes, size=len(labels))) % classes
    return np.where(is_foreign, other, labels)


def background_factors(recipe: SyntheticRecipe, modality: str, factors: int) -> Floats:
    """Draw what each background shows in a modality (backgrounds, factors)."""
    drawn = recipe.random("backgrounds", modality).standard_normal((_BACKGROUNDS, factors), np.float32)
    return np.float32(recipe.background_strength) * drawn
