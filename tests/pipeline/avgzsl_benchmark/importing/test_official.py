"""pipeline/avgzsl_benchmark/importing: official feature folders written by other programs become a workspace."""

import builtins
import os
import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.avgzsl_benchmark.importing.class_reader import in_fewer_rows
from pipeline.avgzsl_benchmark.importing.import_features import ImportReport, import_official
from pipeline.base.errors import PipelineError, UsageError
from pipeline.base.progress import SilentReporter
from pipeline.base.workspace import Workspace
from pipeline.datasets.dataset import Video, dataset_of, load_dataset
from pipeline.datasets.dataset_folder import DatasetFolder
from pipeline.datasets.splits.splits import read_splits
from pipeline.features.feature_set import FeatureSet, load_features
from pipeline.features.inspection.report import inspect_store
from pipeline.status import workspace_status

STAGES = {
    "stage_1_train": ("Archery", "HandStandPushups", "Bowling"),
    "stage_1_val_seen": ("Archery", "HandStandPushups"),
    "stage_1_val_unseen": ("CliffDiving",),
    "stage_2_test_seen": ("Archery", "CliffDiving"),
    "stage_2_test_unseen": ("YoYo",),
}
CLASSES = ("Archery", "Bowling", "CliffDiving", "HandstandPushups", "Unfilmed", "YoYo")
Videos = dict[str, list[tuple[str, np.ndarray]]]  # class -> names and features (T, D)


class WarningRecorder(SilentReporter):
    """Records every warning."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def warn(self, line: str) -> None:
        """Record a warning."""
        self.lines.append(line)


def features(name: str, modality: str, rows: int, width: int) -> np.ndarray:
    """Generate numbers that depend on the video and the modality."""
    generator = np.random.default_rng([*f"{name}/{modality}".encode()])
    return generator.normal(size=(rows, width)).astype(np.float32)


def stage_videos(stage: str, modality: str, rows: int, width: int) -> Videos:
    """Generate two videos per class and protocol stage."""
    stages = [stage] if stage != "stage_2_train" else [one for one in STAGES if one.startswith("stage_1")]
    videos: Videos = {}
    for one in stages:
        for name in STAGES[one]:
            keys = [f"v_{name}_{one[-6:]}_{number}" for number in range(2)]
            videos.setdefault(name, []).extend((key, features(key, modality, rows, width)) for key in keys)
    return videos


def write_h5(path: Path, videos: Sequence[tuple[str, np.ndarray]]) -> None:
    """Write a file as the scripts of the AVCA code do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=np.concatenate([rows for _, rows in videos]))
        file.create_dataset("video_urls", dtype="S80", data=[name.encode() for name, _ in videos])


