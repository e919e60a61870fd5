"""pipeline/import*.py and official_*.py: official feature folders, as others write them, become a workspace."""

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
from pipeline.datasets.splits import read_splits
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


class Heard(SilentReporter):
    """Remembers every warning."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def warn(self, line: str) -> None:
        """Keep a line."""
        self.lines.append(line)


def features(name: str, modality: str, rows: int, width: int) -> np.ndarray:
    """Numbers that tell video and modality."""
    generator = np.random.default_rng([*f"{name}/{modality}".encode()])
    return generator.normal(size=(rows, width)).astype(np.float32)


def stage_videos(stage: str, modality: str, rows: int, width: int) -> Videos:
    """Two videos a class and stage."""
    stages = [stage] if stage != "stage_2_train" else [one for one in STAGES if one.startswith("stage_1")]
    videos: Videos = {}
    for one in stages:
        for name in STAGES[one]:
            keys = [f"v_{name}_{one[-6:]}_{number}" for number in range(2)]
            videos.setdefault(name, []).extend((key, features(key, modality, rows, width)) for key in keys)
    return videos


def write_h5(path: Path, videos: Sequence[tuple[str, np.ndarray]]) -> None:
    """As AVCA's scripts do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=np.concatenate([rows for _, rows in videos]))
        file.create_dataset("video_urls", dtype="S80", data=[name.encode() for name, _ in videos])


