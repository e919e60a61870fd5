"""pipeline/training/inputs.py: the inputs of a run, the messages about them, and the inputs that are refused."""

import csv
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from daan.config import DaanConfig
from pipeline.avgzsl_benchmark.synthetic.generate import synthetic_benchmark
from pipeline.avgzsl_benchmark.synthetic.recipe import SyntheticRecipe
from pipeline.avgzsl_benchmark.synthetic.shapes import Shape
from pipeline.avgzsl_benchmark.synthetic.workspace import write_benchmark
from pipeline.base.errors import PipelineError, UsageError
from pipeline.base.progress import SilentReporter
from pipeline.base.workspace import Workspace
from pipeline.datasets.dataset import Video, load_dataset, save_dataset
from pipeline.datasets.splits.splits import Splits, write_splits
from pipeline.features.index import SourceFile, StoredVideo, features_checksum, table_checksum
from pipeline.features.store import FeatureRows, write_part
from pipeline.settings.training import TextSettings, TrainingSettings
from pipeline.settings.tree import Settings
from pipeline.training.inputs import TrainingInputs, gather_inputs

SHAPE = Shape(
    train_classes=4,
    val_unseen_classes=2,
    test_unseen_classes=2,
    train=40,
    val_seen=8,
    val_unseen=10,
    test_seen=12,
    test_unseen=10,
    seconds=(1, 3),
)
NAMES = ["Zebra", "YoYo", "Xylophone", "Waltz", "Violin", "Umpire", "TaiChi", "Surf"]


class RecordingReporter(SilentReporter):
    """Records the lines that it receives."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        """Record the line."""
        self.lines.append(line)

    def warn(self, line: str) -> None:
        """Record the line."""
        self.lines.append(line)


class Generated:
    """A workspace with generated data, and the settings of a training on it."""

    def __init__(self, root: Path, shape: Shape | None = None) -> None:
        self.workspace, self.reporter = Workspace(root), RecordingReporter()
        vectors = {name: np.eye(9, dtype=np.float32)[index] for index, name in enumerate(NAMES)}
        self.benchmark = synthetic_benchmark(shape or SHAPE, SyntheticRecipe(audio_width=12, visual_width=12), vectors)
        self.encoder = str(write_benchmark(self.benchmark, self.workspace))
        self.settings = Settings(text=TextSettings(encoder=self.encoder), training=TrainingSettings(batch_pairs=8))

    def change(self, section: str, **values: object) -> "Generated":
        """Change settings of a section."""
        changed = dataclasses.replace(getattr(self.settings, section), **values)
        self.settings = dataclasses.replace(self.settings, **{section: changed})
        return self

    def use_splits(self, **replaced: Sequence[str]) -> "Generated":
        """Replace some of the splits."""
        splits = {name: tuple(keys) for name, keys in {**self.benchmark.splits.by_name, **replaced}.items()}
        write_splits(Splits(**splits), self.workspace.dataset_folder / "splits.yaml")
        return self

    def gather(self) -> TrainingInputs:
        """Gather the inputs with the splits of the dataset."""
        return gather_inputs(self.workspace, self.settings, None, hold_out_anew=False, reporter=self.reporter)


@pytest.fixture
def generated(tmp_path: Path) -> Generated:
    """Eight classes; the last two are unseen."""
    return Generated(tmp_path)


def test_inputs_follow_the_datasets_splits(generated: Generated) -> None:
    """Indices, classes and widths come from the data; only the classes are reported."""
    inputs = generated.gather()

    assert len(inputs.indices("train", "val_seen")) == 48
    assert inputs.names_of("test_unseen") == ["Surf", "TaiChi"]
    assert int(inputs.videos_of_classes("train").sum()) == 40
    assert torch.equal(inputs.classes_of("test_unseen"), inputs.videos_of_classes("test_unseen") > 0)
    assert (inputs.config.audio_width, inputs.config.visual_width, inputs.config.text_width) == (12, 12, 9)
    assert generated.reporter.lines == ["8 classes: 6 seen, 2 unseen: Surf, TaiChi (by the dataset's splits)"]


def test_averaged_features_are_reported(tmp_path: Path) -> None:
    """With one second per video, attention has nothing to attend to; the line names the other reading."""
    averaged = Generated(tmp_path, dataclasses.replace(SHAPE, seconds=(1, 1)))

    averaged.gather()
    chunks = averaged.change("daan", tokens="chunks")
    lines, chunks.reporter.lines = chunks.reporter.lines, []
    chunks.gather()

    assert any(
        "attentions over seconds and daan.beta have no effect (--set daan.tokens=chunks" in line for line in lines
    )
    assert not any("no effect" in line for line in chunks.reporter.lines)


def test_without_qdma_it_is_said_that_cross_attention_has_one_second(generated: Generated) -> None:
    """The base of the paper's ablation averages the seconds first, also those of long clips."""
    base = generated.change("daan", qdma="off")
    base.gather()
    assert any("cross-attention weighs a single second" in line for line in base.reporter.lines)


