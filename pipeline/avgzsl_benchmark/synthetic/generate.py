"""Generate features from class vectors in the shape of a benchmark, so that zero-shot transfer works imperfectly.

A random, nearly linear network maps each class vector to the class centre in each modality. A random component that the
class vector does not predict is mixed into the centre. The videos of a class scatter around its centre in the same few
factors, and a linear map spreads the factors over all features. The seconds of a video scatter in every feature.
Legend: C classes, W width of a class vector, D width of features, M videos of a class, R seconds of these videos
together, F factors.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.avgzsl_benchmark.synthetic.shapes import SHAPES, Shape
from pipeline.base.files import fingerprint
from pipeline.datasets.phrases import Phrases, phrases_of_name
from pipeline.datasets.splits import Splits
from pipeline.features.feature_set import FeatureSet

_CLASSES_PER_CLUSTER = 4  # in generated class vectors
_FACTORS = 32  # F: the number of ways in which classes and their videos differ in each modality
_HIDDEN = 256  # units of the network that maps class vectors to factors

Vector = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class SyntheticRecipe:
    """The numbers by which features are made from class vectors.

    With the defaults and the shape of UCF, audio is the weaker modality. A short plain training of DAAN then reaches an
    HM of about 30 % and a ZSL of about 25 %. Strengths and noises are standard deviations of a feature.
    """

    audio_width: int = 512
    visual_width: int = 512
    text_width: int = 300  # of generated class vectors
    audio_strength: float = 0.4  # between classes
    visual_strength: float = 0.8
    own: float = 0.15  # fraction of the variance between classes that class vectors do not predict, 0 to 1
    noise: float = 1.0  # between the videos of a class
    second_noise: float = 1.0  # between the seconds of a video
    missing_audio: float = 0.0  # fraction of videos without audio; no video lacks both modalities
    missing_visual: float = 0.0
    dtype: Literal["float16", "float32"] = "float16"
    seed: int = 0

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if entry.name != "dtype" and not value >= 0:
                raise ValueError(f"{entry.name} is {value}, must be at least 0")
        if self.own > 1:
            raise ValueError(f"own is {self.own}, must be at most 1")
        if self.missing_audio + self.missing_visual > 1:
            raise ValueError("missing_audio and missing_visual together are more than 1, but no video may lack both")


@dataclass(frozen=True)
class SyntheticBenchmark:
    """Generated features, splits and class vectors."""

    features: FeatureSet
    splits: Splits
    phrases: Mapping[str, Phrases]  # class name -> phrases, in the order of features.classes
    class_vectors: Vector  # (C, W), in the order of features.classes
    others: Mapping[str, tuple[Phrases, Vector]] = field(default_factory=dict)  # class without videos -> phrases, (W,)


def synthetic_benchmark(
    shape: str | Shape, recipe: SyntheticRecipe | None = None, class_vectors: Mapping[str, Vector] | None = None
) -> SyntheticBenchmark:
    """Generate a benchmark; equal arguments give equal data.

    Args:
        shape: a name of `SHAPES`, or the numbers of classes and videos.
        recipe: how features come from class vectors; None for the defaults.
        class_vectors: class name -> (W,), at least C of them, in the order training classes, unseen validation
            classes, unseen test classes; None for random unit vectors in clusters.

    Raises:
        ValueError: fewer class vectors than classes.
    """
    shape = SHAPES[shape] if isinstance(shape, str) else shape
    recipe = recipe or SyntheticRecipe()
    given = class_vectors or _clustered_vectors(shape.classes, recipe)
    if len(given) < shape.classes:
        raise ValueError(f"{len(given)} class vectors, must be at least {shape.classes}, one for each class")
    index_of = {name: index for index, name in enumerate(list(given)[: shape.classes])}
    classes = tuple(sorted(index_of))  # as in every dataset
    vectors = np.stack([np.asarray(given[name], np.float32) for name in classes])
    splits: dict[str, tuple[str, ...]] = dict.fromkeys(shape.classes_of_splits, ())
    keys: list[tuple[str, ...]] = []  # of each class
    for name in classes:
        of_class = {
            split: tuple(f"{name}/{split}_{number:04d}.mp4" for number in range(videos))
            for split, videos in shape.videos_of_class(index_of[name]).items()
        }
        keys.append(tuple(key for of_split in of_class.values() for key in of_split))
        splits |= {split: splits[split] + of_split for split, of_split in of_class.items()}
    return SyntheticBenchmark(
        features=_features(shape, recipe, classes, vectors, keys),
        splits=Splits(**splits, origin={"synthetic": asdict(recipe)}),
        phrases={name: phrases_of_name(name) for name in classes},
        class_vectors=vectors,
    )


def _clustered_vectors(classes: int, recipe: SyntheticRecipe) -> dict[str, Vector]:
    """Generate random unit vectors that are somewhat alike, and more alike within a cluster."""
    random = np.random.default_rng([recipe.seed, 0])
    centres = random.standard_normal((-(-classes // _CLASSES_PER_CLUSTER), recipe.text_width))
    cluster = random.integers(len(centres), size=classes)
    own = random.standard_normal((classes, recipe.text_width))
    vectors = 0.7 * random.standard_normal(recipe.text_width) + 0.7 * centres[cluster] + own
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return {f"class_{index:03d}": vector.astype(np.float32) for index, vector in enumerate(vectors)}


def _features(
    shape: Shape,
    recipe: SyntheticRecipe,
    classes: tuple[str, ...],
    vectors: Vector,
    keys_of_classes: list[tuple[str, ...]],
) -> FeatureSet:
    """Generate the features of all videos, class by class."""
    keys = tuple(key for of_class in keys_of_classes for key in of_class)
    labels = np.repeat(np.arange(len(classes)), [len(of_class) for of_class in keys_of_classes])
    random = np.random.default_rng([recipe.seed, 1])
    seconds = random.integers(shape.seconds[0], shape.seconds[1] + 1, size=len(keys))
    draws = random.random(len(keys))
    has_audio = draws >= recipe.missing_audio
    has_visual = draws < 1 - recipe.missing_visual
    content = fingerprint([asdict(shape), asdict(recipe), classes, vectors.astype(float).round(6).tolist()])
    return FeatureSet(
        keys=keys,
        classes=classes,
        labels=torch.from_numpy(labels),
        visual=torch.from_numpy(_modality("visual", recipe, vectors, labels, seconds, has_visual)),
        audio=torch.from_numpy(_modality("audio", recipe, vectors, labels, seconds, has_audio)),
        offsets=torch.from_numpy(np.cumsum(seconds) - seconds),
        seconds=torch.from_numpy(seconds),
        has_audio=torch.from_numpy(has_audio),
        has_visual=torch.from_numpy(has_visual),
        attributes={
            "extractor": "synthetic",
            "weights": "synthetic",
            "decoder": "none",
            "feature_width": recipe.visual_width,
            "dtype": recipe.dtype,
            "content": content,
        },
    )


def _modality(
    name: str,
    recipe: SyntheticRecipe,
    vectors: Vector,
    labels: NDArray[np.int64],
    seconds: NDArray[np.int64],
    present: NDArray[np.bool_],
) -> NDArray[np.floating]:
    """Generate the features (sum of seconds, D) of a modality, with zeros for videos without it.

    Only one class at a time is in memory as float32.
    """
    random = np.random.default_rng([recipe.seed, 2 if name == "audio" else 3])
    width, strength = getattr(recipe, f"{name}_width"), np.float32(getattr(recipe, f"{name}_strength"))
    centres = strength * _centres(vectors, recipe.own, random)
    factors = random.standard_normal((_FACTORS, width), np.float32) / np.float32(np.sqrt(_FACTORS))
    features = np.zeros((int(seconds.sum()), width), recipe.dtype)
    row = 0
    for label, centre in enumerate(centres):
        of_class = labels == label
        scatter = random.standard_normal((int(of_class.sum()), _FACTORS), np.float32)
        videos = (centre + np.float32(recipe.noise) * scatter) @ factors  # (M, D)
        rows = np.repeat(videos, seconds[of_class], axis=0)  # (R, D)
        rows += np.float32(recipe.second_noise) * random.standard_normal(rows.shape, np.float32)
        rows[~np.repeat(present[of_class], seconds[of_class])] = 0
        features[row : row + len(rows)] = rows
        row += len(rows)
    return features


def _centres(vectors: Vector, own: float, random: np.random.Generator) -> Vector:
    """Generate class centres (C, F) with standard deviation 1.

    Each centre is the output of a random network for the class vector, mixed with a random component.
    """
    hidden = np.tanh(vectors @ random.standard_normal((vectors.shape[1], _HIDDEN), np.float32))
    predicted = hidden @ random.standard_normal((_HIDDEN, _FACTORS), np.float32)
    predicted /= predicted.std()
    centres: Vector = np.float32(np.sqrt(1 - own)) * predicted
    centres += np.float32(np.sqrt(own)) * random.standard_normal(centres.shape, np.float32)
    return centres
