"""pipeline/features/inspection: counts, statistics, odd seconds and damage, compared with simple oracles."""

import shutil
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.base.errors import DamagedFileError, PipelineError
from pipeline.base.progress import SilentReporter
from pipeline.features.feature_set import load_features
from pipeline.features.index import SourceFile, StoredFailure, StoredVideo, content_fingerprint, table_checksum
from pipeline.features.inspection import checksums, second_statistics, stored_file
from pipeline.features.inspection.checksums import TableChecksum
from pipeline.features.inspection.index_check import ContentDigest
from pipeline.features.inspection.report import StoreReport, inspect_store
from pipeline.features.store import FeatureRows, write_part

WIDTH = 8
SOURCE = SourceFile("a hash", 1, 1)


def video(name: str, seconds: int, **fields: object) -> StoredVideo:
    """Make a row of the index."""
    row = StoredVideo(name, SOURCE, seconds, True, True, float(seconds), class_name=name.split("/", maxsplit=1)[0])
    return replace(row, **fields)


def numbers(seconds: int, seed: int = 0) -> np.ndarray:
    """Make random features (seconds, WIDTH)."""
    return np.random.default_rng(seed).normal(3, 2, (seconds, WIDTH)).astype(np.float32)


def write(path: Path, entries: Sequence[tuple[StoredVideo, FeatureRows]], dtype: str = "float32") -> Path:
    """Write a store with its fingerprints, as a merge does."""
    content = content_fingerprint([row for row, _ in entries], "abc")
    attributes = {"extractor": "selavi", "feature_width": WIDTH, "dtype": dtype, "extractor_fingerprint": "abc"}
    write_part(
        path,
        entries,
        [],
        widths=(WIDTH, WIDTH),
        dtype=dtype,
        attributes={**attributes, "content": content},
    )
    return path


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Three videos, one of them silent."""
    entries = [
        (video("dog/a.mp4", 4), FeatureRows(numbers(4, 1), numbers(4, 2))),
        (video("dog/b.mp4", 1, has_audio=False, warnings="cut short"), FeatureRows(numbers(1, 3), None)),
        (video("cat/c.mp4", 2, start_seconds=1.5, end_seconds=3.5), FeatureRows(numbers(2, 4), numbers(2, 5))),
    ]
    return write(tmp_path / "features.h5", entries)


def inspect(path: Path) -> StoreReport:
    """Make the report of a file."""
    return inspect_store(path, SilentReporter())


def test_a_whole_store_is_counted(store: Path) -> None:
    """Videos, classes, seconds, absent modalities, segments and warnings; nothing is damaged or unchecked."""
    before = store.read_bytes()
    report = inspect(store)
    assert (report.videos, report.classes, report.segments, report.with_warnings) == (3, {"dog": 2, "cat": 1}, 1, 1)
    assert (report.seconds.total, report.seconds.minimum, report.seconds.median, report.seconds.maximum) == (7, 1, 2, 4)
    assert report.absent == {"audio": 1, "visual": 0}
    assert (report.problems, report.unchecked, report.odd_rows, report.whole) == ((), (), (), True)
    assert (report.schema, report.dtype["audio"], report.parts) == (3, "float32", None)
    assert store.read_bytes() == before


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("block_rows", [1, 3, 1024])
def test_statistics_are_those_of_all_present_seconds_at_once(
    tmp_path: Path, dtype: str, block_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The size of a block does not matter, and absent seconds do not count."""
    monkeypatch.setattr(second_statistics, "_BLOCK_ROWS", block_rows)
    rows = [numbers(length, seed).astype(dtype) for seed, length in enumerate((3, 1, 5))]
    entries = [(video(f"c/{number}", len(part)), FeatureRows(part, part)) for number, part in enumerate(rows)]
    entries[1] = (replace(entries[1][0], has_audio=False), FeatureRows(rows[1], None))
    visual, audio = inspect(write(tmp_path / "features.h5", entries, dtype)).statistics
    for found, there in ((visual, np.concatenate(rows)), (audio, np.concatenate([rows[0], rows[2]]))):
        there = there.astype(np.float64)  # noqa: PLW2901 - in the precision of the oracle
        norms = np.linalg.norm(there, axis=1)
        expected = [there.mean(), there.std(), there.min(), there.max(), norms.mean(), norms.min(), norms.max()]
        given_ = [found.mean, found.deviation, found.minimum, found.maximum]
        np.testing.assert_allclose([*given_, found.norm_mean, found.norm_minimum, found.norm_maximum], expected)
        assert found.seconds == len(there)


