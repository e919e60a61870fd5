"""`avzsl prepare synthetic`: fill a workspace with generated features, on request with a benchmark's classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from pipeline.avgzsl_benchmark.synthetic.generate import SyntheticBenchmark, synthetic_benchmark
from pipeline.avgzsl_benchmark.synthetic.recipe import RECIPES, SyntheticRecipe
from pipeline.avgzsl_benchmark.synthetic.shapes import SHAPES, Shape
from pipeline.avgzsl_benchmark.synthetic.workspace import write_benchmark
from pipeline.base.errors import UsageError
from pipeline.base.progress import Reporter
from pipeline.base.wording import did_you_mean, not_a_file
from pipeline.base.workspace import Workspace
from pipeline.class_embeddings.embed import encode_phrases, read_spec, record_spec
from pipeline.datasets.dataset_folder import DatasetFolder
from pipeline.datasets.official.class_lists import read_classes
from pipeline.datasets.official.protocol import BENCHMARKS
from pipeline.datasets.official.split_lists import OfficialSplits, read_official_splits
from pipeline.datasets.phrases import Phrases

_SMALL = Shape(  # not the shape of a benchmark: training on it takes seconds
    train_classes=10,
    val_unseen_classes=4,
    test_unseen_classes=4,
    train=200,
    val_seen=40,
    val_unseen=80,
    test_seen=56,
    test_unseen=80,
    seconds=(2, 6),
)
SHAPE_NAMES = (*SHAPES, "small")


@dataclass(frozen=True)
class SyntheticReport:
    """The result of generating a workspace."""

    folder: Path  # of the dataset
    classes: int  # with videos
    listed_classes: int
    videos: int
    seconds: int
    split_counts: Mapping[str, tuple[int, int]]  # split -> classes, videos
    class_names: str  # the source of the class names, in words
    recipe: Mapping[str, Any]  # the values of the recipe by name, without those of properties that are switched off
    features: Path
    text: Path  # the file of class vectors


def recipe_of(values: Mapping[str, object], assignments: Sequence[str], name: str = "plain") -> SyntheticRecipe:
    """Make a recipe from a named one, values and texts NAME=VALUE.

    Args:
        values: name of a field -> value; None to keep the value of the named recipe.
        assignments: texts NAME=VALUE, which count more than `values`.
        name: name of the recipe that gives all other values.

    Raises:
        UsageError: an unknown name, or a value that is not allowed.
    """
    name = name.strip().lower()
    if name not in RECIPES:
        raise UsageError(f"unknown recipe {name!r}.{did_you_mean(name, RECIPES)} Choose one of {', '.join(RECIPES)}")
    kinds = {entry.name: type(getattr(SyntheticRecipe(), entry.name)) for entry in fields(SyntheticRecipe)}
    chosen: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
    for assignment in assignments:
        field, equals, text = assignment.partition("=")
        if field not in kinds:
            known = ", ".join(kinds)
            raise UsageError(
                f"--set {assignment}: unknown value {field!r}.{did_you_mean(field, kinds)} Choose one of {known}"
            )
        try:
            chosen[field] = kinds[field](text)
        except ValueError as error:
            kind = "a whole number" if kinds[field] is int else "a number"
            raise UsageError(f"--set {assignment}: {text!r} is not {kind}: write {field}=VALUE") from error
        if not equals:
            raise UsageError(f"--set {assignment}: write {field}=VALUE")
    try:
        recipe = replace(RECIPES[name], **chosen)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if recipe.dtype not in {"float16", "float32"}:
        raise UsageError(f"dtype is {recipe.dtype!r}, must be float16 or float32")
    if recipe.audio_width != recipe.visual_width or recipe.audio_width < 1:
        raise UsageError(
            f"audio_width is {recipe.audio_width} and visual_width {recipe.visual_width}: a features.h5 has one width"
        )
    return recipe


def prepare_synthetic(
    workspace: Workspace, shape_name: str, benchmark_folder: Path | None, recipe: SyntheticRecipe, reporter: Reporter
) -> SyntheticReport:
    """Fill a workspace with generated features, so that `avzsl train` runs on them.

    Args:
        workspace: a workspace without extracted features; the caller must hold its lock.
        shape_name: ucf, activitynet, vggsound or small.
        benchmark_folder: the folder with UCF/class-split (or that of another benchmark) and w2v_features; None to make
            up names and vectors.
        recipe: how features come from class vectors.
        reporter: receives a warning if files of an existing dataset are backed up.

    Raises:
        UsageError: an unknown shape, a folder without the benchmark's lists, or a workspace of extracted features.
        StorageError: a full disk.
    """
    shape_name = shape_name.strip().lower()
    if shape_name not in SHAPE_NAMES:
        hint = did_you_mean(shape_name, SHAPE_NAMES)
        raise UsageError(f"unknown shape {shape_name!r}.{hint} Choose one of {', '.join(SHAPE_NAMES)}")
    if workspace.extractor_file.exists():
        raise UsageError(f"{workspace.root} has features extracted from videos: choose another folder with --workspace")
    benchmark, names = _generated(shape_name, benchmark_folder, recipe)
    origin = f"avzsl prepare synthetic --shape {shape_name}"
    folder = DatasetFolder(workspace.dataset_folder, origin, workspace.root)
    folder.make_room(reporter)
    with folder.rewriting({"generated": recipe.to_plain()}, reporter):
        vectors = write_benchmark(benchmark, workspace)
    record_spec(workspace, read_spec(str(vectors)))
    labels = dict(zip(benchmark.features.keys, benchmark.features.labels.tolist(), strict=True))
    return SyntheticReport(
        folder=folder.path,
        classes=len(benchmark.phrases),
        listed_classes=len(benchmark.phrases) + len(benchmark.others),
        videos=len(benchmark.features.keys),
        seconds=int(benchmark.features.seconds.sum()),
        split_counts={
            split: (len({labels[key] for key in keys}), len(keys)) for split, keys in benchmark.splits.by_name.items()
        },
        class_names=names,
        recipe=recipe.to_plain(),
        features=workspace.current_features(),
        text=vectors,
    )


def _generated(shape_name: str, folder: Path | None, recipe: SyntheticRecipe) -> tuple[SyntheticBenchmark, str]:
    """Generate the data; return them with the source of their class names."""
    if folder is None or shape_name == "small":
        if folder is not None:
            raise UsageError("--shape small has its own class names: leave --benchmark out")
        return synthetic_benchmark(SHAPES.get(shape_name, _SMALL), recipe), "made up"
    return official_benchmark(shape_name, folder, recipe), str(folder / BENCHMARKS[shape_name].dataset / "class-split")


def official_benchmark(shape_name: str, folder: Path, recipe: SyntheticRecipe) -> SyntheticBenchmark:
    """Generate features with the class names, sizes and class vectors of a benchmark.

    Args:
        shape_name: ucf, activitynet or vggsound.
        folder: the folder with UCF/class-split (or that of another benchmark) and w2v_features.
        recipe: how features come from class vectors.

    Raises:
        UsageError: a folder without the benchmark's lists.
    """
    known = BENCHMARKS[shape_name]
    class_split = folder / known.dataset / "class-split"
    vectors_file = folder / "w2v_features" / known.vectors
    for path in (class_split, vectors_file):
        if not path.exists():
            raise UsageError(f"{folder} is not the folder of the benchmark's lists: {not_a_file(path)}")
    phrases = dict(read_classes(class_split, "main_split").phrases)
    rows = encode_phrases(read_spec(str(vectors_file)), list(phrases.values())).vectors
    vectors = dict(zip(phrases, rows, strict=True))
    shape, order = _official_shape(shape_name, class_split, phrases, recipe.seed)
    benchmark = synthetic_benchmark(shape, recipe, {name: vectors[name] for name in order})
    others = {name: (phrases[name], vectors[name].astype(np.float32)) for name in phrases if name not in set(order)}
    own = {name: phrases[name] for name in benchmark.phrases}
    return replace(benchmark, phrases=own, others=others)


def _official_shape(
    shape_name: str, class_split: Path, phrases: Mapping[str, Phrases], seed: int
) -> tuple[Shape, list[str]]:
    """Return the numbers of classes and videos, and the names of the classes.

    The classes come in the order of `synthetic_benchmark`. Without lists of the main split they are chosen at random.
    """
    usual = SHAPES[shape_name]
    if not (class_split / "main_split").is_dir():
        return usual, Random(seed).sample(sorted(phrases), usual.classes)
    official = read_official_splits(class_split)
    train, val_unseen, test_unseen = (_classes_of(official, split) for split in ("train", "val_unseen", "test_unseen"))
    shape = Shape(
        train_classes=len(train),
        val_unseen_classes=len(val_unseen),
        test_unseen_classes=len(test_unseen),
        **{split: len(names) for split, names in official.by_name.items()},
        seconds=usual.seconds,
    )
    return shape, [*train, *val_unseen, *test_unseen]


def _classes_of(official: OfficialSplits, split: str) -> list[str]:
    """Return the sorted classes of a split in their official spelling."""
    return sorted({official.called(official.class_of[name]) or "" for name in official.by_name[split]})