def write_pkl(path: Path, videos: Sequence[tuple[str, np.ndarray]]) -> None:
    """As TCAF's scripts do: names as bytes, the frame rate of everything."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"features": [rows for _, rows in videos], "video_names": [name.encode() for name, _ in videos]}
    path.write_bytes(pickle.dumps({**content, "fps": [25] * len(videos)}, 4))


WRITERS: Mapping[str, Callable[[Path, Sequence[tuple[str, np.ndarray]]], None]] = {"avca": write_h5, "tcaf": write_pkl}
METHODS = {"avca": ("main_features", ".h5"), "tcaf": ("main_features_non_averaged", ".pkl")}


class Official:
    """An official folder to write and to spoil."""

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
        """Write one file, over another where there is one."""
        WRITERS[self.layout](self.path(modality, stage, name), videos)

    def path(self, modality: str, stage: str, name: str) -> Path:
        """Of a file."""
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
        vectors = {f"the {name}": np.eye(6, dtype=np.float32)[place] for place, name in enumerate(CLASSES)}
        np.save(self.folder / "text" / "word_embeddings_ucf_normed.npy", vectors)  # type: ignore[arg-type]  # a dict

    def imported(self, reporter: SilentReporter | None = None, **options: Any) -> tuple[ImportReport, Workspace]:
        """Import it into a workspace that lies in it."""
        workspace = Workspace(self.root / "workspace")
        report = import_official(self.root, self.layout, workspace, reporter=reporter or SilentReporter(), **options)
        return report, workspace


@pytest.fixture(params=["avca", "tcaf"])
def official(request: pytest.FixtureRequest, tmp_path: Path) -> Official:
    """A sound folder of either layout."""
    return Official(tmp_path / "UCF", request.param)


def read(workspace: Workspace) -> FeatureSet:
    """The features of a workspace."""
    return load_features(workspace.current_features(), load_dataset(workspace.dataset_folder).classes)


def rows_of(read_features: FeatureSet, key: str, modality: str) -> np.ndarray:
    """(T, D) of one video."""
    place = int(read_features.indices([key])[0])
    start = int(read_features.offsets[place])
    rows: np.ndarray = getattr(read_features, modality)[start : start + int(read_features.seconds[place])].numpy()
    return rows


def test_every_video_has_the_numbers_class_and_part_of_its_files(official: Official) -> None:
    """Whatever is in stage 2 again is read once; classes without videos are listed, too."""
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
    """Features stay where they are."""
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


def test_vectors_are_taken_over_and_used_by_a_bare_training(official: Official) -> None:
    """They lie in the workspace, which may be moved."""
    from pipeline.class_embeddings.embed import embed_classes  # noqa: PLC0415

    _, workspace = official.imported()
    moved = Workspace(workspace.root.rename(official.root / "moved"))
    embeddings = embed_classes(moved, load_dataset(moved.dataset_folder).phrases, "auto")

    np.testing.assert_array_equal(embeddings.vectors, np.eye(6)[[0, 1, 2, 3, 5]])


def test_files_in_another_order_are_matched_by_name(official: Official) -> None:
    """A video that one modality does not list lacks it."""
    path = ("stage_2_test_unseen", "YoYo")
    rows = 1 if official.layout == "avca" else 3
    keys = ["v_YoYo_unseen_1", "v_YoYo_unseen_0", "only_sound"]
    official.write("audio", *path, [(key, features(key, "audio", rows, 6)) for key in keys])

    report, workspace = official.imported()
    found = read(workspace)

    assert (report.without_visual, report.without_audio) == (1, 0)
    np.testing.assert_array_equal(
        rows_of(found, "v_YoYo_unseen_0", "audio"), features("v_YoYo_unseen_0", "audio", rows, 6)
    )
    assert not found.has_visual[found.indices(["only_sound"])]


def test_sound_and_picture_may_have_different_widths(tmp_path: Path) -> None:
    """As those of VGGish and C3D have; training takes both as they are."""
    report, workspace = Official(tmp_path / "UCF", "avca", widths=(4, 9)).imported()
    found = read(workspace)

    assert (report.audio_width, report.visual_width) == (4, 9)
    assert (found.audio.shape[1], found.visual.shape[1]) == (4, 9)
    assert "feature_width" not in found.attributes
    assert inspect_store(report.features, SilentReporter()).whole


def test_the_longer_modality_is_averaged_into_the_shorter_ones_rows(tmp_path: Path) -> None:
    """C3D has a row every 0.64 s and VGGish every 0.96 s; it is said how many videos that concerns."""
    official, heard = Official(tmp_path / "UCF", "tcaf"), Heard()
    official.write(
        "video", "stage_2_test_unseen", "YoYo", [("v_YoYo_unseen_0", np.arange(36, dtype=np.float32).reshape(6, 6))]
    )

    _, workspace = official.imported(heard)

    assert rows_of(read(workspace), "v_YoYo_unseen_0", "visual")[:, 0].tolist() == [3, 15, 27]
    assert any(line.startswith("1 video with more rows of one modality") for line in heard.lines)


@given(st.integers(1, 12), st.integers(1, 12))
def test_fewer_rows_are_means_of_those_in_their_share(longer: int, shorter: int) -> None:
    """Against a loop over the rows; equal numbers change nothing."""
    longer, shorter = max(longer, shorter), min(longer, shorter)
    rows = np.random.default_rng(0).normal(size=(longer, 3)).astype(np.float32)

    found = in_fewer_rows(rows, shorter)

    for place in range(shorter):
        inside = [row for number, row in enumerate(rows) if int((number + 0.5) / longer * shorter + 1e-9) == place]
        np.testing.assert_allclose(found[place], np.mean(inside, axis=0), rtol=1e-5, atol=1e-6)


def test_classes_that_the_split_does_not_list_are_left_out_of_the_parts(official: Official) -> None:
    """As public code does with cls_split; it is said."""
    heard = Heard()
    (official.root / "class-split" / "main_split" / "stage_2_test_seen.txt").write_text("Archery\n")

    report, _ = official.imported(heard)

    assert report.split_counts["test_seen"] == 2
    assert any("leave out" in line and line.endswith("CliffDiving") for line in heard.lines)


def test_pieces_that_lie_apart_are_named(official: Official, tmp_path: Path) -> None:
    """--splits and --text, as in the repository of the benchmark."""
    vectors = official.folder / "text" / "word_embeddings_ucf_normed.npy"
    (official.root / "class-split").rename(tmp_path / "class-split")
    vectors.rename(tmp_path / "vectors.npy")

    report, _ = official.imported(splits=tmp_path / "class-split", text=str(tmp_path / "vectors.npy"))

    assert report.benchmark == "ucf"
    with pytest.raises(UsageError, match=r"holds no splits: expected all_class\.txt"):
        official.imported(splits=official.folder)
    with pytest.raises(UsageError, match=r"holds no class vectors .*--text FILE"):
        official.imported(splits=tmp_path / "class-split")


def refused(official: Official, message: str) -> None:
    """The import fails in one line, and leaves no features."""
    with pytest.raises(PipelineError, match=message) as caught:
        official.imported()
    assert "\n" not in str(caught.value)
    assert "features" not in Workspace(official.root / "workspace").stages()


def spoiled(width: int = 6) -> np.ndarray:
    """Features that nobody wrote before."""
    return np.full((1, width), 7, np.float32)


def test_other_numbers_in_stage_2_are_refused(official: Official) -> None:
    """The message names the video and both files."""
    official.write("audio", "stage_2_train", "Bowling", [("v_Bowling__train_0", spoiled())])
    refused(official, r"stage_2_train.*'v_Bowling__train_0' with other features than .*stage_1_train")


def test_a_video_that_is_twice_in_a_file_is_refused_unless_it_is_the_same(official: Official) -> None:
    """The same is taken once, and said."""
    name, heard = "v_YoYo_unseen_0", Heard()
    rows = features(name, "audio", 1 if official.layout == "avca" else 3, 6)
    official.write("audio", "stage_2_test_unseen", "YoYo", [(name, rows), (name, rows)])
    official.imported(heard)
    assert any(line.startswith("1 video listed twice") for line in heard.lines)

    official.write("video", "stage_2_test_unseen", "YoYo", [(name, spoiled()), (name, 2 * spoiled())])
    with pytest.raises(UsageError, match="holds twice 'v_YoYo_unseen_0' with other features"):
        official.imported()


def test_another_width_is_refused(official: Official) -> None:
    """The message names the file and both widths."""
    official.write("video", "stage_2_test_unseen", "YoYo", [("v", spoiled(7))])
    refused(official, r"video.stage_2_test_unseen.YoYo.*visual features are 7 wide, those of .* 6")


def test_a_video_in_two_parts_or_classes_is_refused(official: Official) -> None:
    """Named with both."""
    official.write("audio", "stage_2_test_unseen", "YoYo", [("v_Archery__train_0", spoiled())])
    refused(official, "'v_Archery__train_0' is in the classes 'Archery' and 'YoYo'")


def test_numbers_that_are_none_are_refused(official: Official) -> None:
    """NaN would spoil every mean."""
    official.write("audio", "stage_2_test_unseen", "YoYo", [("v", np.full((1, 6), np.nan, np.float32))])
    refused(official, "YoYo.*the features of 'v' are not all finite")


def test_a_class_that_no_list_knows_is_refused(official: Official) -> None:
    """With the nearest name."""
    official.write("audio", "stage_2_test_unseen", "Archary", [("v", spoiled())])
    refused(official, "features of 'Archary', which is no class of .*Did you mean Archery")


def test_a_file_of_something_else_is_refused(official: Official) -> None:
    """Said what was expected."""
    official.path("audio", "stage_2_test_unseen", "YoYo").write_bytes(b"something else")
    refused(official, "YoYo.* (is not a file of averaged features|is refused: it is damaged or no pickle)")


def test_the_other_layout_is_named(official: Official) -> None:
    """Where only pickles lie, avca is wrong, and the other way round."""
    other = "tcaf" if official.layout == "avca" else "avca"
    with pytest.raises(UsageError, match=f"holds features of the {official.layout} layout.*import {official.layout}"):
        import_official(official.root, other, Workspace(official.root / "w"), reporter=SilentReporter())
    with pytest.raises(UsageError, match="holds no official features: expected features/main_features"):
        import_official(official.root / "class-split", other, Workspace(official.root / "w"), reporter=SilentReporter())


def test_files_that_nobody_noted_are_kept_beside_the_import(tmp_path: Path) -> None:
    """A manifest and splits made by hand are the user's."""
    official, heard = Official(tmp_path / "UCF", "avca"), Heard()
    folder = official.root / "workspace" / "dataset"
    folder.mkdir(parents=True)
    mine = {"manifest.csv": "video,class\nmine.mp4,Mine\n", "splits.yaml": "train: [mine.mp4]\n"}
    for name, content in mine.items():
        (folder / name).write_text(content)

    official.imported(heard)

    for name, content in mine.items():
        assert (folder / f"{name}.edited").read_text() == content
        assert any(name in line for line in heard.lines)