@pytest.mark.parametrize("block_rows", [1, 2, 1024])
def test_odd_seconds_are_named(tmp_path: Path, block_rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind is named with video and second, and no kind changes the statistics."""
    monkeypatch.setattr(second_statistics, "_BLOCK_ROWS", block_rows)
    odd = numbers(5)
    odd[1], odd[2], odd[4, 3] = 0, 7, np.nan
    still = np.repeat(numbers(1), 3, axis=0)
    nearly = still.copy()
    nearly[2, 5] += 1
    entries = [
        (video("c/odd", 5), FeatureRows(odd, numbers(5))),
        (video("c/still", 3), FeatureRows(numbers(3), still)),
        (video("c/nearly", 3), FeatureRows(nearly, numbers(3))),
        (video("c/absent", 2, has_audio=False), FeatureRows(numbers(2), numbers(2))),
    ]
    report = inspect(write(tmp_path / "features.h5", entries))
    found = {(row.modality, row.kind, row.video, row.second) for row in report.odd_rows}
    assert found == {
        ("visual", "all zero", "c/odd", 1),
        ("visual", "all numbers equal", "c/odd", 2),
        ("visual", "not finite", "c/odd", 4),
        ("audio", "every second the same", "c/still", None),
        ("audio", "not zero though absent", "c/absent", 0),
        ("audio", "not zero though absent", "c/absent", 1),
    }
    assert all(np.isfinite([entry.mean, entry.maximum]).all() for entry in report.statistics)
    assert report.whole


def test_at_most_ten_odd_seconds_of_a_kind_are_named_but_all_are_counted(tmp_path: Path) -> None:
    """They are the first ones, in the order of the file."""
    rows = np.zeros((25, WIDTH), np.float32)
    report = inspect(write(tmp_path / "features.h5", [(video("c/a", 25), FeatureRows(rows, numbers(25)))]))
    assert [row.second for row in report.odd_rows] == list(range(10))
    assert report.statistics[0].odd == {"all zero": 25}


def test_a_segment_is_named_with_its_times(tmp_path: Path) -> None:
    """The same file may be in a store several times, so its name alone is not enough."""
    row = video("c/a.mp4", 1, start_seconds=2.0, end_seconds=None)
    report = inspect(write(tmp_path / "features.h5", [(row, FeatureRows(np.zeros((1, WIDTH)), numbers(1)))]))
    assert [odd.video for odd in report.odd_rows] == ["c/a.mp4 (2 s to its end)"]


TIMES = st.none() | st.floats(0, 1e6)
ROWS = st.builds(
    StoredVideo,
    video=st.text(),
    source=st.builds(SourceFile, st.text("0123456789abcdef"), st.just(1), st.just(1)),
    seconds=st.integers(1, 10_000),
    has_audio=st.booleans(),
    has_visual=st.booleans(),
    duration_seconds=st.floats(0, 1e6),
    class_name=st.text(),
    start_seconds=TIMES,
    end_seconds=TIMES,
)


@settings(max_examples=50, deadline=None)
@given(videos=st.lists(ROWS, max_size=9), extractor=st.text(), block=st.integers(1, 4))
def test_the_fingerprint_of_blocks_is_the_fingerprint_of_all_videos(
    videos: list[StoredVideo], extractor: str, block: int
) -> None:
    """The oracle is the function with which the extraction makes the attribute."""
    digest = ContentDigest(extractor)
    for start in range(0, len(videos), block):
        part = videos[start : start + block]
        digest.add([[*one.key, one.class_name, one.source.content_hash, one.seconds] for one in part])
    assert digest.fingerprint() == content_fingerprint(videos, extractor)


def test_an_index_of_several_blocks_is_read_whole(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report does not depend on the size of a block."""
    expected = inspect(store).to_json()
    monkeypatch.setattr(stored_file, "_BLOCK_VIDEOS", 2)
    assert inspect(store).to_json() == expected


def changed(path: Path, column: str, row: int, value: object) -> Path:
    """Put another value into the index of a file."""
    with h5py.File(path, "r+") as file:
        index = file["index"][...]
        index[column][row] = value
        file["index"][...] = index
    return path


@pytest.mark.parametrize(
    ("column", "row", "value", "message"),
    [
        ("offset", 1, 3, "do not begin where"),
        ("offset", 2, 70, "do not begin where"),
        ("seconds", 0, 5, "8 seconds, the file holds 7"),
        ("seconds", 1, 0, "1 video without seconds"),
        ("content_hash", 1, "another", "its fingerprint is"),
        ("class", 0, "", "1 video without a class"),
        ("video", 0, "", "1 video without a name"),
        ("video", 1, "dog/a.mp4", "1 video listed twice"),
        ("has_visual", 1, False, "with neither sound nor picture"),
        ("duration_seconds", 1, np.nan, "not a positive number"),
    ],
)
def test_an_index_that_does_not_fit_is_damage(store: Path, column: str, row: int, value: object, message: str) -> None:
    """The report says what is wrong with the index."""
    report = inspect(changed(store, column, row, value))
    assert any(message in line for line in report.problems)
    assert not report.whole


def test_features_are_not_read_if_the_index_does_not_fit(store: Path) -> None:
    """Otherwise the statistics would be those of other videos."""
    report = inspect(changed(store, "offset", 1, 3))
    assert report.statistics == ()
    assert any("which second belongs to which video" in line for line in report.unchecked)


def test_videos_may_have_another_order_than_the_index(tmp_path: Path) -> None:
    """Each odd second is still named after its own video."""
    zero = np.zeros((2, WIDTH), np.float32)
    entries = [(video("c/a", 1), FeatureRows(numbers(1), numbers(1))), (video("c/b", 2), FeatureRows(zero, numbers(2)))]
    path = write(tmp_path / "features.h5", entries)
    with h5py.File(path, "r+") as file:
        file["index"][...] = file["index"][...][::-1]
    report = inspect(path)
    assert all("not what was written: its" in line for line in report.problems)
    assert [(row.video, row.second) for row in report.odd_rows] == [("c/b", 0), ("c/b", 1)]


def test_attributes_that_contradict_the_features_are_damage(store: Path) -> None:
    """Width and type are compared with the arrays, and the modalities with each other."""
    with h5py.File(store, "r+") as file:
        file.attrs["feature_width"] = 9
        del file["audio"]
        file["audio"] = numbers(6).astype(np.float16)
    lines = "\n".join(inspect(store).problems)
    assert "visual: feature_width is 8, the attributes say 9" in lines
    assert "audio: dtype is float16, the attributes say float32" in lines
    assert "7 seconds of visual features, 6 of audio features" in lines


@pytest.mark.parametrize("block_rows", [1, 3, 1024])
@pytest.mark.parametrize(("modality", "row"), [("visual", 5), ("visual", 6), ("audio", 5), ("audio", 6)])
def test_one_flipped_bit_is_found(
    store: Path, block_rows: int, modality: str, row: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be in any value of any second. The report names the video."""
    monkeypatch.setattr(second_statistics, "_BLOCK_ROWS", block_rows)
    assert inspect(store).whole
    with h5py.File(store, "r+") as file:
        bits = file[modality][row].view(np.uint32)
        bits[3] ^= 1
        file[modality][row] = bits.view(np.float32)
    (line,) = inspect(store).problems
    assert "1 video are not what was written" in line
    assert "cat/c.mp4 (1.5 s to 3.5 s)" in line


@pytest.mark.parametrize("block", [1, 2, 4096])
@pytest.mark.parametrize("memory_bytes", [1, 1 << 18])
def test_the_checksum_of_blocks_is_the_checksum_of_the_table(
    store: Path, memory_bytes: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oracle is the function with which the store was written. Long columns go to a temporary file."""
    monkeypatch.setattr(checksums, "_MEMORY_BYTES", memory_bytes)
    with h5py.File(store, "r") as file:
        table = file["index"][...]
    with TableChecksum() as checksum:
        for start in range(0, len(table), block):
            checksum.add(table[start : start + block])
        assert checksum.value() == table_checksum(table)


def test_a_changed_warning_is_found(store: Path) -> None:
    """The content fingerprint does not cover it, but the checksum of the table does."""
    assert inspect(changed(store, "warnings", 0, "another")).problems == (
        "the table /index is not what was written: its checksum differs",
    )


def test_a_table_without_a_checksum_is_damaged_as_it_is_for_training(store: Path) -> None:
    """A missing checksum is no match."""
    with h5py.File(store, "r+") as file:
        del file["index"].attrs["checksum"]
    assert inspect(store).problems == ("the table /index has no checksum",)
    with pytest.raises(DamagedFileError):
        load_features(store, ["a", "b"])


def damaged_file(tmp_path: Path, store: Path, what: str) -> Path:
    """Make a path that is no store, in one of several ways."""
    path = tmp_path / what
    match what:
        case "a folder":
            path.mkdir()
        case "not HDF5":
            path.write_bytes(b"RIFF")
        case "cut":
            path.write_bytes(store.read_bytes()[:3000])
        case "foreign":
            with h5py.File(path, "w") as file:
                file["data"] = [1]
        case "newer" | "no audio" | "no column":
            shutil.copy(store, path)
            with h5py.File(path, "r+") as file:
                if what == "newer":
                    file.attrs["schema"] = 99
                elif what == "no audio":
                    del file["audio"]
                else:
                    del file["index"]
                    file["index"] = np.zeros(3, [("video", "S8")])
        case _:
            pass
    return path


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("absent", "does not exist"),
        ("a folder", "is a folder"),
        ("not HDF5", "not an HDF5 file"),
        ("cut", "damaged HDF5 file"),
        ("foreign", "not written by avzsl"),
        ("newer", "of schema 99, not 3"),
        ("no audio", "damaged feature file"),
        ("no column", "the index lacks start_seconds"),
    ],
)
def test_a_file_that_is_not_a_store_is_refused_in_one_line(
    tmp_path: Path, store: Path, what: str, message: str
) -> None:
    """The line says what the file is instead."""
    with pytest.raises(PipelineError, match=message) as error:
        inspect(damaged_file(tmp_path, store, what))
    assert "\n" not in str(error.value)