@pytest.mark.parametrize(
    ("kind", "width"),
    [("audio", 12), ("visual", 12), ("text", 9)],
)
def test_a_width_that_differs_from_the_data_is_refused(generated: Generated, kind: str, width: int) -> None:
    """The data's own width may be set, and the default is replaced by it."""
    name = f"{kind}_width"
    generated.change("daan", **{name: width}).gather()

    generated.change("daan", **{name: 64})
    message = f"daan.{name} is 64, but the {kind} vectors are {width} wide: leave daan.{name} out, it is taken from"

    with pytest.raises(UsageError, match=message):
        generated.gather()


def test_the_default_widths_are_512_512_and_300() -> None:
    """The data's widths replace these values; any other value counts as set by the user."""
    assert (DaanConfig.audio_width, DaanConfig.visual_width, DaanConfig.text_width) == (512, 512, 300)


def test_a_batch_that_is_reduced_to_the_training_videos_is_reported(generated: Generated) -> None:
    """The line contains both numbers and the setting."""
    generated.change("training", batch_pairs=256, network="paper").gather()

    line = "batches of 40 pairs: there are only 40 training videos (training.batch_pairs is 256)"
    assert generated.reporter.lines[1:] == [line]


def test_classes_with_one_video_are_named(generated: Generated) -> None:
    """They are only trained on. An unseen class with one video is not named."""
    train = generated.benchmark.splits.train
    single = [next(key for key in train if key.startswith(name)) for name in NAMES[:2]]
    rest = [key for key in train if not key.startswith(tuple(NAMES[:2]))]
    generated.use_splits(
        train=single + rest,
        val_seen=(),
        test_seen=(),
        test_unseen=generated.benchmark.splits.test_unseen[:1],
    ).gather()

    assert generated.reporter.lines[1:] == [
        "classes with only one video: YoYo, Zebra; used for training, not for testing"
    ]


def share_recordings(workspace: Workspace, name_of: Callable[[Video], str]) -> None:
    """Make all videos with the same name segments of one file."""
    dataset = load_dataset(workspace.dataset_folder)
    videos = tuple(
        dataclasses.replace(video, location=f"/videos/{name_of(video)}", start_seconds=float(number))
        for number, video in enumerate(dataset.videos)
    )
    save_dataset(dataclasses.replace(dataset, videos=videos), workspace.dataset_folder)


def test_given_splits_with_a_recording_on_two_sides_are_used_and_named(generated: Generated) -> None:
    """There is one warning, with counts and an example."""
    share_recordings(generated.workspace, lambda video: video.class_name)

    inputs = generated.gather()

    assert inputs.splits.by_name == generated.benchmark.splits.by_name
    assert "6 of 8 recordings have videos on two sides of the splits" in generated.reporter.lines[0]


def test_classes_held_out_at_random_keep_recordings_together(generated: Generated) -> None:
    """Two recordings per class: each is in training, validation or test; the split is not warned about."""
    share_recordings(generated.workspace, lambda video: f"{video.class_name}{int(video.key[-5]) % 2}")
    recordings = {video.key: video.location for video in load_dataset(generated.workspace.dataset_folder).videos}

    inputs = gather_inputs(
        generated.workspace, generated.settings, None, hold_out_anew=True, reporter=generated.reporter
    )

    by_name = inputs.splits.by_name
    trained, validated, tested = (
        {recordings[key] for name in names for key in by_name[name]}
        for names in (("train",), ("val_seen", "val_unseen"), ("test_seen", "test_unseen"))
    )
    assert not (trained & validated) | (trained & tested) | (validated & tested)
    assert tested
    assert not any("two sides" in line for line in generated.reporter.lines)


def test_classes_with_one_recording_are_named(generated: Generated) -> None:
    """They behave as classes with one video: no video is held out, and a line says so."""
    share_recordings(generated.workspace, lambda video: "one" if video.class_name == "Zebra" else video.key)

    for seed in range(20):
        generated.change("holdout", seed=seed)
        inputs = gather_inputs(
            generated.workspace, generated.settings, ["YoYo"], hold_out_anew=False, reporter=generated.reporter
        )
        if any(key.startswith("Zebra") for key in inputs.splits.train):
            break

    assert sum(key.startswith("Zebra") for key in inputs.splits.train) > 1
    assert not any(key.startswith("Zebra") for key in (*inputs.splits.val_seen, *inputs.splits.test_seen))
    line = "classes with only one recording: Zebra; used for training, not for testing"
    assert line in generated.reporter.lines


