"""pipeline/synthetic*.py: generated benchmarks have the shape asked for, and features that tell their class."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.avgzsl_benchmark.synthetic.generate import Recipe, SyntheticBenchmark, synthetic_benchmark
from pipeline.avgzsl_benchmark.synthetic.shapes import SHAPES, Shape
from pipeline.avgzsl_benchmark.synthetic.workspace import write_benchmark
from pipeline.base.workspace import Workspace
from pipeline.datasets.dataset import load_dataset
from pipeline.datasets.splits import read_splits
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
NARROW = Recipe(audio_width=24, visual_width=24, text_width=10)


def classes_of(benchmark: SyntheticBenchmark, part: str) -> set[str]:
    """The classes of a part of the splits, by the features' labels."""
    places = benchmark.features.indices(benchmark.splits.by_name[part])
    return {benchmark.features.classes[label] for label in benchmark.features.labels[places].tolist()}


def test_a_benchmark_has_the_classes_and_videos_asked_for() -> None:
    """Every video is in one part; test_seen is of the classes that training and validation know."""
    benchmark = synthetic_benchmark(SMALL, NARROW)
    features, parts = benchmark.features, benchmark.splits.by_name

    assert {part: len(keys) for part, keys in parts.items()} == {part: getattr(SMALL, part) for part in parts}
    assert sorted(key for keys in parts.values() for key in keys) == sorted(features.keys)
    assert classes_of(benchmark, "val_seen") == classes_of(benchmark, "train")
    assert classes_of(benchmark, "test_seen") == classes_of(benchmark, "train") | classes_of(benchmark, "val_unseen")
    assert not classes_of(benchmark, "val_unseen") & classes_of(benchmark, "train")
    assert not classes_of(benchmark, "test_unseen") & classes_of(benchmark, "test_seen")
    assert [len(classes_of(benchmark, part)) for part in ("train", "val_unseen", "test_unseen")] == [4, 2, 3]
    assert features.classes == tuple(sorted(features.classes)) == tuple(benchmark.phrases)
    assert benchmark.class_vectors.shape == (9, 10)


def test_features_are_stored_in_half_precision_one_video_behind_the_other() -> None:
    """Lengths lie in the range; both modalities have as many rows."""
    features = synthetic_benchmark(SMALL, NARROW).features

    assert features.visual.dtype == features.audio.dtype == torch.float16
    assert len(features.visual) == len(features.audio) == int(features.seconds.sum())
    assert set(features.seconds.tolist()) == {1, 2, 3, 4}
    assert torch.equal(features.offsets[1:], features.seconds.cumsum(0)[:-1])


def test_equal_seeds_give_equal_data_and_others_other_data() -> None:
    """The fingerprint of the content follows."""
    first, second = synthetic_benchmark(SMALL, NARROW), synthetic_benchmark(SMALL, NARROW)
    other = synthetic_benchmark(SMALL, dataclasses.replace(NARROW, seed=1))

    assert torch.equal(first.features.audio, second.features.audio)
    assert torch.equal(first.features.visual, second.features.visual)
    assert first.features.attributes == second.features.attributes
    assert other.features.attributes["content"] != first.features.attributes["content"]
    assert not np.array_equal(first.class_vectors, other.class_vectors)


def test_a_given_share_of_videos_lacks_audio_and_none_lacks_both() -> None:
    """An absent modality's rows are zeros, as in every features.h5."""
    recipe = dataclasses.replace(NARROW, missing_audio=0.4, missing_visual=0.3)

    features = synthetic_benchmark(SMALL, recipe).features

    assert 0.25 < float((~features.has_audio).float().mean()) < 0.55
    assert 0.15 < float((~features.has_visual).float().mean()) < 0.45
    assert (features.has_audio | features.has_visual).all()
    owner = torch.repeat_interleave(torch.arange(len(features.keys)), features.seconds)
    assert torch.equal(features.audio.any(1), features.has_audio[owner])
    assert torch.equal(features.visual.any(1), features.has_visual[owner])


def between_classes(benchmark: SyntheticBenchmark, modality: str) -> float:
    """Share of the variance of the videos' means that lies between classes."""
    features = benchmark.features
    values = getattr(features, modality).double()
    owner = torch.repeat_interleave(torch.arange(len(features.keys)), features.seconds)
    videos = torch.zeros(len(features.keys), values.shape[1], dtype=torch.float64).index_add_(0, owner, values)
    videos /= features.seconds[:, None]
    centres = torch.stack([videos[features.labels == label].mean(0) for label in range(len(features.classes))])
    return float((centres[features.labels] - videos.mean(0)).square().sum() / (videos - videos.mean(0)).square().sum())


