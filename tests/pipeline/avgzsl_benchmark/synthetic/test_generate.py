"""pipeline/avgzsl_benchmark/synthetic/generate.py: data has the requested shape, and features depend on the class."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.avgzsl_benchmark.synthetic.generate import SyntheticBenchmark, synthetic_benchmark
from pipeline.avgzsl_benchmark.synthetic.recipe import SyntheticRecipe
from pipeline.avgzsl_benchmark.synthetic.shapes import SHAPES, Shape
from pipeline.avgzsl_benchmark.synthetic.workspace import write_benchmark
from pipeline.base.workspace import Workspace
from pipeline.datasets.dataset import load_dataset
from pipeline.datasets.splits.splits import read_splits
from pipeline.features.feature_set import load_features

SMALL = Shape(
    train_classes=4,
    val_unseen_classes=2,
    test_unseen_classes=3,
    train=41,
    val_seen=8,
    val_unseen=20,
    test_seen=13,
    test_unseen=31,
    seconds=(1, 4),
)
NARROW = SyntheticRecipe(audio_width=24, visual_width=24, text_width=10)


def classes_of(benchmark: SyntheticBenchmark, split: str) -> set[str]:
    """Return the classes of a split by the labels of the features."""
    indices = benchmark.features.indices(benchmark.splits.by_name[split])
    return {benchmark.features.classes[label] for label in benchmark.features.labels[indices].tolist()}


def test_a_benchmark_has_the_requested_classes_and_videos() -> None:
    """Every video is in one split; test_seen has the classes of training and validation."""
    benchmark = synthetic_benchmark(SMALL, NARROW)
    features, splits = benchmark.features, benchmark.splits.by_name

    assert {split: len(keys) for split, keys in splits.items()} == {split: getattr(SMALL, split) for split in splits}
    assert sorted(key for keys in splits.values() for key in keys) == sorted(features.keys)
    assert classes_of(benchmark, "val_seen") == classes_of(benchmark, "train")
    assert classes_of(benchmark, "test_seen") == classes_of(benchmark, "train") | classes_of(benchmark, "val_unseen")
    assert not classes_of(benchmark, "val_unseen") & classes_of(benchmark, "train")
    assert not classes_of(benchmark, "test_unseen") & classes_of(benchmark, "test_seen")
    assert [len(classes_of(benchmark, split)) for split in ("train", "val_unseen", "test_unseen")] == [4, 2, 3]
    assert features.classes == tuple(sorted(features.classes)) == tuple(benchmark.phrases)
    assert benchmark.class_vectors.shape == (9, 10)


def test_features_are_stored_in_half_precision_one_video_after_the_other() -> None:
    """Lengths are in the range, and both modalities have the same number of rows."""
    features = synthetic_benchmark(SMALL, NARROW).features

    assert features.visual.dtype == features.audio.dtype == torch.float16
    assert len(features.visual) == len(features.audio) == int(features.seconds.sum())
    assert set(features.seconds.tolist()) == {1, 2, 3, 4}
    assert torch.equal(features.offsets[1:], features.seconds.cumsum(0)[:-1])


def test_data_depends_on_the_seed_only() -> None:
    """Equal seeds give equal data and an equal fingerprint of the content; another seed changes both."""
    first, second = synthetic_benchmark(SMALL, NARROW), synthetic_benchmark(SMALL, NARROW)
    other = synthetic_benchmark(SMALL, dataclasses.replace(NARROW, seed=1))

    assert torch.equal(first.features.audio, second.features.audio)
    assert torch.equal(first.features.visual, second.features.visual)
    assert first.features.attributes == second.features.attributes
    assert other.features.attributes["content"] != first.features.attributes["content"]
    assert not np.array_equal(first.class_vectors, other.class_vectors)


def test_a_given_share_of_videos_lacks_audio_and_none_lacks_both() -> None:
    """The rows of an absent modality are zeros, as in every features.h5."""
    recipe = dataclasses.replace(NARROW, missing_audio=0.4, missing_visual=0.3)

    features = synthetic_benchmark(SMALL, recipe).features

    assert 0.25 < float((~features.has_audio).float().mean()) < 0.55
    assert 0.15 < float((~features.has_visual).float().mean()) < 0.45
    assert (features.has_audio | features.has_visual).all()
    owner = torch.repeat_interleave(torch.arange(len(features.keys)), features.seconds)
    assert torch.equal(features.audio.any(1), features.has_audio[owner])
    assert torch.equal(features.visual.any(1), features.has_visual[owner])


def between_classes(benchmark: SyntheticBenchmark, modality: str) -> float:
    """Compute which share of the variance of the videos' means is between classes."""
    features = benchmark.features
    values = getattr(features, modality).double()
    owner = torch.repeat_interleave(torch.arange(len(features.keys)), features.seconds)
    videos = torch.zeros(len(features.keys), values.shape[1], dtype=torch.float64).index_add_(0, owner, values)
    videos /= features.seconds[:, None]
    centres = torch.stack([videos[features.labels == label].mean(0) for label in range(len(features.classes))])
    return float((centres[features.labels] - videos.mean(0)).square().sum() / (videos - videos.mean(0)).square().sum())


def test_the_strengths_of_a_recipe_decide_which_modality_separates_the_classes_better() -> None:
    """By default it is the visual one."""
    plain = synthetic_benchmark(SMALL, NARROW)
    turned = synthetic_benchmark(SMALL, dataclasses.replace(NARROW, audio_strength=2.0, visual_strength=0.1))

    assert between_classes(plain, "visual") > 1.3 * between_classes(plain, "audio")
    assert between_classes(turned, "audio") > 3 * between_classes(turned, "visual")


