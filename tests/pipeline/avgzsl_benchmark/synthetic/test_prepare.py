"""pipeline/avgzsl_benchmark/synthetic/prepare.py: a generated workspace for training, also with official classes."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.avgzsl_benchmark.synthetic.prepare import SyntheticReport, prepare_synthetic, recipe_of
from pipeline.avgzsl_benchmark.synthetic.recipe import RECIPES, SyntheticRecipe
from pipeline.base.errors import UsageError
from pipeline.base.progress import SilentReporter
from pipeline.base.workspace import Workspace
from pipeline.class_embeddings.embed import chosen_spec, encode_phrases, read_spec
from pipeline.datasets.dataset import load_dataset, named_dataset, read_phrases
from pipeline.datasets.splits.splits import read_splits
from pipeline.status import workspace_status

NARROW = SyntheticRecipe(audio_width=8, visual_width=8)


def prepared(workspace: Workspace, shape: str = "small", benchmark: Path | None = None) -> SyntheticReport:
    """Generate narrow features in a workspace."""
    return prepare_synthetic(workspace, shape, benchmark, NARROW, SilentReporter())


def test_the_workspace_is_ready_for_training(tmp_path: Path) -> None:
    """It has a dataset, splits, features, and class vectors that training uses by default."""
    workspace = Workspace(tmp_path)

    report = prepared(workspace)
    dataset = load_dataset(workspace.dataset_folder)
    features = next(entry for entry in workspace_status(workspace) if entry.stage == "features")

    assert (report.classes, report.videos) == (len(dataset.classes), len(dataset.videos)) == (18, 456)
    assert read_splits(workspace.dataset_folder / "splits.yaml", dataset).origin
    assert encode_phrases(chosen_spec(workspace, "auto"), list(dataset.phrases.values())).vectors.shape == (
        18,
        300,
    )
    assert (features.state, features.detail) == ("done", "456 of 456 videos · synthetic")


def test_generated_features_are_not_extracted_again(tmp_path: Path) -> None:
    """The message says that there are no videos, and names the next command."""
    workspace = Workspace(tmp_path)
    prepared(workspace)

    with pytest.raises(UsageError, match="holds generated features and no videos: go on with avzsl train"):
        named_dataset(None, workspace.dataset_folder)


def test_a_workspace_of_videos_is_left_alone(tmp_path: Path) -> None:
    """Its features are not mixed with generated ones."""
    workspace = Workspace(tmp_path)
    workspace.extractor_file.parent.mkdir(parents=True)
    workspace.extractor_file.write_text("{}")

    with pytest.raises(UsageError, match="has features extracted from videos: choose another folder with --workspace"):
        prepared(workspace)


def test_splits_edited_by_hand_are_backed_up(tmp_path: Path) -> None:
    """They are backed up next to the new splits."""
    workspace = Workspace(tmp_path)
    prepared(workspace)
    (workspace.dataset_folder / "splits.yaml").write_text("train: []\n")

    prepared(workspace)

    assert (workspace.dataset_folder / "splits.yaml.edited").read_text() == "train: []\n"


@pytest.mark.needs_shared
def test_classes_sizes_and_vectors_of_the_benchmark_are_used(tmp_path: Path, shared: Path) -> None:
    """UCF has 101 classes, of which 51 have videos; every class has its own vector in the file."""
    workspace = Workspace(tmp_path)

    report = prepared(workspace, "ucf", shared / "benchmark")
    phrases = read_phrases(workspace.dataset_folder / "classes.csv")

    assert [count for _, count in report.split_counts.values()] == [3174, 353, 1467, 555, 1267]
    assert (report.classes, report.listed_classes, len(phrases)) == (51, 101, 101)
    assert phrases["HandstandPushups"] == ("Handstand Pushups",)
    official = shared / "benchmark/w2v_features/word_embeddings_ucf_normed.npy"
    ours, expected = (
        encode_phrases(read_spec(str(file)), list(phrases.values())).vectors for file in (report.text, official)
    )
    assert ours == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("shape", "benchmark", "message"),
    [
        ("usf", None, r"unknown shape 'usf'\. Did you mean ucf\? Choose one of ucf, activitynet, vggsound, small"),
        ("ucf", Path(), "is not the folder of the benchmark's lists: .*class-split does not exist"),
        ("small", Path(), "--shape small has its own class names"),
    ],
)
def test_a_wrong_shape_or_folder_is_refused(tmp_path: Path, shape: str, benchmark: Path | None, message: str) -> None:
    """The message names what is wrong and the choices."""
    with pytest.raises(UsageError, match=message):
        prepared(Workspace(tmp_path), shape, benchmark)


def test_a_recipe_is_made_from_options_and_assignments() -> None:
    """Values that are not given keep their defaults."""
    recipe = recipe_of({"audio_strength": 0.1, "visual_strength": None, "seed": 3}, ["noise=2", "dtype=float32"])

    assert recipe == SyntheticRecipe(audio_strength=0.1, seed=3, noise=2.0, dtype="float32")


def test_a_named_recipe_gives_the_other_values() -> None:
    """Assignments count more; an unknown name is refused with the known ones."""
    recipe = recipe_of({"seed": 4}, ["background=0"], "lifelike")

    assert (recipe.seed, recipe.background) == (4, 0)
    assert recipe.foreign_sound == RECIPES["lifelike"].foreign_sound > 0
    with pytest.raises(
        UsageError, match=r"unknown recipe 'livelike'\. Did you mean lifelike\? Choose one of plain, life"
    ):
        recipe_of({}, [], "livelike")


@pytest.mark.needs_shared
def test_every_property_works_with_the_vectors_of_the_benchmark(tmp_path: Path, shared: Path) -> None:
    """Each class keeps its own vector, also the classes of an order pair."""
    recipe = replace(RECIPES["lifelike"], audio_width=8, visual_width=8)

    report = prepare_synthetic(Workspace(tmp_path), "ucf", shared / "benchmark", recipe, SilentReporter())

    official = shared / "benchmark/w2v_features/word_embeddings_ucf_normed.npy"
    phrases = read_phrases(tmp_path / "dataset/classes.csv")
    ours, expected = (
        encode_phrases(read_spec(str(file)), list(phrases.values())).vectors for file in (report.text, official)
    )
    assert ours == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("nois=1", r"unknown value 'nois'\. Did you mean noise\?"),
        ("noise=much", "--set noise=much: 'much' is not a number: write noise=VALUE"),
        ("text_width=1.5", "'1.5' is not a whole number"),
        ("noise", "'' is not a number"),
        ("dtype", "write dtype=VALUE"),
        ("noise=-1", "noise is -1.0, must be at least 0"),
        ("own=2", "own is 2.0, must be at most 1"),
        ("dtype=int8", "dtype is 'int8', must be float16 or float32"),
        ("audio_width=4", "audio_width is 4 and visual_width 512"),
    ],
)
def test_a_wrong_assignment_is_refused(assignment: str, message: str) -> None:
    """The message names the value and what is allowed."""
    with pytest.raises(UsageError, match=message):
        recipe_of({}, [assignment])