def test_visual_features_tell_the_class_better_than_audio_unless_asked_otherwise() -> None:
    """The imbalance of the modalities is set by their strengths."""
    plain = synthetic_benchmark(SMALL, NARROW)
    turned = synthetic_benchmark(SMALL, dataclasses.replace(NARROW, audio_strength=2.0, visual_strength=0.1))

    assert between_classes(plain, "visual") > 1.3 * between_classes(plain, "audio")
    assert between_classes(turned, "audio") > 3 * between_classes(turned, "visual")


def nearest_class_rate(own: float) -> float:
    """How often an unseen class's video is nearest to its class by a linear map from seen classes' vectors."""
    shape = dataclasses.replace(SMALL, train_classes=60, train=1200, val_seen=60, test_seen=62, test_unseen=300)
    recipe = Recipe(audio_width=24, visual_width=24, text_width=10, visual_strength=1.5, own=own)
    benchmark = synthetic_benchmark(shape, recipe)
    features, vectors = benchmark.features, torch.from_numpy(benchmark.class_vectors).double()
    first = features.visual[features.offsets].double()
    train, test = (features.indices(benchmark.splits.by_name[part]) for part in ("train", "test_unseen"))
    solution = torch.linalg.lstsq(vectors[features.labels[train]], first[train]).solution
    unseen = torch.unique(features.labels[test])
    nearest = torch.cdist(first[test], vectors[unseen] @ solution).argmin(1)
    return float((unseen[nearest] == features.labels[test]).double().mean())


def test_class_vectors_tell_unseen_classes_as_far_as_they_are_let() -> None:
    """Zero-shot transfer is possible and imperfect; it is chance (1/3) where classes have only what is their own."""
    assert 0.5 < nearest_class_rate(own=0.0) < 1
    assert nearest_class_rate(own=1.0) < 0.5


def test_given_class_vectors_name_the_classes_in_their_order() -> None:
    """The first are trained on, the last are the unseen ones of the test, the rest is left out."""
    names = ["Zebra", "YoYo", "Xylophone", "Waltz", "Violin", "Umpire", "TaiChi", "Surf", "Rope", "unused"]
    given = {name: np.eye(10, dtype=np.float32)[place] for place, name in enumerate(names)}

    benchmark = synthetic_benchmark(SMALL, NARROW, given)

    assert benchmark.features.classes == tuple(sorted(names[:9]))
    assert classes_of(benchmark, "train") == set(names[:4])
    assert classes_of(benchmark, "test_unseen") == {"TaiChi", "Surf", "Rope"}
    assert benchmark.phrases["TaiChi"] == ("tai chi",)
    np.testing.assert_array_equal(benchmark.class_vectors[0], given["Rope"])


def test_the_shapes_are_the_benchmarks() -> None:
    """Classes 30/12/9, 99/51/50, 138/69/69; stage 2 of UCF trains on 4994 videos."""
    sizes = [(s.train_classes, s.val_unseen_classes, s.test_unseen_classes) for s in SHAPES.values()]
    ucf = SHAPES["ucf"]

    assert sizes == [(30, 12, 9), (99, 51, 50), (138, 69, 69)]
    assert ucf.train + ucf.val_seen + ucf.val_unseen == 4994


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": 3}, "train is 3, must be 0 or at least 4, its classes"),
        ({"train_classes": 1}, "train_classes is 1: at least 2"),
        ({"seconds": (3, 2)}, r"seconds are \(3, 2\), must be \(shortest, longest\)"),
    ],
)
def test_an_impossible_shape_fails(change: dict[str, object], message: str) -> None:
    """What is given and what is allowed."""
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **change)  # type: ignore[arg-type]  # a mapping of any fields


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise": -1.0}, r"noise is -1.0, must be at least 0"),
        ({"own": 1.5}, "own is 1.5, must be at most 1"),
        ({"missing_audio": 0.6, "missing_visual": 0.6}, "no video lacks both"),
    ],
)
def test_an_impossible_recipe_fails(change: dict[str, float], message: str) -> None:
    """What is given and what is allowed."""
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(NARROW, **change)  # type: ignore[arg-type]  # a mapping of any fields


def test_too_few_class_vectors_fail() -> None:
    """Each class needs one."""
    with pytest.raises(ValueError, match="2 class vectors, must be at least 9"):
        synthetic_benchmark(SMALL, NARROW, {"a": np.ones(2, np.float32), "b": np.ones(2, np.float32)})


def test_a_workspace_holds_the_benchmark_as_an_extraction_leaves_it(tmp_path: Path) -> None:
    """Dataset, splits and features come back as they were generated."""
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
