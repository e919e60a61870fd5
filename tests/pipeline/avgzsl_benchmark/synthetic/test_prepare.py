"""pipeline/avgzsl_benchmark/synthetic/prepare.py: a workspace that trains, also with the official classes."""

from pathlib import Path

import pytest

from pipeline.avgzsl_benchmark.synthetic.generate import Recipe
from pipeline.avgzsl_benchmark.synthetic.prepare import SyntheticReport, prepare_synthetic, recipe_of
from pipeline.base.errors import UsageError
from pipeline.base.progress import SilentReporter
from pipeline.base.workspace import Workspace
from pipeline.class_embeddings.embed import chosen_spec, encode_phrases, read_spec
from pipeline.datasets.dataset import load_dataset, named_dataset, read_phrases
from pipeline.datasets.splits import read_splits
from pipeline.status import workspace_status

NARROW = Recipe(audio_width=8, visual_width=8)


def prepared(workspace: Workspace, shape: str = "small", benchmark: Path | None = None) -> SyntheticReport:
    """Generate narrow features."""
    return prepare_synthetic(workspace, shape, benchmark, NARROW, SilentReporter())


def test_the_workspace_is_ready_for_training(tmp_path: Path) -> None:
    """Dataset, splits, features, and class vectors that are taken where no encoder is asked for."""
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
    """There are no videos: the next command is named."""
    workspace = Workspace(tmp_path)
    prepared(workspace)

    with pytest.raises(UsageError, match="holds generated features and no videos: go on with avzsl train"):
        named_dataset(None, workspace.dataset_folder)


def test_a_workspace_of_videos_is_left_alone(tmp_path: Path) -> None:
    """Its features are not mixed with generated ones."""
    workspace = Workspace(tmp_path)
    workspace.extractor_file.parent.mkdir(parents=True)
    workspace.extractor_file.write_text("{}")

    with pytest.raises(UsageError, match="holds features of videos: choose another folder with --workspace"):
        prepared(workspace)


def test_splits_edited_by_hand_survive_the_next_generation(tmp_path: Path) -> None:
    """They lie beside the new ones."""
    workspace = Workspace(tmp_path)
    prepared(workspace)
    (workspace.dataset_folder / "splits.yaml").write_text("train: []\n")

    prepared(workspace)

    assert (workspace.dataset_folder / "splits.yaml.edited").read_text() == "train: []\n"


@pytest.mark.needs_shared
def test_the_benchmarks_classes_sizes_and_vectors_are_taken(tmp_path: Path, shared: Path) -> None:
    """UCF: 51 classes with videos of 101; every listed class has its own vector in the file."""
    workspace = Workspace(tmp_path)

    report = prepared(workspace, "ucf", shared / "benchmark")
    phrases = read_phrases(workspace.dataset_folder / "classes.csv")

    assert [count for _, count in report.split_counts.values()] == [3174, 353, 1467, 555, 1267]
    assert (report.classes, report.listed_classes, len(phrases)) == (51, 101, 101)
    assert phrases["HandstandPushups"] == ("Handstand Pushups",)
    official = shared / "benchmark/w2v_features/word_embeddings_ucf_normed.npy"
    ours, theirs = (
        encode_phrases(read_spec(str(file)), list(phrases.values())).vectors for file in (report.text, official)
    )
    assert ours == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize(
    ("shape", "benchmark", "message"),
    [
        ("usf", None, r"unknown shape 'usf'\. Did you mean ucf\? There are ucf, activitynet, vggsound, small"),
        ("ucf", Path(), "is not the folder of the benchmark's lists: .*class-split does not exist"),
        ("small", Path(), "--shape small has class names of its own"),
    ],
)
def test_a_wrong_shape_or_folder_is_one_line(tmp_path: Path, shape: str, benchmark: Path | None, message: str) -> None:
    """What there is to choose from."""
    with pytest.raises(UsageError, match=message):
        prepared(Workspace(tmp_path), shape, benchmark)


def test_a_recipe_is_made_of_options_and_assignments() -> None:
    """What is not given keeps its default."""
    recipe = recipe_of({"audio_strength": 0.1, "visual_strength": None, "seed": 3}, ["noise=2", "dtype=float32"])

    assert recipe == Recipe(audio_strength=0.1, seed=3, noise=2.0, dtype="float32")


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
def test_a_recipe_that_cannot_be_is_one_line(assignment: str, message: str) -> None:
    """The value, and what is allowed."""
    with pytest.raises(UsageError, match=message):
        recipe_of({}, [assignment])