def write_pkl(path: Path, videos: Sequence[tuple[str, np.ndarray]]) -> None:
    """Write a file as the scripts of the TCaF code do: names as bytes, and a frame rate per video."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"features": [rows for _, rows in videos], "video_names": [name.encode() for name, _ in videos]}
    path.write_bytes(pickle.dumps({**content, "fps": [25] * len(videos)}, 4))


WRITERS: Mapping[str, Callable[[Path, Sequence[tuple[str, np.ndarray]]], None]] = {"avca": write_h5, "tcaf": write_pkl}
METHODS = {"avca": ("main_features", ".h5"), "tcaf": ("main_features_non_averaged", ".pkl")}


class Official:
    """An official folder whose files tests can change."""

    def __init__(self, root: Path, layout: str, *, widths: tuple[int, int] = (6, 6)) -> None:
        self.root, self.layout = root, layout
        method, self.ending = METHODS[layout]
        self.folder = root / "features" / method
        rows = 1 if layout == "avca" else 3
        for stage in (*STAGES, "stage_2_train"):
            for modality, width in zip(("audio", "video"), widths, strict=True):
                for name, videos in stage_videos(stage, modality, rows, width).items():
                    self.write(modality, stage, name, videos)
        self._write_lists()

    def write(self, modality: str, stage: str, name: str, videos: Sequence[tuple[str, np.ndarray]]) -> None:
        """Write one file; replace it if it exists."""
        WRITERS[self.layout](self.path(modality, stage, name), videos)

    def path(self, modality: str, stage: str, name: str) -> Path:
        """Return the path of a file."""
        return self.folder / modality / stage / f"{name}{self.ending}"

    def _write_lists(self) -> None:
        lists = self.root / "class-split"
        (lists / "main_split").mkdir(parents=True)
        (lists / "all_class.txt").write_text("\n".join(CLASSES))
        pairs = "".join(f"{name},the {name}\n" for name in CLASSES)
        (lists / "ucf_w2v_class_names.csv").write_text(f"original,manual\n{pairs}")
        for stage, names in STAGES.items():
            (lists / "main_split" / f"{stage}.txt").write_text("\n".join(names) + "\n")
        (self.folder / "text").mkdir()
        vectors = {f"the {name}": np.eye(6, dtype=np.float32)[index] for index, name in enumerate(CLASSES)}
        np.save(self.folder / "text" / "word_embeddings_ucf_normed.npy", vectors)  # type: ignore[arg-type]  # a dict

    def imported(self, reporter: SilentReporter | None = None, **options: Any) -> tuple[ImportReport, Workspace]:
        """Import the folder into a workspace inside it."""
        workspace = Workspace(self.root / "workspace")
        report = import_official(self.root, self.layout, workspace, reporter=reporter or SilentReporter(), **options)
        return report, workspace


@pytest.fixture(params=["avca", "tcaf"])
def official(request: pytest.FixtureRequest, tmp_path: Path) -> Official:
    """A valid folder in each layout."""
    return Official(tmp_path / "UCF", request.param)


def read(workspace: Workspace) -> FeatureSet:
    """Read the features of a workspace."""
    return load_features(workspace.current_features(), load_dataset(workspace.dataset_folder).classes)


def rows_of(read_features: FeatureSet, key: str, modality: str) -> np.ndarray:
    """Return the features (T, D) of one video."""
    index = int(read_features.indices([key])[0])
    start = int(read_features.offsets[index])
    rows: np.ndarray = getattr(read_features, modality)[start : start + int(read_features.seconds[index])].numpy()
    return rows


def test_every_video_has_the_features_class_and_split_of_its_files(official: Official) -> None:
    """Videos that stage 2 repeats are imported once; classes without videos are listed too."""
    report, workspace = official.imported()
    found, dataset = read(workspace), load_dataset(workspace.dataset_folder)
    splits = read_splits(workspace.dataset_folder / "splits.yaml", dataset)

    assert (report.videos, report.classes, report.listed_classes) == (18, 5, 6)
    assert report.split_counts == {"train": 6, "val_seen": 4, "val_unseen": 2, "test_seen": 4, "test_unseen": 2}
    assert set(splits.val_unseen) == {"v_CliffDiving_unseen_0", "v_CliffDiving_unseen_1"}
    assert dataset.classes == ("Archery", "Bowling", "CliffDiving", "HandstandPushups", "YoYo")
    assert dataset.without_videos == {"Unfilmed": ("the Unfilmed",)}
    rows = 1 if official.layout == "avca" else 3
    for key in found.keys:
        np.testing.assert_array_equal(rows_of(found, key, "audio"), features(key, "audio", rows, 6))
        np.testing.assert_array_equal(rows_of(found, key, "visual"), features(key, "video", rows, 6))
    assert inspect_store(report.features, SilentReporter()).whole


def test_the_second_import_does_nothing_unless_a_file_changed(official: Official) -> None:
    """The features file is not written again."""
    first, workspace = official.imported()
    written = first.features.stat().st_mtime_ns
    second, _ = official.imported()
    official.write("audio", "stage_2_test_unseen", "YoYo", [("v_YoYo_unseen_0", np.ones((1, 6), np.float32))])
    third, _ = official.imported()

    assert second.did_nothing
    assert first.features.stat().st_mtime_ns == written
    assert not third.did_nothing
    assert third.without_audio == 1
    assert workspace.current_features() == third.features


def test_class_vectors_are_copied_and_are_the_default_text_encoder(official: Official) -> None:
    """They are inside the workspace, which may be moved."""
    from pipeline.class_embeddings.embed import embed_classes  # noqa: PLC0415

    _, workspace = official.imported()
    moved = Workspace(workspace.root.rename(official.root / "moved"))
    embeddings = embed_classes(moved, load_dataset(moved.dataset_folder).phrases, "auto")

    np.testing.assert_array_equal(embeddings.vectors, np.eye(6)[[0, 1, 2, 3, 5]])


def test_videos_in_another_order_are_matched_by_name(official: Official) -> None:
    """A video that the files of a modality do not list lacks that modality."""
    path = ("stage_2_test_unseen", "YoYo")
    rows = 1 if official.layout == "avca" else 3
    keys = ["v_YoYo_unseen_1", "v_YoYo_unseen_0", "only_audio"]
    official.write("audio", *path, [(key, features(key, "audio", rows, 6)) for key in keys])

    report, workspace = official.imported()
    found = read(workspace)

    assert (report.without_visual, report.without_audio) == (1, 0)
    np.testing.assert_array_equal(
        rows_of(found, "v_YoYo_unseen_0", "audio"), features("v_YoYo_unseen_0", "audio", rows, 6)
    )
    assert not found.has_visual[found.indices(["only_audio"])]


def test_audio_and_visual_features_may_have_different_widths(tmp_path: Path) -> None:
    """Features of VGGish and C3D have different widths, and training accepts both."""
    report, workspace = Official(tmp_path / "UCF", "avca", widths=(4, 9)).imported()
    found = read(workspace)

    assert (report.audio_width, report.visual_width) == (4, 9)
    assert (found.audio.shape[1], found.visual.shape[1]) == (4, 9)
    assert "feature_width" not in found.attributes
    assert inspect_store(report.features, SilentReporter()).whole


def test_the_longer_modality_is_averaged_into_the_shorter_ones_rows(tmp_path: Path) -> None:
    """C3D has a row every 0.64 s and VGGish every 0.96 s. A warning says how many videos are affected."""
    official, reporter = Official(tmp_path / "UCF", "tcaf"), WarningRecorder()
    official.write(
        "video", "stage_2_test_unseen", "YoYo", [("v_YoYo_unseen_0", np.arange(36, dtype=np.float32).reshape(6, 6))]
    )

    _, workspace = official.imported(reporter)

    assert rows_of(read(workspace), "v_YoYo_unseen_0", "visual")[:, 0].tolist() == [3, 15, 27]
    assert any(line.startswith("1 video with more rows of one modality") for line in reporter.lines)


@given(st.integers(1, 12), st.integers(1, 12))
def test_fewer_rows_are_means_of_the_rows_in_their_segments(longer: int, shorter: int) -> None:
    """The result equals that of a loop over the rows; equal numbers of rows change nothing."""
    longer, shorter = max(longer, shorter), min(longer, shorter)
    rows = np.random.default_rng(0).normal(size=(longer, 3)).astype(np.float32)

    found = in_fewer_rows(rows, shorter)

    for index in range(shorter):
        inside = [row for number, row in enumerate(rows) if int((number + 0.5) / longer * shorter + 1e-9) == index]
        np.testing.assert_allclose(found[index], np.mean(inside, axis=0), rtol=1e-5, atol=1e-6)


def test_classes_that_the_list_of_a_split_lacks_are_left_out(official: Official) -> None:
    """The published code does the same with cls_split; a warning names the classes."""
    reporter = WarningRecorder()
    (official.root / "class-split" / "main_split" / "stage_2_test_seen.txt").write_text("Archery\n")

    report, _ = official.imported(reporter)

    assert report.split_counts["test_seen"] == 2
    assert any("left out" in line and line.endswith("CliffDiving") for line in reporter.lines)


def test_splits_and_vectors_may_be_in_other_folders(official: Official, tmp_path: Path) -> None:
    """The options --splits and --text name them, as for the repository of the AVCA code."""
    vectors = official.folder / "text" / "word_embeddings_ucf_normed.npy"
    (official.root / "class-split").rename(tmp_path / "class-split")
    vectors.rename(tmp_path / "vectors.npy")

    report, _ = official.imported(splits=tmp_path / "class-split", text=str(tmp_path / "vectors.npy"))

    assert report.benchmark == "ucf"
    with pytest.raises(UsageError, match=r"contains no splits: expected all_class\.txt"):
        official.imported(splits=official.folder)
    with pytest.raises(UsageError, match=r"has no class vectors .*--text FILE"):
        official.imported(splits=tmp_path / "class-split")


def check_refused(official: Official, message: str) -> None:
    """Check that the import fails with a message of one line and records no features."""
    with pytest.raises(PipelineError, match=message) as caught:
        official.imported()
    assert "\n" not in str(caught.value)
    assert "features" not in Workspace(official.root / "workspace").stages()


def other_features(width: int = 6) -> np.ndarray:
    """Make features that differ from those of all other videos."""
    return np.full((1, width), 7, np.float32)


def test_different_features_in_stage_2_are_refused(official: Official) -> None:
    """The message names the video and both files."""
    official.write("audio", "stage_2_train", "Bowling", [("v_Bowling__train_0", other_features())])
    check_refused(
        official,
        r"stage_1_train.* and .*stage_2_train.* list 'v_Bowling__train_0' with different features: one is wrong",
    )


def test_a_video_listed_twice_in_a_file_is_refused_unless_its_features_are_equal(official: Official) -> None:
    """With equal features it is used once, with a warning."""
    name, reporter = "v_YoYo_unseen_0", WarningRecorder()
    rows = features(name, "audio", 1 if official.layout == "avca" else 3, 6)
    official.write("audio", "stage_2_test_unseen", "YoYo", [(name, rows), (name, rows)])
    official.imported(reporter)
    assert any(line.startswith("1 video listed twice") for line in reporter.lines)

    official.write("video", "stage_2_test_unseen", "YoYo", [(name, other_features()), (name, 2 * other_features())])
    with pytest.raises(UsageError, match="lists twice 'v_YoYo_unseen_0' with different features"):
        official.imported()


def test_another_width_is_refused(official: Official) -> None:
    """The message names the file and both widths."""
    official.write("video", "stage_2_test_unseen", "YoYo", [("v", other_features(7))])
    check_refused(official, r"video.stage_2_test_unseen.YoYo.*visual features are 7 wide, those of .* 6")


def test_a_video_in_two_classes_is_refused(official: Official) -> None:
    """The message names the video and both classes."""
    official.write("audio", "stage_2_test_unseen", "YoYo", [("v_Archery__train_0", other_features())])
    check_refused(official, "'v_Archery__train_0' is in the classes 'Archery' and 'YoYo'")


def test_nan_is_refused(official: Official) -> None:
    """NaN would make every mean NaN."""
    official.write("audio", "stage_2_test_unseen", "YoYo", [("v", np.full((1, 6), np.nan, np.float32))])
    check_refused(official, "YoYo.*the features of 'v' are not all finite")


def test_a_number_beyond_float32_is_refused(official: Official) -> None:
    """It would become infinite when it is stored."""
    official.write("audio", "stage_2_test_unseen", "YoYo", [("v", np.full((1, 6), 1e300))])
    check_refused(official, "YoYo.*the features of 'v' are not all finite numbers of float32")


def test_a_class_that_no_list_contains_is_refused(official: Official) -> None:
    """The message suggests the nearest name."""
    official.write("audio", "stage_2_test_unseen", "Archary", [("v", other_features())])
    check_refused(official, "features of 'Archary', which is not a class of .*Did you mean Archery")


def test_a_file_of_another_kind_is_refused(official: Official) -> None:
    """The message says what was expected."""
    official.path("audio", "stage_2_test_unseen", "YoYo").write_bytes(b"something else")
    check_refused(official, "YoYo.* (is not a file of averaged features|is refused: it is damaged or not a pickle)")


def test_a_folder_of_the_other_layout_is_refused(official: Official) -> None:
    """The message names the layout of the folder."""
    other = "tcaf" if official.layout == "avca" else "avca"
    with pytest.raises(UsageError, match=f"has features of the {official.layout} layout.*import {official.layout}"):
        import_official(official.root, other, Workspace(official.root / "w"), reporter=SilentReporter())
    with pytest.raises(UsageError, match="has no official features: expected features/main_features"):
        import_official(official.root / "class-split", other, Workspace(official.root / "w"), reporter=SilentReporter())


def test_files_that_avzsl_did_not_write_are_backed_up(tmp_path: Path) -> None:
    """A manifest and splits made by hand belong to the user."""
    official, reporter = Official(tmp_path / "UCF", "avca"), WarningRecorder()
    folder = official.root / "workspace" / "dataset"
    folder.mkdir(parents=True)
    mine = {"manifest.csv": "video,class\nmine.mp4,Mine\n", "splits.yaml": "train: [mine.mp4]\n"}
    for name, content in mine.items():
        (folder / name).write_text(content)

    official.imported(reporter)

    for name, content in mine.items():
        assert (folder / f"{name}.edited").read_text() == content
        assert any(name in line for line in reporter.lines)


def test_an_import_is_repeated_if_the_dataset_changed(tmp_path: Path) -> None:
    """Before that, the status says that the dataset is another."""
    official = Official(tmp_path / "UCF", "avca")
    _, workspace = official.imported()
    imported = load_dataset(workspace.dataset_folder)
    other = DatasetFolder(workspace.dataset_folder, "avzsl prepare folder V", tmp_path, in_workspace=True)
    other.make_room(SilentReporter())
    other.write(dataset_of(tmp_path, (Video("a", "a.mp4", "Dog"),), {}), None, SilentReporter())

    features = {entry.stage: entry for entry in workspace_status(workspace)}["features"]
    assert (features.state, features.detail) == ("stale", f"imported from {official.root}, but the dataset is another")
    report, _ = official.imported()
    again = load_dataset(workspace.dataset_folder)

    assert not report.did_nothing
    assert again.videos == imported.videos
    assert official.imported()[0].did_nothing


def test_the_status_after_an_import_shows_the_imported_features(tmp_path: Path) -> None:
    """The record of an extractor that was used before is renamed."""
    official = Official(tmp_path / "UCF", "avca")
    workspace = Workspace(official.root / "workspace")
    workspace.extractor_file.parent.mkdir(parents=True)
    workspace.extractor_file.write_text('{"fingerprint": "abc"}')
    official.imported()

    features = {entry.stage: entry for entry in workspace_status(workspace)}["features"]
    assert (features.state, features.next_command) == ("done", "")
    assert features.detail.startswith("18 of 18 videos")
    assert workspace.extractor_file.with_name("extractor-before-import.json").is_file()


def _linked(path: Path, other: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["data"]
        file["data"] = h5py.ExternalLink(str(other), "data")


def _stored_elsewhere(path: Path, other: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["data"]
        file.create_dataset("data", (2, 6), "f4", external=[(str(other), 0, h5py.h5f.UNLIMITED)])


def _virtual(path: Path, other: Path) -> None:
    layout = h5py.VirtualLayout((2, 6), "f4")
    layout[:] = h5py.VirtualSource(str(other), "data", (2, 6))
    with h5py.File(path, "a") as file:
        del file["data"]
        file.create_virtual_dataset("data", layout)


@pytest.mark.parametrize("change", [_linked, _stored_elsewhere, _virtual])
def test_numbers_stored_in_another_file_are_not_read(tmp_path: Path, change: Callable[[Path, Path], None]) -> None:
    """A file of the benchmark must not bring other files of the machine into the features."""
    official = Official(tmp_path / "UCF", "avca")
    change(official.path("audio", "stage_2_test_unseen", "YoYo"), official.path("video", "stage_2_test_unseen", "YoYo"))
    check_refused(official, r"YoYo\.h5: the numbers of data are not in this file; nothing was read")


@pytest.mark.parametrize(("shape", "bytes_"), [((10**12, 512), 2048 * 10**12), ((2, 10**13), 8 * 10**13)])
def test_declared_numbers_are_compared_with_the_file_before_reading(
    tmp_path: Path, shape: tuple[int, ...], bytes_: int
) -> None:
    """A small file that declares petabytes gives a message of one line."""
    official = Official(tmp_path / "UCF", "avca")
    with h5py.File(official.path("audio", "stage_2_test_unseen", "YoYo"), "a") as file:
        del file["data"]
        file.create_dataset("data", shape, "f4", chunks=True)
    check_refused(official, f"/data declares {bytes_} bytes, the file holds 0")


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 6), r"lists 2 videos but has features of 3"),
        ((2, 3, 4), r"data is \(2, 3, 4\), must be \(N, D\)"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(tmp_path: Path, shape: tuple[int, ...], message: str) -> None:
    """The message gives both numbers."""
    official = Official(tmp_path / "UCF", "avca")
    with h5py.File(official.path("audio", "stage_2_test_unseen", "YoYo"), "a") as file:
        del file["data"]
        file["data"] = np.zeros(shape, np.float32)
    check_refused(official, message)


class CallsFunction:
    """Calls a function when an ordinary unpickler reads it."""

    def __init__(self, function: Any, argument: str) -> None:
        self.function, self.argument = function, argument

    def __reduce__(self) -> Any:
        return self.function, (self.argument,)


@pytest.mark.parametrize("smuggled_in", ["list", "array"])
@pytest.mark.parametrize(
    ("function", "name"), [(os.system, r"(posix|nt)\.system"), (builtins.eval, r"(builtins|__builtin__)\.eval")]
)
def test_a_hostile_pickle_is_refused_by_name(tmp_path: Path, function: Any, name: str, smuggled_in: str) -> None:
    """No command runs, whether it is in the list of features or inside a numpy array of objects."""
    official = Official(tmp_path / "UCF", "tcaf")
    target = tmp_path / "ran"
    command = f"touch {target}" if function is os.system else f"open({str(target)!r}, 'w')"
    rows: Any = [CallsFunction(function, command)]
    if smuggled_in == "array":
        rows, rows[:] = np.empty(1, object), rows
    path = official.path("audio", "stage_2_test_unseen", "YoYo")
    path.write_bytes(pickle.dumps({"features": rows, "video_names": ["v"], "fps": [1]}))

    check_refused(official, rf"YoYo.pkl is refused: it would load {name}")
    assert not target.exists()


@pytest.mark.needs_shared
def test_the_legacy_order_counts_all_official_classes_after_an_import(tmp_path: Path, shared: Path) -> None:
    """79 of the 101 classes of UCF get a wrong vector, although only four classes have videos."""
    from pipeline.settings.tree import load_settings  # noqa: PLC0415
    from pipeline.training.inputs import gather_inputs  # noqa: PLC0415

    official, reporter = Official(tmp_path / "UCF", "avca"), WarningRecorder()
    for path in (official.root / "class-split").rglob("*.*"):
        path.unlink()
    benchmark = shared / "benchmark"
    vectors = benchmark / "w2v_features" / "word_embeddings_ucf_normed.npy"
    for stage in ("stage_1_train", "stage_2_train"):  # the official test videos are of other classes
        for modality in ("audio", "video"):
            official.path(modality, stage, "Bowling").unlink()
    (official.root / "class-split" / "main_split").rmdir()
    for modality in ("audio", "video"):
        path = official.path(modality, "stage_2_test_unseen", "YoYo")
        path.rename(path.with_stem("Typing"))
    for modality in ("audio", "video"):
        for stage in ("stage_1_val_unseen", "stage_2_test_seen", "stage_2_train"):
            path = official.path(modality, stage, "CliffDiving")
            path.rename(path.with_stem("ApplyLipstick"))
    report, workspace = official.imported(splits=benchmark / "UCF" / "class-split", text=str(vectors))

    settings = load_settings(preset="ucf", options={"text.legacy_class_order": True})
    inputs = gather_inputs(workspace, settings, None, hold_out_anew=False, reporter=reporter)

    assert (report.classes, report.listed_classes) == (4, 101)
    assert any("79 of 101 classes get another class's vector" in line for line in reporter.lines)
    assert torch.from_numpy(inputs.embeddings.vectors).shape == (4, 300)
