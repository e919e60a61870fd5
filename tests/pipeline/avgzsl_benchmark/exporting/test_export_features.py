"""pipeline/avgzsl_benchmark/exporting/export_features.py: exports can be imported, and the AVCA code reads them."""

import csv
import dataclasses
import errno
import json
import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from pipeline.avgzsl_benchmark.exporting.export_features import export_features
from pipeline.avgzsl_benchmark.importing.import_features import import_official
from pipeline.avgzsl_benchmark.layouts.pickles import write_pickled_npy
from pipeline.base.errors import PipelineError, UsageError
from pipeline.base.progress import SilentReporter
from pipeline.base.workspace import StageRecord, Workspace
from pipeline.class_embeddings.embed import embed_classes, read_spec, record_spec
from pipeline.datasets.dataset import Dataset, Video, load_dataset, save_dataset
from pipeline.datasets.splits.splits import Splits, read_splits, write_splits
from pipeline.features.feature_set import FeatureSet, load_features
from pipeline.features.index import SourceFile, StoredVideo, content_fingerprint
from pipeline.features.store import FeatureRows, open_store, write_part

WIDTH = 5
ODD = ("NA", "12", "a/b", "Dog", "dog", 'comma, "quoted"', "ünï", "n" * 230)
LONG = "a folder/" * 12


class WarningRecorder(SilentReporter):
    """Records every warning."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def warn(self, line: str) -> None:
        """Record a warning."""
        self.lines.append(line)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace with odd names of classes and videos, segments, absent modalities, and a class without videos."""
    workspace, generator = Workspace(tmp_path / "workspace"), np.random.default_rng(0)
    phrases = {name: (f"phrase of {index}",) for index, name in enumerate(sorted(ODD))}
    entries, splits = [], {split: [] for split in ("train", "val_seen", "val_unseen", "test_seen", "test_unseen")}
    for index, name in enumerate(phrases):
        names = ("train", "val_seen", "test_seen") if index < 4 else ("val_unseen",) if index < 6 else ("test_unseen",)
        for number in range(6):
            key = f"{LONG if number == 0 else ''}{name}/é {number}.mp4"
            splits[names[number % len(names)]].append(key)
            entries.append(_entry(key, name, number, generator))
    folder = workspace.feature_folder("abc")
    content = content_fingerprint([video for video, _ in entries], "someone")
    attributes = {"extractor": "selavi", "recipe": "avca", "content": content, "weights": "vgg_sound"}
    write_part(
        folder / "features.h5",
        entries,
        [],
        widths=(WIDTH, WIDTH),
        dtype="float16",
        attributes=attributes,
    )
    videos = tuple(Video(stored.video, f"/{number}", stored.class_name) for number, (stored, _) in enumerate(entries))
    dataset = Dataset(tmp_path, videos, phrases, without_videos={"Unfilmed": ("nan",)})
    save_dataset(dataset, workspace.dataset_folder)
    write_splits(
        Splits(**{split: tuple(keys) for split, keys in splits.items()}), workspace.dataset_folder / "splits.yaml"
    )
    workspace.record("features", StageRecord(fingerprint=content, output="features/abc/features.h5"))
    vectors = {
        phrase: _unit(generator) for phrase in (*(phrase for (phrase,) in phrases.values()), "nan", "of no class")
    }
    write_pickled_npy(workspace.text_folder / "vectors.npy", vectors)
    record_spec(workspace, read_spec(str(workspace.text_folder / "vectors.npy")))
    return workspace


def _unit(generator: np.random.Generator) -> np.ndarray:
    vector = generator.normal(size=300)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def _entry(key: str, name: str, number: int, generator: np.random.Generator) -> tuple[StoredVideo, FeatureRows]:
    seconds = 1 + number % 3
    rows = generator.normal(size=(2, seconds, WIDTH)).astype(np.float16)
    video = StoredVideo(
        video=key,
        source=SourceFile(f"hash of {key}", 1, 1),
        seconds=seconds,
        has_audio=number != 1,
        has_visual=number != 2,
        duration_seconds=seconds + 0.5 * (number == 3),
        class_name=name,
        start_seconds=2.5 if number == 4 else None,
        end_seconds=9.0 if number in {4, 5} else None,
        warnings="cut short" if number == 3 else "",
    )
    return video, FeatureRows(None if number == 2 else rows[0], None if number == 1 else rows[1])