def test_an_import_is_done_again_where_the_dataset_is_another_by_now(tmp_path: Path) -> None:
    """Until then the status says so."""
    official = Official(tmp_path / "UCF", "avca")
    _, workspace = official.imported()
    imported = load_dataset(workspace.dataset_folder)
    other = DatasetFolder(workspace.dataset_folder, "avzsl prepare folder V", tmp_path, in_workspace=True)
    other.make_room(SilentReporter())
    other.write(dataset_of(tmp_path, (Video("a", "a.mp4", "Dog"),), {}), None, SilentReporter())

    features = {entry.stage: entry for entry in workspace_status(workspace)}["features"]
    assert (features.state, features.detail) == ("stale", f"imported from {official.root}, the dataset is another")
    report, _ = official.imported()
    again = load_dataset(workspace.dataset_folder)

    assert not report.did_nothing
    assert again.videos == imported.videos
    assert official.imported()[0].did_nothing


def test_the_status_after_an_import_is_that_of_the_imported_features(tmp_path: Path) -> None:
    """An extractor that was used here before is set aside."""
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


@pytest.mark.parametrize("spoil", [_linked, _stored_elsewhere, _virtual])
def test_numbers_that_another_file_holds_are_not_read(tmp_path: Path, spoil: Callable[[Path, Path], None]) -> None:
    """A file of the benchmark must not bring anything else of the machine into the features."""
    official = Official(tmp_path / "UCF", "avca")
    spoil(official.path("audio", "stage_2_test_unseen", "YoYo"), official.path("video", "stage_2_test_unseen", "YoYo"))
    refused(official, r"YoYo\.h5: data is not a dataset of its own, which another file may hold: nothing was read")


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((10**12, 512), r"names 2 videos and has features of 1000000000000"),
        ((2, 10**13), r"declares more numbers than fit into memory"),
        ((2, 3, 4), r"data is \(2, 3, 4\), must be \(N, D\)"),
    ],
)
def test_what_a_file_declares_is_not_believed(tmp_path: Path, shape: tuple[int, ...], message: str) -> None:
    """Petabytes in a file of a few bytes are one line."""
    official = Official(tmp_path / "UCF", "avca")
    with h5py.File(official.path("audio", "stage_2_test_unseen", "YoYo"), "a") as file:
        del file["data"]
        file.create_dataset("data", shape, "f4", chunks=True)
    refused(official, message)


