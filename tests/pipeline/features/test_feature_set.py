"""pipeline/features/feature_set.py: batches compared with a slow loop, statistics compared with numpy."""

import dataclasses
import tracemalloc
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.base.errors import DamagedFileError, PipelineError, StorageError
from pipeline.features import feature_set
from pipeline.features.feature_set import FeatureSet, Standardiser, load_features
from pipeline.features.index import SourceFile, StoredVideo
from pipeline.features.store import FeatureRows, write_part

AUDIO, VISUAL = 2, 3
CPU = torch.device("cpu")
ATTRIBUTES: dict[str, str | int | float | bool] = {"extractor": "selavi"}


def make_set(seconds: list[int], present: list[tuple[bool, bool]], dtype: torch.dtype = torch.float32) -> FeatureSet:
    """Make videos of these lengths, each with or without audio and visual features."""
    total = sum(seconds)
    return FeatureSet(
        keys=tuple(f"v{index}" for index in range(len(seconds))),
        classes=("a", "b"),
        labels=torch.arange(len(seconds)) % 2,
        visual=torch.randn(total, VISUAL).to(dtype),
        audio=torch.randn(total, AUDIO).to(dtype),
        offsets=torch.tensor([sum(seconds[:index]) for index in range(len(seconds))], dtype=torch.int64),
        seconds=torch.tensor(seconds, dtype=torch.int64),
        has_audio=torch.tensor([audio for audio, _ in present], dtype=torch.bool),
        has_visual=torch.tensor([visual for _, visual in present], dtype=torch.bool),
        attributes={},
    )


sets = st.lists(st.tuples(st.integers(1, 5), st.tuples(st.booleans(), st.booleans())), min_size=1, max_size=6).map(
    lambda videos: make_set([seconds for seconds, _ in videos], [present for _, present in videos])
)


@settings(deadline=None, max_examples=50)
@given(features=sets, data=st.data())
def test_a_batch_equals_that_of_a_slow_loop(features: FeatureSet, data: st.DataObject) -> None:
    """Each existing second is at its position, standardised; everything else is masked and 0."""
    chosen = data.draw(st.lists(st.integers(0, len(features.keys) - 1), min_size=1, max_size=5))
    standardiser = Standardiser(
        torch.randn(AUDIO), torch.rand(AUDIO) + 0.5, torch.randn(VISUAL), torch.rand(VISUAL) + 0.5
    )

    batch = features.batch(torch.tensor(chosen), standardiser, CPU)

    longest = max(int(features.seconds[index]) for index in chosen)
    assert batch.audio.shape == (len(chosen), longest, AUDIO)
    assert batch.visual.shape == (len(chosen), longest, VISUAL)
    for row, index in enumerate(chosen):
        for second in range(longest):
            inside = second < features.seconds[index]
            assert batch.audio_mask[row, second] == (inside and features.has_audio[index])
            assert batch.visual_mask[row, second] == (inside and features.has_visual[index])
            source = int(features.offsets[index]) + second
            for modality, has in (("audio", features.has_audio), ("visual", features.has_visual)):
                found = getattr(batch, modality)[row, second]
                if inside and has[index]:
                    stored = getattr(features, modality)[source]
                    assert torch.equal(found, getattr(standardiser, modality)(stored))
                else:
                    assert not found.any()


def test_half_precision_features_make_single_precision_batches() -> None:
    """The network always computes in float32."""
    features = make_set([2, 1], [(True, True)] * 2, torch.float16)

    batch = features.batch(torch.tensor([0, 1]), Standardiser.identity(AUDIO, VISUAL), CPU)

    assert batch.audio.dtype == batch.visual.dtype == torch.float32
    assert torch.equal(batch.visual[0], features.visual[:2].float())


@settings(deadline=None, max_examples=50)
@given(features=sets, data=st.data(), block=st.sampled_from([1, 3, 1024]))
def test_statistics_equal_those_of_numpy(features: FeatureSet, data: st.DataObject, block: int) -> None:
    """They cover the seconds of the chosen videos that have the modality. The size of a block does not matter."""
    chosen = data.draw(st.lists(st.integers(0, len(features.keys) - 1), unique=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feature_set, "_BLOCK_ROWS", block)
        found = features.statistics(torch.tensor(chosen, dtype=torch.int64))

    for name, values, has in (
        ("audio", features.audio, features.has_audio),
        ("visual", features.visual, features.has_visual),
    ):
        seconds = [
            values[int(features.offsets[index]) + second].numpy().astype(np.float64)
            for index in chosen
            if has[index]
            for second in range(int(features.seconds[index]))
        ]
        mean = np.mean(seconds, axis=0) if seconds else np.zeros(values.shape[1])
        deviation = np.std(seconds, axis=0) if len(seconds) > 1 else np.ones(values.shape[1])
        np.testing.assert_allclose(getattr(found, f"{name}_mean"), mean, atol=1e-6)
        np.testing.assert_allclose(getattr(found, f"{name}_deviation"), deviation, rtol=1e-4, atol=1e-6)


def test_standardised_features_have_mean_0_and_deviation_1() -> None:
    """This is true for values far from 0, too."""
    features = make_set([200, 300], [(True, True)] * 2)
    features.visual.mul_(0.01).add_(1000)
    every = torch.tensor([0, 1])

    batch = features.batch(every, features.statistics(every), CPU)
    values = batch.visual[batch.visual_mask]

    torch.testing.assert_close(values.mean(0), torch.zeros(VISUAL), atol=0.01, rtol=0)
    torch.testing.assert_close(values.std(0, correction=0), torch.ones(VISUAL), atol=0.01, rtol=0)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e4, -1e-3])