def loaded(workspace: Workspace) -> tuple[FeatureSet, dict[str, StoredVideo]]:
    """Load the features, and the index by video."""
    dataset = load_dataset(workspace.dataset_folder)
    with open_store(workspace.current_features()) as store:
        index = {video.video: video for video in store.videos()}
    return load_features(workspace.current_features(), dataset.classes), index


def rows_of(features: FeatureSet, key: str, modality: str) -> torch.Tensor:
    """Return the features (T, D) of one video."""
    index = features.indices([key])[0]
    rows: torch.Tensor = getattr(features, modality)[features.offsets[index] :][: int(features.seconds[index])]
    return rows


@pytest.mark.parametrize("layout", ["avca", "tcaf"])
def test_an_import_of_an_export_restores_the_workspace(workspace: Workspace, tmp_path: Path, layout: str) -> None:
    """Everything comes back: metadata, splits, vectors and features; for avca the means of the features."""
    export_features(workspace, layout, tmp_path / "out", reporter=SilentReporter())
    back = Workspace(tmp_path / "back")
    import_official(tmp_path / "out", layout, back, reporter=SilentReporter())

    before, index_before = loaded(workspace)
    after, index_after = loaded(back)
    dataset = load_dataset(back.dataset_folder)
    assert dataset.phrases == load_dataset(workspace.dataset_folder).phrases
    assert dataset.without_videos == {"Unfilmed": ("nan",)}
    assert index_after.keys() == index_before.keys()
    for key, video in index_before.items():
        for field in (
            "class_name",
            "has_audio",
            "has_visual",
            "start_seconds",
            "end_seconds",
            "duration_seconds",
            "warnings",
        ):
            assert getattr(index_after[key], field) == getattr(video, field), (key, field)
        for modality in ("audio", "visual"):
            expected = rows_of(before, key, modality)
            if layout == "avca":
                expected = expected.double().mean(0, keepdim=True).float()
            assert torch.equal(rows_of(after, key, modality), expected)
            assert rows_of(after, key, modality).dtype == expected.dtype
    given, found = (read_splits(one.dataset_folder / "splits.yaml", dataset).by_name for one in (workspace, back))
    assert {split: sorted(keys) for split, keys in given.items()} == {
        split: sorted(keys) for split, keys in found.items()
    }
    embedded = [embed_classes(one, dataset.phrases, "auto").vectors for one in (workspace, back)]
    np.testing.assert_array_equal(*embedded)
    assert after.attributes["extractor"] == "selavi"
    assert ("averaged" in after.attributes) == (layout == "avca")


@pytest.mark.parametrize("layout", ["avca", "tcaf"])
@pytest.mark.parametrize("kind", ["features/*/audio/*/*", "features/*/text/*.npy", "class-split/*.csv"])
def test_a_changed_byte_in_an_export_is_found_on_import(
    workspace: Workspace, tmp_path: Path, layout: str, kind: str
) -> None:
    """The message names the file, and says what to do."""
    out = tmp_path / "out"
    export_features(workspace, layout, out, reporter=SilentReporter())
    path = max(out.glob(kind), key=lambda one: one.stat().st_size)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(UsageError, match=rf"{path.name} is not as avzsl exported it \(its checksum differs\)"):
        import_official(out, layout, Workspace(tmp_path / "back"), reporter=SilentReporter())


