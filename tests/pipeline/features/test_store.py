"""pipeline/features/store.py: written features are read back, damaged files are refused, merges are whole."""

import dataclasses
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.base.errors import DamagedFileError, StorageError
from pipeline.base.progress import SilentReporter
from pipeline.features.index import SourceFile, StoredFailure, StoredVideo, content_fingerprint
from pipeline.features.inspection.report import inspect_store
from pipeline.features.store import FeatureRows, merge_parts, open_store, write_part

WIDTH = 3
ATTRIBUTES: dict[str, str | int | float | bool] = {
    "extractor": "selavi",
    "seed": 0,
    "picture_mean": 0.45,
    "narrow": True,
    "feature_width": WIDTH,
    "dtype": "float32",
}
SOURCE = SourceFile("hash", 10, 20)

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
times = st.none() | st.floats(0, 1e6)
source_files = st.builds(SourceFile, texts, st.integers(0, 2**62), st.integers(0, 2**62))
videos = st.builds(
    StoredVideo,
    video=texts,
    source=source_files,
    seconds=st.integers(0, 5),
    has_audio=st.booleans(),
    has_visual=st.booleans(),
    duration_seconds=st.floats(0, 1e6),
    class_name=texts,
    start_seconds=times,
    end_seconds=times,
    warnings=texts,
)
failures = st.builds(
    StoredFailure, video=texts, source=source_files, reason=texts, start_seconds=times, end_seconds=times
)


def features_of(video: StoredVideo, number: int) -> FeatureRows:
    """Make rows that differ from those of every other video and second; None if the modality is absent."""
    rows = 100.0 * number + np.arange(video.seconds * WIDTH, dtype=np.float32).reshape(video.seconds, WIDTH)
    return FeatureRows(visual=rows if video.has_visual else None, audio=-rows if video.has_audio else None)


def stored(key: str, seconds: int = 2, **fields: Any) -> StoredVideo:
    """Make a plain index row."""
    fields = {"has_audio": True, "has_visual": True, "duration_seconds": float(seconds), "class_name": "c", **fields}
    return StoredVideo(video=key, source=SOURCE, seconds=seconds, **fields)


def write(path: Path, rows: list[StoredVideo], failed: list[StoredFailure] | None = None, first: int = 0) -> Path:
    """Write a part file of these videos."""
    pairs = [(video, features_of(video, first + index)) for index, video in enumerate(rows)]
    write_part(path, pairs, failed or [], widths=(WIDTH, WIDTH), dtype="float32", attributes=ATTRIBUTES)
    return path


def or_zeros(rows: np.ndarray[Any, Any] | None, seconds: int) -> np.ndarray[Any, Any]:
    """Return the rows of a modality as a file stores them."""
    return np.zeros((seconds, WIDTH), np.float32) if rows is None else rows


@settings(max_examples=60, deadline=None)
@given(st.lists(videos, max_size=5), st.lists(failures, max_size=3))
def test_a_part_is_read_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[StoredVideo], failed: list[StoredFailure]
) -> None:
    """Different lengths, absent modalities, segments and all characters of a name are kept."""
    path = write(tmp_path_factory.mktemp("store") / "part.h5", rows, failed)

    with open_store(path) as store:
        assert store.videos() == rows
        assert store.failures() == failed
        assert store.attributes == {"schema": 3, **ATTRIBUTES}
        assert {name: type(value) for name, value in store.attributes.items()} == {
            "schema": int,
            **{name: type(value) for name, value in ATTRIBUTES.items()},
        }
        for modality in ("visual", "audio"):
            data = store.features(modality)
            assert data.shape == (sum(video.seconds for video in rows), WIDTH)
            for number, (video, offset) in enumerate(zip(rows, store.offsets(), strict=True)):
                expected = or_zeros(getattr(features_of(video, number), modality), video.seconds)
                np.testing.assert_array_equal(data[offset : offset + video.seconds], expected)