def test_a_feature_that_never_varies_becomes_0(value: float) -> None:
    """Noise of rounding is not enlarged to deviation 1."""
    features = make_set([7, 6], [(True, True)] * 2)
    features.audio[:, 0] = value
    every = torch.tensor([0, 1])

    standardiser = features.statistics(every)

    assert standardiser.audio_deviation[0] == 1
    assert features.batch(every, standardiser, CPU).audio[..., 0].abs().max() <= 1e-6 * max(1, abs(value))


def test_the_identity_changes_nothing_and_moves_between_devices() -> None:
    """Without standardisation, features are used as they are stored."""
    features = make_set([2], [(True, True)])

    batch = features.batch(torch.tensor([0]), Standardiser.identity(AUDIO, VISUAL).to(CPU), CPU)

    assert torch.equal(batch.audio[0], features.audio)


def test_indices_are_those_of_the_keys() -> None:
    """They have the order of the given keys. No keys give no indices."""
    features = make_set([1, 1, 1], [(True, True)] * 3)

    assert features.indices(["v2", "v0"]).tolist() == [2, 0]
    assert features.indices([]).dtype == torch.int64


def write(path: Path, values: dict[str, np.ndarray[Any, Any]], classes: dict[str, str], dtype: str = "float32") -> Path:
    """Write a file of features from a dict: key -> values (T, 2) for both modalities."""
    pairs = [
        (
            StoredVideo(key, SourceFile("", 0, 0), len(rows), key != "silent", True, 1.0, classes[key]),
            FeatureRows(visual=rows, audio=None if key == "silent" else -rows),
        )
        for key, rows in values.items()
    ]
    write_part(path, pairs, [], widths=(2, 2), dtype=dtype, attributes=ATTRIBUTES)
    return path


def test_labels_follow_the_classes_of_the_dataset(tmp_path: Path) -> None:
    """Labels are indices into the given classes. The classes of the file do not matter."""
    values = {"x": np.ones((2, 2)), "silent": np.full((1, 2), 2.0)}
    path = write(tmp_path / "features.h5", values, {"x": "yoga", "silent": "dog"})

    features = load_features(path, ["cat", "dog", "yoga"])

    assert features.keys == ("x", "silent")
    assert features.labels.tolist() == [2, 1]
    assert features.visual.tolist() == [[1, 1], [1, 1], [2, 2]]
    assert features.audio.tolist() == [[-1, -1], [-1, -1], [0, 0]]
    assert (features.offsets.tolist(), features.seconds.tolist()) == ([0, 2], [2, 1])
    assert (features.has_audio.tolist(), features.has_visual.tolist()) == ([True, False], [True, True])
    assert features.attributes["extractor"] == "selavi"


def test_a_class_that_the_dataset_does_not_have_fails(tmp_path: Path) -> None:
    """The message names the video and its class."""
    path = write(tmp_path / "features.h5", {"x": np.ones((2, 2))}, {"x": "yoga"})

    with pytest.raises(PipelineError, match="video 'x' is of class 'yoga', not in the dataset: extract again"):
        load_features(path, ["dog"])


@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf, -np.inf])
def test_a_feature_that_is_not_finite_fails_with_its_video(tmp_path: Path, value: float) -> None:
    """Such a value would make every weight useless in one training step."""
    values = {key: np.ones((2, 2)) for key in ("first", "second", "third")}
    values["second"][1, 0] = value
    path = write(tmp_path / "features.h5", values, dict.fromkeys(values, "c"))

    with pytest.raises(PipelineError, match="the visual features of 'second' are not finite: extract that video again"):
        load_features(path, ["c"])


def test_the_largest_and_smallest_finite_numbers_are_loaded(tmp_path: Path) -> None:
    """This is true for float16, too, which has a smaller range than float32."""
    limits = np.finfo(np.float16)
    values = np.array([[limits.max, limits.min], [limits.smallest_subnormal, -0.0]])
    path = write(tmp_path / "features.h5", {"x": values}, {"x": "c"}, dtype="float16")

    features = load_features(path, ["c"])

    assert features.visual.dtype == torch.float16
    assert features.visual.tolist() == values.tolist()


