"""Generate the features of one modality.

A random, nearly linear network maps each class vector to the class centre. A random component that the class vector
does not predict is mixed into the centre. The videos of a class scatter around its centre in the same few factors, and
a linear map spreads the factors over all features. The seconds of a video scatter in every feature. The recipe can
switch on more: backgrounds, events in an order, unreliable videos, scatter that both modalities share, noise that
lasts, unequal variances, and values that are never negative.

Legend: C classes, W width of a class vector, D width of features, N videos, M videos of a class, R seconds of these
videos together, F factors.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.avgzsl_benchmark.synthetic.events import Flags, Floats, Indices, OrderPairs, Scenes, background_factors
from pipeline.avgzsl_benchmark.synthetic.recipe import SyntheticRecipe

_FACTORS = 32  # F: the number of ways in which classes and their videos differ in each modality
_HIDDEN = 256  # units of the network that maps class vectors to factors
_SAMPLE_ROWS = 4096  # of the seconds that decide which values of a feature become 0
_BLOCK_ROWS = 4096


def modality_features(
    name: str, recipe: SyntheticRecipe, vectors: Floats, pairs: OrderPairs, scenes: Scenes, present: Flags
) -> NDArray[np.floating]:
    """Generate the features (seconds of all videos, D) of a modality, with zeros for videos without it.

    Only one class at a time is in memory as float32.

    Args:
        name: audio or visual.
        recipe: how features come from class vectors.
        vectors: (C, W), the class vectors.
        pairs: the classes that differ only in an order.
        scenes: what the N videos show; the videos of a class are consecutive.
        present: (N,) whether a video has the modality.
    """
    random = recipe.random(name)
    width, strength = getattr(recipe, f"{name}_width"), np.float32(getattr(recipe, f"{name}_strength"))
    centres = strength * _centres(pairs.shared_vectors(vectors), recipe.own, random)[pairs.content_of]
    factors = random.standard_normal((_FACTORS, width), np.float32) / np.float32(np.sqrt(_FACTORS))
    shown = scenes.sound_labels if name == "audio" else scenes.labels
    lost, common = _Lost(recipe, name, strength), recipe.random("shared")
    in_time = _InTime(recipe, name, strength * pairs.direction)
    colours = _colours(recipe, name, width)
    features = np.zeros((int(scenes.seconds.sum()), width), recipe.dtype)
    ends = np.cumsum(scenes.seconds)
    for label in range(len(vectors)):
        videos = np.flatnonzero(scenes.labels == label)  # (M,)
        seconds = scenes.seconds[videos]
        span = slice(int(ends[videos[0]] - seconds[0]), int(ends[videos[-1]])) if len(videos) else slice(0, 0)
        scatter = random.standard_normal((len(videos), _FACTORS), np.float32)
        if recipe.shared:
            scatter *= np.float32(np.sqrt(1 - recipe.shared))
            scatter += np.float32(np.sqrt(recipe.shared)) * common.standard_normal(scatter.shape, np.float32)
        signal, kept = lost.some_of(centres[shown[videos]])
        rows = np.repeat((signal + np.float32(recipe.noise) * scatter) @ factors, seconds, axis=0)  # (R, D)
        if in_time.varies:
            rows += in_time.change(signal, kept, shown[videos], scenes, videos, span) @ factors
        noise = random.standard_normal(rows.shape, np.float32)
        _let_last(noise, scenes.positions[span], recipe.autocorrelation)
        rows += np.float32(recipe.second_noise) * noise
        if colours is not None:
            rows = rows @ colours
        rows[~np.repeat(present[videos], seconds)] = 0
        features[span] = rows
    if recipe.zeros:
        _rectify(features, np.flatnonzero(np.repeat(present, scenes.seconds)), recipe.zeros)
    return features


def _centres(vectors: Floats, own: float, random: np.random.Generator) -> Floats:
    """Generate class centres (C, F) with standard deviation 1.

    Each centre is the output of a random network for the class vector, mixed with a random component.
    """
    hidden = np.tanh(vectors @ random.standard_normal((vectors.shape[1], _HIDDEN), np.float32))
    predicted = hidden @ random.standard_normal((_HIDDEN, _FACTORS), np.float32)
    predicted /= predicted.std()
    centres: Floats = np.float32(np.sqrt(1 - own)) * predicted
    centres += np.float32(np.sqrt(own)) * random.standard_normal(centres.shape, np.float32)
    return centres


class _Lost:
    """Replaces a part of what videos show by noise of the same strength."""

    def __init__(self, recipe: SyntheticRecipe, modality: str, strength: np.float32) -> None:
        self._largest, self._strength = recipe.unreliable, strength
        self._random = recipe.random("reliability", modality)

    def some_of(self, signal: Floats) -> tuple[Floats, Floats]:
        """Replace a random part of each row (M, F); return the rows and the part (M, 1) that each row keeps."""
        if not self._largest:
            return signal, np.ones((len(signal), 1), np.float32)
        # The arcsine distribution: most draws are near 0 or near 1.
        kept = 1 - np.float32(self._largest) * self._random.beta(0.5, 0.5, (len(signal), 1)).astype(np.float32)
        noise = self._strength * self._random.standard_normal(signal.shape, np.float32)
        mixed: Floats = kept * signal + np.sqrt(1 - kept**2) * noise
        return mixed, kept


class _InTime:
    """Changes what videos show from second to second: backgrounds, and events in an order."""

    def __init__(self, recipe: SyntheticRecipe, modality: str, directions: Floats) -> None:
        event = recipe.random("order", modality).standard_normal(_FACTORS, np.float32)
        self._event = np.float32(recipe.order_strength) * event  # (F,) the first event minus the mean of both
        self._directions = directions  # (C,)
        self._backgrounds = background_factors(recipe, modality, _FACTORS)
        self.varies = recipe.background > 0 or recipe.order_pairs > 0

    def change(
        self, signal: Floats, kept: Floats, shown: Indices, scenes: Scenes, videos: Indices, span: slice
    ) -> Floats:
        """Compute what the seconds (R, F) of videos show beyond their signal (M, F).

        Args:
            signal: (M, F), what the videos show of their class.
            kept: (M, 1), the part of their class that the videos keep; their events are as weak.
            shown: (M,) the classes that they show.
            scenes: the scenes of all videos.
            videos: (M,) indices of the videos.
            span: the rows of their seconds.
        """
        seconds = scenes.seconds[videos]
        order = scenes.half[span] * np.repeat(self._directions[shown] * kept[:, 0], seconds)
        background: Floats = np.repeat(self._backgrounds[scenes.backgrounds[videos]] - signal, seconds, axis=0)
        background[scenes.shows_class[span]] = 0
        background += order[:, None] * self._event
        return background


def _let_last(noise: Floats, positions: Indices, correlation: float) -> None:
    """Correlate each second's noise (R, D) with that of the second before it; its deviation stays 1.

    Args:
        noise: changed in place.
        positions: (R,) number of each second within its video.
        correlation: correlation of neighbouring seconds; 0 changes nothing.
    """
    if not correlation:
        return
    for position in range(1, int(positions.max(initial=0)) + 1):
        rows = np.flatnonzero(positions == position)
        noise[rows] = np.float32(np.sqrt(1 - correlation**2)) * noise[rows] + np.float32(correlation) * noise[rows - 1]


def _colours(recipe: SyntheticRecipe, modality: str, width: int) -> Floats | None:
    """Draw a matrix (D, D) that gives the directions of the feature space unequal variances; None for equal ones.

    The variances follow a power law along random directions, and their mean is 1.
    """
    if not recipe.spectrum:
        return None
    directions = np.linalg.qr(recipe.random("spectrum", modality).standard_normal((width, width)))[0]
    variances = np.arange(1, width + 1) ** -recipe.spectrum
    variances /= variances.mean()
    return np.asarray((directions * np.sqrt(variances)) @ directions.T, np.float32)


def _rectify(features: NDArray[np.floating], rows: Indices, fraction: float) -> None:
    """Shift each feature so that a fraction of its values is below 0, and make those 0; in place, block by block.

    Args:
        features: (seconds of all videos, D).
        rows: the rows to change; the others stay 0.
        fraction: fraction of zeros.
    """
    sample = rows[:: max(1, len(rows) // _SAMPLE_ROWS)]
    if not len(sample):
        return
    thresholds = np.quantile(features[sample].astype(np.float32), fraction, axis=0).astype(np.float32)
    for start in range(0, len(rows), _BLOCK_ROWS):
        block = rows[start : start + _BLOCK_ROWS]
        features[block] = np.maximum(features[block].astype(np.float32) - thresholds, 0)