@settings(max_examples=40, deadline=None)
@given(parts=st.lists(st.lists(videos, min_size=1, max_size=4), min_size=1, max_size=3), data=st.data())
def test_merging_copies_the_chosen_videos_in_the_order_given(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[StoredVideo]], data: st.DataObject
) -> None:
    """In any order and any selection, each video keeps its own rows. Plain h5py can read them."""
    folder = tmp_path_factory.mktemp("merge")
    paths = [write(folder / f"{part}.h5", rows, first=10 * part) for part, rows in enumerate(parts)]
    every = [(part, row) for part, rows in enumerate(parts) for row in range(len(rows))]
    chosen = data.draw(st.lists(st.sampled_from(every), unique=True))
    first_rows = [np.cumsum([0, *(video.seconds for video in rows)]) for rows in parts]
    sources = [(part, int(first_rows[part][row])) for part, row in chosen]

    merge_parts(folder / "features.h5", paths, [parts[part][row] for part, row in chosen], sources, ATTRIBUTES)

    with h5py.File(folder / "features.h5") as file:
        index = file["index"][...]
        assert [row["video"].decode() for row in index] == [parts[part][row].video for part, row in chosen]
        for modality in ("visual", "audio"):
            assert file[modality].dtype == np.float32
            assert len(file[modality]) == sum(index["seconds"])
            for (part, number), row in zip(chosen, index, strict=True):
                video = parts[part][number]
                expected = or_zeros(getattr(features_of(video, 10 * part + number), modality), video.seconds)
                np.testing.assert_array_equal(file[modality][row["offset"] : row["offset"] + row["seconds"]], expected)


def test_half_precision_is_stored_as_half_precision(tmp_path: Path) -> None:
    """Values are rounded to float16 once."""
    rows = np.full((2, WIDTH), 1 / 3, np.float32)
    write_part(
        tmp_path / "part.h5",
        [(stored("a"), FeatureRows(rows, rows))],
        [],
        widths=(WIDTH, WIDTH),
        dtype="float16",
        attributes={**ATTRIBUTES, "dtype": "float16"},
    )

    with open_store(tmp_path / "part.h5") as store:
        np.testing.assert_array_equal(store.features("visual"), rows.astype(np.float16))
        assert store.features("audio").dtype == np.float16


@pytest.mark.parametrize("shape", [(1, WIDTH), (3, WIDTH), (2, WIDTH + 1)])
def test_features_of_another_length_than_their_video_are_refused(tmp_path: Path, shape: tuple[int, int]) -> None:
    """One additional second would shift the features of all later videos."""
    rows = FeatureRows(np.zeros((2, WIDTH), np.float32), np.zeros(shape, np.float32))

    with pytest.raises(ValueError, match=r"must be \(seconds, width\) = \(2, 3\)"):
        write_part(
            tmp_path / "part.h5",
            [(stored("a"), rows)],
            [],
            widths=(WIDTH, WIDTH),
            dtype="float32",
            attributes=ATTRIBUTES,
        )

    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_reported_as_missing(tmp_path: Path) -> None:
    """The message also says how to make it again."""
    with (
        pytest.raises(StorageError, match=r"features\.h5 does not exist: run avzsl extract"),
        open_store(tmp_path / "features.h5"),
    ):
        pass


def read_all(path: Path) -> None:
    """Read everything in a file."""
    with open_store(path) as store:
        store.videos()
        store.offsets()
        store.failures()
        store.features("visual")
        store.features("audio")
        _ = store.attributes


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.99])
def test_a_truncated_file_is_damaged(tmp_path: Path, keep: float) -> None:
    """A part of a file never counts as a whole file."""
    path = write(tmp_path / "part.h5", [stored("a", 500)])
    content = path.read_bytes()
    path.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])

    with pytest.raises(StorageError, match=r"part\.h5 is damaged, or no feature file .*: delete it"):
        read_all(path)


@pytest.mark.parametrize("name", ["index", "visual", "audio"])
def test_a_file_without_one_of_its_arrays_is_damaged(tmp_path: Path, name: str) -> None:
    """An HDF5 file of another program is not a file of features."""
    path = write(tmp_path / "part.h5", [stored("a")])
    with h5py.File(path, "a") as file:
        del file[name]

    with pytest.raises(StorageError, match="damaged"):
        read_all(path)