def test_at_most_five_classes_with_one_video_are_named(tmp_path: Path) -> None:
    """The line contains the number of further classes."""
    generated = Generated(tmp_path)
    splits = generated.benchmark.splits.by_name
    one_per_class = [next(key for keys in splits.values() for key in keys if key.startswith(name)) for name in NAMES]
    generated.use_splits(train=one_per_class, val_seen=(), val_unseen=(), test_seen=(), test_unseen=())

    generated.gather()

    names = "Surf, TaiChi, Umpire, Violin, Waltz and 3 more"
    line = f"classes with only one video: {names}; used for training, not for testing"
    assert line in generated.reporter.lines


@pytest.mark.parametrize(
    ("unseen", "other", "message"),
    [
        ("test_unseen", "train", r"'Zebra' is in test_unseen and in train; an unseen class is never trained on"),
        ("val_unseen", "train", r"'Zebra' is in val_unseen and in train; an unseen class is never trained on"),
        ("test_unseen", "val_unseen", r"'Violin' is in test_unseen and in val_unseen; an unseen class is never"),
    ],
)
def test_a_class_that_is_seen_and_unseen_is_refused(
    generated: Generated, unseen: str, other: str, message: str
) -> None:
    """It is enough to move one video of a seen class to an unseen split."""
    splits = generated.benchmark.splits.by_name
    class_name = "Zebra" if other == "train" else "Violin"
    moved = next(key for key in splits[other] if key.startswith(class_name))
    kept = [key for key in splits[other] if key != moved]
    generated.use_splits(**{other: kept, unseen: [*splits[unseen], moved]})

    with pytest.raises(UsageError, match=message):
        generated.gather()


def test_features_that_are_not_finite_are_refused_with_their_video(generated: Generated) -> None:
    """They are refused when they are loaded, before training, though the file is as it was written."""
    path = generated.workspace.current_features()
    with h5py.File(path, "r+") as file:
        index = file["index"][...]
        first, seconds = int(index[5]["offset"]), int(index[5]["seconds"])
        file["audio"][first, 3] = np.nan
        rows = slice(first, first + seconds)
        index["checksum"][5] = features_checksum(file["visual"][rows], file["audio"][rows])
        file["index"][...] = index
        file["index"].attrs["checksum"] = table_checksum(index)
        video = index[5]["video"].decode()

    with pytest.raises(PipelineError, match=f"the audio features of '{video}' are not finite: extract that video"):
        generated.gather()


def test_fewer_than_two_training_classes_are_refused(generated: Generated) -> None:
    """A pair needs videos of two classes."""
    train = [key for key in generated.benchmark.splits.train if key.startswith("Zebra")]
    generated.use_splits(train=train, val_seen=(), val_unseen=(), test_seen=())

    with pytest.raises(UsageError, match="classes to train on: 1; at least 2 seen classes are needed"):
        generated.gather()


def test_the_legacy_class_order_makes_another_run_even_if_no_vector_moves(generated: Generated) -> None:
    """These names and their phrases have the same order, so every class keeps its vector."""
    right = generated.gather()
    generated.reporter.lines.clear()

    legacy = generated.change("text", legacy_class_order="avca").gather()

    line = "legacy class order: 0 of 8 classes get another class's vector, as in the AVCA and TCaF code"
    assert generated.reporter.lines[0] == f"{line} (text.legacy_class_order)"
    np.testing.assert_array_equal(legacy.embeddings.vectors, right.embeddings.vectors)
    assert legacy.fingerprint != right.fingerprint