@settings(deadline=None, max_examples=50)
@given(
    dtype=st.sampled_from(["float16", "float32"]),
    seconds=st.lists(st.integers(1, 4), min_size=1, max_size=5),
    data=st.data(),
)
def test_exactly_the_first_video_with_a_value_that_is_not_finite_is_named(
    dtype: str, seconds: list[int], data: st.DataObject
) -> None:
    """The oracle is isfinite of numpy, for any bits."""
    width = 32 if dtype == "float32" else 16
    limits = st.floats(width=width, allow_nan=True, allow_infinity=True)
    values = np.array(data.draw(st.lists(limits, min_size=sum(seconds), max_size=sum(seconds))), dtype)[:, None]
    starts = np.cumsum([0, *seconds[:-1]])
    blank = StoredVideo("", SourceFile("", 0, 0), 1, has_audio=True, has_visual=True, duration_seconds=1.0)
    videos = [dataclasses.replace(blank, video=f"v{index}") for index in range(len(seconds))]
    bad = [f"v{index}" for index, part in enumerate(np.split(values, starts[1:])) if not np.isfinite(part).all()]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feature_set, "_BLOCK_ROWS", 3)
        expected = pytest.raises(PipelineError, match=f"of '{bad[0]}' are not finite") if bad else nullcontext()
        with expected:
            feature_set._refuse_not_finite(Path("features.h5"), "visual", values, videos, starts)


def test_features_are_in_memory_only_once(tmp_path: Path) -> None:
    """Loading takes hardly more memory than the stored features."""
    values = {f"v{number}": np.ones((500, 2)) for number in range(400)}
    path = write(tmp_path / "features.h5", values, dict.fromkeys(values, "c"), dtype="float16")
    tracemalloc.start()

    features = load_features(path, ["c"])

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    held = features.visual.nbytes + features.audio.nbytes
    assert held == 400 * 500 * 2 * 2 * 2
    assert peak < 1.5 * held


@pytest.mark.needs_gpu
def test_a_batch_for_a_gpu_is_the_same_and_does_not_wait() -> None:
    """The host waits neither for a copy nor for an index."""
    features, cuda = (
        make_set([3, 1, 2], [(True, True), (False, True), (True, False)], torch.float16),
        torch.device("cuda"),
    )
    standardiser = features.statistics(torch.arange(3))
    there = standardiser.to(cuda)
    features.batch(torch.arange(3), there, cuda)  # the first pins its memory
    torch.cuda.set_sync_debug_mode("error")
    try:
        batch = features.batch(torch.tensor([2, 0, 1]), there, cuda)
    finally:
        torch.cuda.set_sync_debug_mode("default")

    expected = features.batch(torch.tensor([2, 0, 1]), standardiser, CPU)
    for name in ("audio", "visual", "audio_mask", "visual_mask"):
        torch.testing.assert_close(getattr(batch, name).cpu(), getattr(expected, name))


def test_missing_features_fail(tmp_path: Path) -> None:
    """The message says how to make them."""
    with pytest.raises(StorageError, match="does not exist: run avzsl extract"):
        load_features(tmp_path / "features.h5", [])


@pytest.mark.parametrize("modality", ["visual", "audio"])
def test_a_changed_number_is_found_and_its_video_is_named(tmp_path: Path, modality: str) -> None:
    """Training on damaged features would give another model without a word."""
    source = SourceFile("hash", 1, 1)
    row, path = np.full((2, 4), 1.5, np.float32), tmp_path / "features.h5"
    entries = [
        (StoredVideo(name, source, 2, True, True, 2.0, class_name="a"), FeatureRows(row, row)) for name in ("x", "y")
    ]
    write_part(path, entries, [], widths=(4, 4), dtype="float32", attributes=ATTRIBUTES)
    load_features(path, ["a"])
    with h5py.File(path, "r+") as file:
        file[modality][3, 1] += 1e-6
    with pytest.raises(
        DamagedFileError, match=r"features\.h5 is damaged.*features of y are not what was written.*delete it"
    ):
        load_features(path, ["a"])


def test_averages_are_the_means_of_each_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checked video by video, in blocks that end inside videos."""
    monkeypatch.setattr(feature_set, "_BLOCK_ROWS", 2)
    features = FeatureSet(
        keys=("a", "b", "c"),
        classes=("one",),
        labels=torch.zeros(3, dtype=torch.int64),
        visual=torch.randn(6, 3).half(),
        audio=torch.randn(6, 2),
        offsets=torch.tensor([3, 0, 5]),
        seconds=torch.tensor([2, 3, 1]),
        has_audio=torch.tensor([True, False, True]),
        has_visual=torch.tensor([True, True, True]),
        attributes={},
    )
    found = features.averaged()
    for video, rows in enumerate((slice(3, 5), slice(0, 3), slice(5, 6))):
        torch.testing.assert_close(found.visual[video], features.visual[rows].float().mean(0))
        torch.testing.assert_close(found.audio[video], features.audio[rows].mean(0))
    batch = found.batch(torch.arange(3), Standardiser.identity(2, 3), torch.device("cpu"))
    assert batch.audio.shape == (3, 1, 2)
    assert batch.audio_mask.flatten().tolist() == [True, False, True]