def test_a_file_with_fewer_seconds_than_its_index_is_damaged(tmp_path: Path) -> None:
    """The index must describe the arrays of the same file."""
    path = write(tmp_path / "part.h5", [stored("a"), stored("b")])
    with h5py.File(path, "a") as file:
        rows = file["audio"][:3]
        del file["audio"]
        file["audio"] = rows

    with pytest.raises(StorageError, match="damaged"):
        read_all(path)


def test_a_column_of_another_type_is_damage(tmp_path: Path) -> None:
    """A flipped bit can turn texts into references to objects, which have no characters."""
    path = write(tmp_path / "part.h5", [stored("a")])
    with h5py.File(path, "a") as file:
        table, checksum = file["index"][...], file["index"].attrs["checksum"]
        dtype = [(name, h5py.ref_dtype if name == "warnings" else table.dtype[name]) for name in table.dtype.names]
        changed = np.empty(len(table), dtype)
        for name in table.dtype.names:
            changed[name] = file["visual"].ref if name == "warnings" else table[name]
        del file["index"]
        file["index"] = changed
        file["index"].attrs["checksum"] = checksum

    with pytest.raises(StorageError, match="damaged"):
        read_all(path)
    with pytest.raises(StorageError, match="a column of the index has another type"):
        inspect_store(path, SilentReporter())


def test_names_that_are_not_utf8_are_damage(tmp_path: Path) -> None:
    """Changed bytes of a text lead to a clear message and not to a traceback."""
    path = write(tmp_path / "part.h5", [stored("a-name-that-is-found")])
    content = path.read_bytes()
    path.write_bytes(content.replace(b"a-name-that-is-found", b"a-name-that-is-\xff\xfe\xfd\xfc\xfb"))

    with pytest.raises(StorageError, match="damaged"):
        read_all(path)


@pytest.mark.parametrize("schema", [0, 4, None])
def test_a_file_of_another_schema_fails(tmp_path: Path, schema: int | None) -> None:
    """The message says which schema the file has and which one is read."""
    path = write(tmp_path / "part.h5", [stored("a")])
    with h5py.File(path, "a") as file:
        del file.attrs["schema"]
        if schema is not None:
            file.attrs["schema"] = schema

    with pytest.raises(StorageError, match=f"has schema {schema}, this avzsl reads 1, 2, 3.*: delete it"):
        read_all(path)


def test_a_damaged_part_stops_the_merge_and_leaves_the_old_features(tmp_path: Path) -> None:
    """The old features.h5 does not change."""
    part = write(tmp_path / "part.h5", [stored("a")])
    features = tmp_path / "features.h5"
    features.write_text("old")
    part.write_bytes(part.read_bytes()[:-100])

    with pytest.raises(StorageError, match=r"part\.h5 is damaged"):
        merge_parts(features, [part], [stored("a")], [(0, 0)], ATTRIBUTES)

    assert features.read_text() == "old"
    assert sorted(tmp_path.iterdir()) == [features, part]


def test_the_fingerprint_depends_on_the_content_only() -> None:
    """Class, content, segment, order and extractor change the fingerprint; the time of the file does not."""
    rows = [stored("a"), stored("b")]
    base = content_fingerprint(rows, "x")

    assert content_fingerprint([stored("a"), stored("b")], "x") == base
    later = dataclasses.replace(rows[0], source=dataclasses.replace(SOURCE, modified_ns=21))
    assert content_fingerprint([later, rows[1]], "x") == base
    others = [
        content_fingerprint(rows[::-1], "x"),
        content_fingerprint(rows[:1], "x"),
        content_fingerprint(rows, "y"),
        *(
            content_fingerprint([dataclasses.replace(rows[0], **change), rows[1]], "x")
            for change in (
                {"class_name": "d"},
                {"source": SourceFile("other", 10, 20)},
                {"start_seconds": 1.0},
                {"end_seconds": 1.0},
                {"seconds": 3},
            )
        ),
    ]
    assert len({base, *others}) == 1 + len(others)