def nearest_class_rate(own: float) -> float:
    """Compute how often a video of an unseen class is nearest to its class, by a linear map fitted on seen classes."""
    shape = dataclasses.replace(SMALL, train_classes=60, train=1200, val_seen=60, test_seen=62, test_unseen=300)
    recipe = SyntheticRecipe(audio_width=24, visual_width=24, text_width=10, visual_strength=1.5, own=own)
    benchmark = synthetic_benchmark(shape, recipe)
    features, vectors = benchmark.features, torch.from_numpy(benchmark.class_vectors).double()
    first = features.visual[features.offsets].double()
    train, test = (features.indices(benchmark.splits.by_name[split]) for split in ("train", "test_unseen"))
    solution = torch.linalg.lstsq(vectors[features.labels[train]], first[train]).solution
    unseen = torch.unique(features.labels[test])
    nearest = torch.cdist(first[test], vectors[unseen] @ solution).argmin(1)
    return float((unseen[nearest] == features.labels[test]).double().mean())


def test_class_vectors_predict_unseen_classes_unless_the_classes_are_independent_of_them() -> None:
    """Zero-shot transfer works imperfectly; with own = 1 it is near chance (1/3)."""
    assert 0.5 < nearest_class_rate(own=0.0) < 1
    assert nearest_class_rate(own=1.0) < 0.5


def test_given_class_vectors_name_the_classes_in_their_order() -> None:
    """The first are for training, the last for the unseen test classes; surplus vectors are left out."""
    names = ["Zebra", "YoYo", "Xylophone", "Waltz", "Violin", "Umpire", "TaiChi", "Surf", "Rope", "unused"]
    given = {name: np.eye(10, dtype=np.float32)[index] for index, name in enumerate(names)}

    benchmark = synthetic_benchmark(SMALL, NARROW, given)

    assert benchmark.features.classes == tuple(sorted(names[:9]))
    assert classes_of(benchmark, "train") == set(names[:4])
    assert classes_of(benchmark, "test_unseen") == {"TaiChi", "Surf", "Rope"}
    assert benchmark.phrases["TaiChi"] == ("tai chi",)
    np.testing.assert_array_equal(benchmark.class_vectors[0], given["Rope"])


def test_the_shapes_have_the_sizes_of_the_benchmarks() -> None:
    """The numbers of classes are fixed by the benchmarks; stage 2 of UCF trains on 4994 videos."""
    sizes = [(s.train_classes, s.val_unseen_classes, s.test_unseen_classes) for s in SHAPES.values()]
    ucf = SHAPES["ucf"]

    assert sizes == [(30, 12, 9), (99, 51, 50), (138, 69, 69)]
    assert ucf.train + ucf.val_seen + ucf.val_unseen == 4994


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": 3}, "train is 3, must be 0 or at least 4, one video per class"),
        ({"train_classes": 1}, "train_classes is 1, must be at least 2"),
        ({"seconds": (3, 2)}, r"seconds are \(3, 2\), must be \(shortest, longest\)"),
    ],
)
def test_an_impossible_shape_fails(change: dict[str, object], message: str) -> None:
    """The message names the given value and what is allowed."""
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **change)  # type: ignore[arg-type]  # a mapping of any fields


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise": -1.0}, r"noise is -1.0, must be at least 0"),
        ({"own": 1.5}, "own is 1.5, must be at most 1"),
        ({"missing_audio": 0.6, "missing_visual": 0.6}, "no video may lack both"),
    ],
)
def test_an_impossible_recipe_fails(change: dict[str, float], message: str) -> None:
    """The message names the given value and what is allowed."""
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(NARROW, **change)  # type: ignore[arg-type]  # a mapping of any fields


def test_too_few_class_vectors_fail() -> None:
    """Each class needs a vector."""
    with pytest.raises(ValueError, match="2 class vectors, must be at least 9"):
        synthetic_benchmark(SMALL, NARROW, {"a": np.ones(2, np.float32), "b": np.ones(2, np.float32)})


def test_a_written_benchmark_is_read_back_unchanged(tmp_path: Path) -> None:
    """Dataset, splits and features are as they were generated."""
    benchmark = synthetic_benchmark(SMALL, dataclasses.replace(NARROW, missing_audio=0.3))
    workspace = Workspace(tmp_path)

    write_benchmark(benchmark, workspace)
    dataset = load_dataset(workspace.dataset_folder)
    features = load_features(workspace.current_features(), dataset.classes)

    assert dict(dataset.phrases) == dict(benchmark.phrases)
    assert read_splits(workspace.dataset_folder / "splits.yaml", dataset).by_name == benchmark.splits.by_name
    for name in ("labels", "visual", "audio", "offsets", "seconds", "has_audio", "has_visual"):
        assert torch.equal(getattr(features, name), getattr(benchmark.features, name)), name
    assert features.keys == benchmark.features.keys
    assert features.attributes["content"] == benchmark.features.attributes["content"]


def test_features_of_two_widths_cannot_be_written(tmp_path: Path) -> None:
    """A features.h5 has one width for both modalities."""
    benchmark = synthetic_benchmark(SMALL, dataclasses.replace(NARROW, audio_width=8))

    with pytest.raises(ValueError, match=r"audio is 8 wide and visual 24: a features.h5 has one width"):
        write_benchmark(benchmark, Workspace(tmp_path))