def test_a_damaged_name_leaves_the_rest_of_the_report(store: Path) -> None:
    """Bytes that are not UTF-8 are found by the checksum of the index; everything else is still counted."""
    store.write_bytes(store.read_bytes().replace(b"cat/c.mp4", b"cat/\xff.mp4"))
    found = inspect(store)
    assert (found.videos, found.seconds.total, found.whole) == (3, 7, False)
    assert "the table /index is not what was written: its checksum differs" in found.problems


def test_a_bug_in_an_inspection_is_not_called_damage(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is whole, so the user must not be told to delete it."""

    def buggy(_: object) -> None:
        raise TypeError("a bug of ours")

    monkeypatch.setattr("pipeline.features.inspection.report._seconds", buggy)
    with pytest.raises(TypeError, match="a bug of ours"):
        inspect(store)


def test_an_empty_store_and_a_part_file_are_stores_too(tmp_path: Path) -> None:
    """A part file has no content fingerprint, but it may have failures."""
    failure = StoredFailure("c/x.mp4", SOURCE, "not a video")
    write_part(tmp_path / "part.h5", [], [failure], widths=(WIDTH, WIDTH), dtype="float32", attributes={})
    report = inspect(tmp_path / "part.h5")
    assert (report.videos, report.seconds, report.failures, report.whole) == (0, None, 1, True)
    assert "content fingerprint" in report.unchecked[0]


def test_the_parts_and_failures_of_a_workspace_are_summed_up(tmp_path: Path, store: Path) -> None:
    """One unreadable part file counts as damage. Part files that were backed up earlier do not count."""
    parts = tmp_path / "parts"
    parts.mkdir()
    shutil.copy(store, parts / "part-000001-7.h5")
    (parts / "part-000000-7.damaged").write_bytes(b"backed up")
    (tmp_path / "failures.csv").write_text("video,reason\na,cut short\nb,not a video\nc,cut short\n")
    found = inspect(store)
    assert found.whole
    assert (found.parts.files, found.parts.videos, found.parts.damaged) == (1, 3, ())
    assert (found.parts.failed_videos, found.parts.reasons) == (3, {"cut short": 2, "not a video": 1})
    (parts / "part-000002-7.h5").write_bytes(store.read_bytes()[:2000])
    found = inspect(store)
    assert (found.parts.damaged, found.problems, found.whole) == (("part-000002-7.h5",), (), False)


def test_the_features_are_never_completely_in_memory(tmp_path: Path) -> None:
    """Inspecting 40 MB of features takes a few MB."""
    rows = np.random.default_rng(0).random((40_000, 128), np.float32)
    entries = [(video("c/a", 40_000), FeatureRows(rows, rows))]
    write_part(tmp_path / "features.h5", entries, [], widths=(128, 128), dtype="float32", attributes={})
    tracemalloc.start()
    inspect(tmp_path / "features.h5")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12e6