def test_every_reader_of_hdf5_understands_the_tables(tmp_path: Path) -> None:
    """Texts are UTF-8 of a fixed length, so that no object is inside a row; PyTables and pandas cannot read others."""
    rows = [stored("a", warnings="ü"), stored("a longer name")]
    path = write(tmp_path / "part.h5", rows, [StoredFailure("b", SOURCE, "broken")])
    with h5py.File(path) as file:
        for name in ("index", "failures"):
            dtype = file[name].dtype
            assert not dtype.hasobject
            texts_of = {column: h5py.check_string_dtype(dtype[column]) for column in dtype.names}
            assert {info.encoding for info in texts_of.values() if info} == {"utf-8"}
        assert file["index"].dtype["video"].itemsize == len("a longer name")


def test_a_store_of_schema_1_is_still_read(tmp_path: Path) -> None:
    """It has texts of any length; its values and its checks are the same."""
    rows = [stored("ä", seconds=1), stored("b", start_seconds=0.5)]
    path = write(tmp_path / "part-000001-00000000.h5", rows, [StoredFailure("c", SOURCE, "broken")])
    with open_store(path) as store:
        videos, failed, visual = store.videos(), store.failures(), store.features("visual")
    with h5py.File(path, "r+") as file:
        for name in ("index", "failures"):
            table = file[name][...]
            is_text = {column: table.dtype[column].kind == "S" for column in table.dtype.names}
            old = np.empty(
                len(table),
                [(name, h5py.string_dtype() if text else table.dtype[name]) for name, text in is_text.items()],
            )
            for column, text in is_text.items():
                old[column] = [value.decode() for value in table[column]] if text else table[column]
            checksum = file[name].attrs["checksum"]
            del file[name]
            file[name] = old
            file[name].attrs["checksum"] = checksum  # texts count without padding
        file.attrs["schema"] = 1
        del file.attrs["attributes"]
    with open_store(path) as store:
        assert (store.videos(), store.failures()) == (videos, failed)
        np.testing.assert_array_equal(store.features("visual"), visual)
        store.check(store.features("visual"), store.features("audio"))
    assert inspect_store(path, SilentReporter()).whole


def test_a_dataset_of_another_file_is_damage(tmp_path: Path) -> None:
    """HDF5 can make any file of the machine look like features."""
    path, secret = write(tmp_path / "part.h5", [stored("a")]), tmp_path / "secret.bin"
    secret.write_bytes(bytes(24))
    with h5py.File(path, "r+") as file:
        del file["audio"]
        file.create_dataset("audio", shape=(2, WIDTH), dtype="f4", external=[(str(secret), 0, 24)])
    with pytest.raises(DamagedFileError, match="/audio is not a table of numbers"):
        read_all(path)


@pytest.mark.parametrize("value", [0.965, -5, "1.93", np.array([1.93, 1.93]), None], ids=str)
def test_a_changed_attribute_is_found_and_named(tmp_path: Path, value: object) -> None:
    """This holds for another number, another type, an array, and an attribute that is gone."""
    path = tmp_path / "part-000001-00000000.h5"
    write_part(
        path,
        [],
        [],
        widths=(WIDTH, WIDTH),
        dtype="float32",
        attributes={**ATTRIBUTES, "audio_mean": 1.93},
    )
    with h5py.File(path, "r+") as file:
        del file.attrs["audio_mean"]
        if value is not None:
            file.attrs["audio_mean"] = value
    with pytest.raises(DamagedFileError, match="the attribute audio_mean is not what was written"), open_store(path):
        pass
    assert "the attribute audio_mean is not what was written" in inspect_store(path, SilentReporter()).problems


def test_the_copy_of_the_attributes_is_checked_too(tmp_path: Path) -> None:
    """Neither its text nor its checksum can change without a word; a foreign attribute is ignored."""
    path = tmp_path / "part-000001-00000000.h5"
    for name in ("attributes", "attributes_checksum", "schema"):
        write_part(path, [], [], widths=(WIDTH, WIDTH), dtype="float32", attributes=ATTRIBUTES)
        with h5py.File(path, "r+") as file:
            file.attrs["note"] = np.arange(6000)
        with open_store(path) as store:
            assert store.attributes == {"schema": 3, **ATTRIBUTES}
        with h5py.File(path, "r+") as file:
            value = file.attrs[name]
            file.attrs[name] = value.replace("3", "2") if isinstance(value, str) else value - 1
        with pytest.raises(DamagedFileError, match="not what was written"), open_store(path):
            pass