def test_in_the_legacy_order_classes_get_the_vectors_of_sorted_phrases(generated: Generated) -> None:
    """A phrase that sorts to another position than its class shifts the vectors in between."""
    own = {name: phrase for name, (phrase,) in generated.benchmark.phrases.items()}
    phrases = {**own, "Surf": "waves", "Zebra": "stripes"}
    vectors = {phrase: np.eye(9, dtype=np.float32)[index] for index, phrase in enumerate(phrases.values())}
    np.save(generated.encoder, vectors)  # type: ignore[arg-type]  # a dict, as in the benchmark
    with (generated.workspace.dataset_folder / "classes.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("class", "phrase"), *phrases.items()])

    inputs = generated.change("text", legacy_class_order="avca").gather()

    expected = ["stripes", "tai chi", "umpire", "violin", "waltz", "waves", "xylophone", "yo yo"]
    moved = sum(phrase != own for phrase, own in zip(expected, phrases.values(), strict=True))
    assert generated.reporter.lines[0].startswith(f"legacy class order: {moved} of 8 classes get another class's")
    assert inputs.embeddings.phrases == tuple((phrase,) for phrase in expected)
    np.testing.assert_array_equal(inputs.embeddings.vectors, [vectors[phrase] for phrase in expected])


def test_listed_classes_without_videos_count_in_the_legacy_order(generated: Generated) -> None:
    """The AVCA code sorts all 101 names of UCF, and its splits use 51 of them."""
    vectors = np.load(generated.encoder, allow_pickle=True).item()
    vectors["a banjo"] = np.eye(9, dtype=np.float32)[8]
    np.save(generated.encoder, vectors)
    with (generated.workspace.dataset_folder / "classes.csv").open("a", newline="", encoding="utf-8") as file:
        csv.writer(file).writerow(("unplayed", "a banjo"))

    inputs = generated.change("text", legacy_class_order="avca").gather()

    assert generated.reporter.lines[0].startswith("legacy class order: 9 of 9 classes get another class's vector")
    own = list(inputs.dataset.phrases.values())
    assert inputs.embeddings.phrases == (("a banjo",), *own[:-1])
    np.testing.assert_array_equal(inputs.embeddings.vectors[0], vectors["a banjo"])


@pytest.mark.needs_shared
def test_the_legacy_order_gives_79_of_101_ucf_classes_another_vector(tmp_path: Path, shared: Path) -> None:
    """The benchmark's own names and vectors are used, from the workspace to the matrix that training uses."""
    folder = shared / "benchmark"
    with (folder / "UCF/class-split/ucf_w2v_class_names.csv").open(encoding="utf-8", newline="") as lines:
        manual = {row["original"]: row["manual"] for row in csv.DictReader(lines)}
    workspace, reporter = Workspace(tmp_path), RecordingReporter()
    shape = dataclasses.replace(SHAPE, train_classes=97, train=97, val_seen=0, test_seen=99, test_unseen=2)
    names = {name: np.ones(1, np.float32) for name in manual}
    write_benchmark(synthetic_benchmark(shape, SyntheticRecipe(audio_width=4, visual_width=4), names), workspace)
    with (workspace.dataset_folder / "classes.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("class", "phrase"), *manual.items()])
    encoder = str(folder / "w2v_features/word_embeddings_ucf_normed.npy")

    def vectors(*, legacy: bool) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        settings = Settings(text=TextSettings(encoder=encoder, legacy_class_order="avca" if legacy else "off"))
        found = gather_inputs(workspace, settings, None, hold_out_anew=False, reporter=reporter)
        return found.embeddings.vectors

    right, wrong = vectors(legacy=False), vectors(legacy=True)

    assert int((right != wrong).any(axis=1).sum()) == 79
    assert sum(line.startswith("legacy class order: 79 of 101 classes get another") for line in reporter.lines) == 1
    np.testing.assert_allclose(np.linalg.norm(wrong, axis=1), 1, rtol=1e-6)


def test_videos_whose_extraction_failed_leave_the_splits(generated: Generated) -> None:
    """They are in the splits, but have no features."""
    lost = generated.benchmark.splits.train[0]
    path = generated.workspace.current_features()
    blank = StoredVideo("", SourceFile("", 0, 0), 1, has_audio=True, has_visual=True, duration_seconds=1.0)
    rows = FeatureRows(np.ones((1, 12)), np.ones((1, 12)))
    features = generated.benchmark.features
    stored = [
        (dataclasses.replace(blank, video=key, class_name=features.classes[label]), rows)
        for key, label in zip(features.keys, features.labels.tolist(), strict=True)
        if key != lost
    ]
    write_part(path, stored, [], widths=(12, 12), dtype="float32", attributes={"content": "other"})

    inputs = generated.gather()

    assert lost not in inputs.splits.train
    assert len(inputs.indices("train")) == 39


def test_classes_that_share_a_vector_are_refused_and_near_ones_are_named(
    extracted: Callable[..., Workspace], tmp_path: Path
) -> None:
    """With vectors of words, red and green are the same word here, and dog is nearly ball."""
    workspace, words = extracted(classes=8), tmp_path / "words.txt"
    basis = np.eye(6)
    vectors = {"red": basis[0], "green": basis[1], "ball": basis[2], "drum": basis[3], "car": basis[4]}
    vectors["dog"] = basis[2] + 0.1 * basis[5]
    settings = Settings(text=TextSettings(encoder=str(words)))

    def gathered(vectors: dict[str, np.ndarray]) -> RecordingReporter:
        lines = (f"{word} {' '.join(map(str, vector))}" for word, vector in vectors.items())
        words.write_text("\n".join(lines))
        reporter = RecordingReporter()
        gather_inputs(workspace, settings, None, hold_out_anew=False, reporter=reporter)
        return reporter

    near = "classes with nearly the same vector, which predictions will confuse: 'green_ball' and 'green_dog' (1.00)"
    assert any(line.startswith(near) for line in gathered(vectors).lines)
    with pytest.raises(UsageError, match=r"gives the same vector to .*'green_ball' and 'red_ball'.*classes\.csv"):
        gathered({**vectors, "red": basis[1]})