@pytest.mark.parametrize("layout", ["avca", "tcaf"])
def test_an_export_of_an_import_is_the_same(workspace: Workspace, tmp_path: Path, layout: str) -> None:
    """Texts and class vectors have the same bytes. Features and lists may have another order of videos."""
    export_features(workspace, layout, tmp_path / "out", reporter=SilentReporter())
    back = Workspace(tmp_path / "back")
    import_official(tmp_path / "out", layout, back, reporter=SilentReporter())
    report = export_features(back, layout, tmp_path / "again", reporter=SilentReporter())

    assert report.benchmark == "ucf"
    names = sorted(path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*.*") if path.is_file())
    assert names == sorted(
        path.relative_to(tmp_path / "again") for path in (tmp_path / "again").rglob("*.*") if path.is_file()
    )
    for name in names:
        first, second = tmp_path / "out" / name, tmp_path / "again" / name
        if name.suffix == ".h5":
            with h5py.File(first) as one, h5py.File(second) as other:
                pairs = (
                    dict(zip(one["video_urls"], one["data"], strict=True)),
                    dict(zip(other["video_urls"], other["data"], strict=True)),
                )
            assert pairs[0].keys() == pairs[1].keys()
            assert all(np.array_equal(row, pairs[1][key]) for key, row in pairs[0].items())
        elif name.suffix == ".csv":
            assert sorted(first.read_text().splitlines()) == sorted(second.read_text().splitlines())
        elif name.suffix == ".pkl":
            one, other = (pickle.loads(path.read_bytes()) for path in (first, second))  # noqa: S301 - written here
            rows = [dict(zip(content["video_names"], content["features"], strict=True)) for content in (one, other)]
            assert rows[0].keys() == rows[1].keys()
            assert all(np.array_equal(values, rows[1][key]) for key, values in rows[0].items())
        elif name.name != "avzsl.json":
            assert first.read_bytes() == second.read_bytes()


def test_an_export_has_the_form_that_the_avca_code_reads(workspace: Workspace, tmp_path: Path) -> None:
    """Folders, names, types and orders are as expected, and an absent modality is zeros."""
    report = export_features(workspace, "avca", tmp_path / "out", reporter=SilentReporter(), benchmark="activitynet")
    out = tmp_path / "out"
    code_of = {
        name.lower(): code
        for code, name in enumerate(sorted((out / "class-split/all_class.txt").read_text().splitlines()))
    }
    with (out / "class-split/activitynet_w2v_class_names.csv").open(newline="") as file:
        original_of = {row["manual"]: row["original"] for row in csv.DictReader(file)}
    vectors = np.load(out / "features/main_features/text/word_embeddings_activity_normed.npy", allow_pickle=True).item()

    assert len(code_of) == report.listed_classes == 9
    assert sorted(code_of[original_of[name].lower()] for name in vectors) == list(range(9))
    stages = {path.name for path in (out / "features/main_features/audio").iterdir()}
    assert stages == {path.stem for path in (out / "class-split/main_split").glob("*.csv")}
    assert len(stages) == 6
    for stage in stages:
        files = [
            [path.name for path in (out / f"features/main_features/{kind}/{stage}").iterdir()]
            for kind in ("audio", "video")
        ]
        assert files[0] == files[1]
        listed = (out / f"class-split/main_split/{stage}.txt").read_text().splitlines()
        assert sorted(name.removesuffix(".h5") for name in files[0]) == sorted(listed)
        with (out / f"class-split/main_split/{stage}.csv").open(newline="") as file:
            assert all(int(row["label_code"]) == code_of[row["label"].lower()] for row in csv.DictReader(file))
        for name in files[0]:
            with h5py.File(out / f"features/main_features/audio/{stage}/{name}") as audio:
                assert (audio["data"].dtype, audio["video_urls"].dtype) == (np.float32, np.dtype("S80"))
                assert audio["data"].shape == (len(audio["video_urls"]), WIDTH)
                urls = [str(url, "utf-8") for url in audio["video_urls"]]
                assert all(
                    (not row.any()) == url.endswith("1.mp4") for url, row in zip(urls, audio["data"], strict=True)
                )
            with h5py.File(out / f"features/main_features/video/{stage}/{name}") as visual:
                assert urls == [str(url, "utf-8") for url in visual["video_urls"]]


def test_sequences_are_float32_in_a_plain_dict(workspace: Workspace, tmp_path: Path) -> None:
    """The TCaF code can pad and stack the sequences."""
    export_features(workspace, "tcaf", tmp_path / "out", reporter=SilentReporter())
    path = next((tmp_path / "out/features/main_features_non_averaged/video/stage_2_train").iterdir())
    content = pickle.loads(path.read_bytes())  # noqa: S301 - written here, and read as the TCaF code does

    assert set(content) == {"features", "video_names", "fps"}
    assert len(content["features"]) == len(content["video_names"]) == len(content["fps"])
    assert all(rows.dtype == np.float32 and rows.shape[1] == WIDTH for rows in content["features"])
    assert all(isinstance(name, str) for name in content["video_names"])


def test_a_folder_that_is_not_empty_is_left_alone(workspace: Workspace, tmp_path: Path) -> None:
    """An empty folder is used, and files next to it are kept."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="full is not empty and is not overwritten: give a new folder"):
        export_features(workspace, "avca", tmp_path / "full", reporter=SilentReporter())
    (tmp_path / "empty").mkdir()
    (tmp_path / ".empty.partial").mkdir()

    export_features(workspace, "avca", tmp_path / "empty", reporter=SilentReporter())

    assert (tmp_path / "empty" / "class-split").is_dir()
    assert {path.name for path in tmp_path.iterdir()} == {"workspace", "full", "empty", ".empty.partial"}


def test_a_benchmark_is_named_in_any_case(workspace: Workspace, tmp_path: Path) -> None:
    """`UCF` is how the published code writes it."""
    report = export_features(workspace, "avca", tmp_path / "out", reporter=SilentReporter(), benchmark="VGGSound")
    assert report.benchmark == "vggsound"


def test_the_same_export_again_finds_itself(workspace: Workspace, tmp_path: Path) -> None:
    """Also after a kill at its very end. Other data is not written over it."""
    first = export_features(workspace, "avca", tmp_path / "out", reporter=SilentReporter())
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}

    again = export_features(workspace, "avca", tmp_path / "out", reporter=SilentReporter())

    assert again == dataclasses.replace(first, did_nothing=True)
    assert first.files == len(list((tmp_path / "out").glob("features/*/*/stage_*/*.h5")))
    assert written == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    with pytest.raises(UsageError, match="is an export of other data and is not overwritten"):
        export_features(workspace, "tcaf", tmp_path / "out", reporter=SilentReporter())
    (tmp_path / "out" / "avzsl.json").unlink()  # as if it had been killed before the end
    with pytest.raises(UsageError, match="is not empty and is not overwritten"):
        export_features(workspace, "avca", tmp_path / "out", reporter=SilentReporter())


def test_what_a_killed_export_left_is_removed_by_the_next_one(workspace: Workspace, tmp_path: Path) -> None:
    """That of a living process, of another machine or of a user stays."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    host = socket.gethostname()
    dead = tmp_path / f".out.{host}-{ended.pid}-abcd1234.partial"
    others = [
        tmp_path / f".out.{host}-{os.getpid()}-abcd1234.partial",
        tmp_path / f".out.elsewhere-{ended.pid}-abcd1234.partial",
        tmp_path / ".out.partial",
    ]
    for folder in (dead, *others):
        (folder / "whole").mkdir(parents=True)

    export_features(workspace, "avca", tmp_path / "out", reporter=SilentReporter())

    assert not dead.exists()
    assert all(folder.exists() for folder in others)


def test_an_export_works_in_the_current_folder(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The path `.` has no name, and the folder of the shell is not replaced."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    report = export_features(workspace, "avca", Path(), reporter=SilentReporter())

    assert report.folder == Path()
    assert sorted(path.name for path in Path().iterdir()) == ["avzsl.json", "class-split", "features"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "workspace"]


def test_a_failed_export_leaves_no_files(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the folder nor a temporary folder remains."""
    monkeypatch.setattr("pipeline.avgzsl_benchmark.exporting.export_features.write_pickled_npy", _disk_is_full)
    with pytest.raises(PipelineError, match="no space left on the disk"):
        export_features(workspace, "avca", tmp_path / "out", reporter=SilentReporter())

    assert [path.name for path in tmp_path.iterdir()] == ["workspace"]


def _disk_is_full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("layout", ["avca", "tcaf"])
def test_several_phrases_of_a_class_and_their_vectors_are_restored(
    workspace: Workspace, tmp_path: Path, layout: str
) -> None:
    """The layout stores their mean under one wording; two classes may have the same phrase."""
    dataset = load_dataset(workspace.dataset_folder)
    first, second, *_ = dataset.phrases
    changed = {first: ("not a number", "nothing", "void"), second: ("void", "phrase of 3")}
    dataset = dataclasses.replace(dataset, phrases={**dataset.phrases, **changed})
    save_dataset(dataset, workspace.dataset_folder)
    generator = np.random.default_rng(1)
    single = ("not a number", "nothing", "void", "nan", *(f"phrase of {index}" for index in range(len(ODD))))
    vectors = {phrase: _unit(generator) for phrase in single}
    write_pickled_npy(workspace.text_folder / "vectors.npy", vectors)
    export_features(workspace, layout, tmp_path / "out", reporter=SilentReporter())
    back = Workspace(tmp_path / "back")
    import_official(tmp_path / "out", layout, back, reporter=SilentReporter())

    found = load_dataset(back.dataset_folder).phrases
    assert found == load_dataset(workspace.dataset_folder).phrases
    assert "not a number / nothing / void" in (tmp_path / "out/class-split/ucf_w2v_class_names.csv").read_text()
    np.testing.assert_array_equal(*(embed_classes(one, found, "auto").vectors for one in (workspace, back)))
    export_features(back, layout, tmp_path / "again", reporter=SilentReporter())
    notes, again = (json.loads((tmp_path / out / "avzsl.json").read_text()) for out in ("out", "again"))
    assert notes["phrases"] == again["phrases"]
    assert notes["phrase_vectors"] == again["phrase_vectors"]
    assert set(notes["phrase_vectors"]) == {"not a number", "nothing", "void", "phrase of 3"}


@pytest.mark.parametrize("content", ["{", '{"format": 7}', '{"format": 1, "absent": {}, "segments": [1]}'])
def test_damaged_notes_are_refused(workspace: Workspace, tmp_path: Path, content: str) -> None:
    """The message says what to do."""
    export_features(workspace, "avca", tmp_path / "out", reporter=SilentReporter())
    (tmp_path / "out" / "avzsl.json").write_text(content)
    with pytest.raises(UsageError, match=r"avzsl\.json is damaged.*export the features again"):
        import_official(tmp_path / "out", "avca", Workspace(tmp_path / "back"), reporter=SilentReporter())


def test_an_export_warns_of_data_that_the_published_code_cannot_use(workspace: Workspace, tmp_path: Path) -> None:
    """A class with a single video, an empty protocol stage, vectors of another width, and videos in no split."""
    dataset, reporter = load_dataset(workspace.dataset_folder), WarningRecorder()
    keys = [video.key for video in dataset.videos]
    write_splits(
        Splits((keys[0], keys[6], keys[7]), (), (), (), tuple(keys[36:38])), workspace.dataset_folder / "splits.yaml"
    )
    vectors = {
        phrase: np.ones(4, np.float32) for phrase in (*(phrase for (phrase,) in dataset.phrases.values()), "nan")
    }
    write_pickled_npy(tmp_path / "narrow.npy", vectors)

    export_features(workspace, "avca", tmp_path / "out", reporter=reporter, text=str(tmp_path / "narrow.npy"))

    warnings = "\n".join(reporter.lines)
    assert "4 wide, but the published code expects 300" in warnings
    assert "these have none: stage_1_val_seen, stage_1_val_unseen, stage_2_test_seen" in warnings
    assert f"only one training video: {dataset.videos[0].class_name}" in warnings
    assert "43 videos not in any split: not exported" in warnings


def test_an_unknown_benchmark_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    """The message names the choices."""
    with pytest.raises(
        UsageError, match=r"unknown benchmark 'ucff': choose one of ucf, activitynet, vggsound\. Did you mean ucf"
    ):
        export_features(workspace, "avca", tmp_path / "out", reporter=SilentReporter(), benchmark="ucff")
