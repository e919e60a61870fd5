"""Generate features from class vectors in the shape of a benchmark, so that zero-shot transfer works imperfectly.

The recipe says how features come from class vectors (recipe.py). events.py chooses what each second shows, and
modality.py makes the features of it. Legend: C classes, W width of a class vector.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.avgzsl_benchmark.synthetic.events import OrderPairs, Scenes
from pipeline.avgzsl_benchmark.synthetic.modality import modality_features
from pipeline.avgzsl_benchmark.synthetic.recipe import SyntheticRecipe
from pipeline.avgzsl_benchmark.synthetic.shapes import SHAPES, Shape
from pipeline.base.files import fingerprint
from pipeline.datasets.phrases import Phrases, phrases_of_name
from pipeline.datasets.splits.splits import Splits
from pipeline.features.feature_set import FeatureSet

_CLASSES_PER_CLUSTER = 4  # in generated class vectors

Vector = NDArray[np.float32]


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
    # What a class is used for: 0 for training, 1 as unseen in validation, 2 as unseen in the test.
    ends = np.cumsum((shape.train_classes, shape.val_unseen_classes))
    uses = np.searchsorted(ends, [index_of[name] for name in classes], side="right")
    return SyntheticBenchmark(
        features=_features(shape, recipe, classes, vectors, keys, uses),
        splits=Splits(**splits, origin={"synthetic": recipe.to_plain()}),
        phrases={name: phrases_of_name(name) for name in classes},
        class_vectors=vectors,
    )


def _clustered_vectors(classes: int, recipe: SyntheticRecipe) -> dict[str, Vector]:
    """Generate random unit vectors that are somewhat alike, and more alike within a cluster."""
    random = recipe.random("vectors")
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
    uses: NDArray[np.int64],
) -> FeatureSet:
    """Generate the features of all videos, class by class.

    Args:
        shape: the lengths of the videos.
        recipe: how features come from class vectors.
        classes: C names.
        vectors: (C, W), the class vectors.
        keys_of_classes: the keys of the videos of each class.
        uses: (C,) what a class is used for; order pairs are made within a use.
    """
    keys = tuple(key for of_class in keys_of_classes for key in of_class)
    labels = np.repeat(np.arange(len(classes)), [len(of_class) for of_class in keys_of_classes])
    random = recipe.random("lengths")
    seconds = random.integers(shape.seconds[0], shape.seconds[1] + 1, size=len(keys))
    draws = random.random(len(keys))
    has_audio = draws >= recipe.missing_audio
    has_visual = draws < 1 - recipe.missing_visual
    content = fingerprint([asdict(shape), recipe.to_plain(), classes, vectors.astype(float).round(6).tolist()])
    pairs = OrderPairs.choose(vectors, uses, recipe.order_pairs)
    scenes = Scenes.draw(recipe, labels, seconds, len(classes))
    visual = modality_features("visual", recipe, vectors, pairs, scenes, has_visual)
    audio = modality_features("audio", recipe, vectors, pairs, scenes, has_audio)
    return FeatureSet(
        keys=keys,
        classes=classes,
        labels=torch.from_numpy(labels),
        visual=torch.from_numpy(visual),
        audio=torch.from_numpy(audio),
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