class Runs:
    """Calls something when an ordinary unpickler reads it."""

    def __init__(self, function: Any, argument: str) -> None:
        self.function, self.argument = function, argument

    def __reduce__(self) -> Any:
        return self.function, (self.argument,)


@pytest.mark.parametrize("smuggled_in", ["list", "array"])
@pytest.mark.parametrize(
    ("function", "name"), [(os.system, r"(posix|nt)\.system"), (builtins.eval, r"(builtins|__builtin__)\.eval")]
)
def test_a_hostile_pickle_is_refused_by_name(tmp_path: Path, function: Any, name: str, smuggled_in: str) -> None:
    """Whether it hides in the list of features or inside a numpy array of objects; nothing runs."""
    official = Official(tmp_path / "UCF", "tcaf")
    target = tmp_path / "ran"
    command = f"touch {target}" if function is os.system else f"open({str(target)!r}, 'w')"
    rows: Any = [Runs(function, command)]
    if smuggled_in == "array":
        rows, rows[:] = np.empty(1, object), rows
    path = official.path("audio", "stage_2_test_unseen", "YoYo")
    path.write_bytes(pickle.dumps({"features": rows, "video_names": ["v"], "fps": [1]}))

    refused(official, rf"YoYo.pkl is refused: it wants to load {name}")
    assert not target.exists()


@pytest.mark.needs_shared
def test_the_legacy_order_counts_all_official_classes_after_an_import(tmp_path: Path, shared: Path) -> None:
    """79 of UCF's 101, though five classes have videos."""
    from pipeline.settings.tree import load_settings  # noqa: PLC0415
    from pipeline.training.inputs import gather_inputs  # noqa: PLC0415

    official, heard = Official(tmp_path / "UCF", "avca"), Heard()
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
    inputs = gather_inputs(workspace, settings, None, hold_out_anew=False, reporter=heard)

    assert (report.classes, report.listed_classes) == (4, 101)
    assert any("79 of 101 classes get another class's vector" in line for line in heard.lines)
    assert torch.from_numpy(inputs.embeddings.vectors).shape == (4, 300)
