"""pipeline/features/parts.py: resuming from part files, damaged part files, and merging."""

import os
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from extractors.files.checksums import sha256_of_file
from pipeline.base.errors import DamagedFileError, StorageError
from pipeline.base.files import read_json
from pipeline.base.progress import SilentReporter
from pipeline.datasets.dataset import Video
from pipeline.features import parts as part_files
from pipeline.features.index import SourceFile, StoredFailure, StoredVideo
from pipeline.features.parts import FeatureParts, PartWriter, source_of, unchanged
from pipeline.features.store import FeatureRows, open_store

WIDTH = 2
ATTRIBUTES: dict[str, str | int | float | bool] = {"feature_width": WIDTH, "dtype": "float32"}


class Listener(SilentReporter):
    """Keeps the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, line: str) -> None:
        """Remember the line."""
        self.warnings.append(line)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the part files of one extractor."""
    return tmp_path / "features" / "abc" / "parts"


def make_video(tmp_path: Path, key: str, content: str = "", start: float | None = None) -> Video:
    """Make a video whose file has some text."""
    path = tmp_path / "videos" / key
    path.parent.mkdir(exist_ok=True)
    path.write_text(content or key)
    return Video(key, str(path), "c", start_seconds=start)


def entry_of(video: Video, seconds: int = 2) -> StoredVideo:
    """Make the entry that an extraction stores for a video."""
    return StoredVideo(
        video.key,
        source_of(video.path),
        seconds,
        True,
        True,
        1.0,
        video.class_name,
        video.start_seconds,
    )


def failure_of(video: Video) -> StoredFailure:
    """Make the entry that an extraction stores for a video that failed."""
    return StoredFailure(video.key, source_of(video.path), "cut short")


def rows(value: float, seconds: int = 2) -> FeatureRows:
    """Make features that all have this value."""
    return FeatureRows(np.full((seconds, WIDTH), value, np.float32), np.full((seconds, WIDTH), -value, np.float32))


def writer_of(parts: FeatureParts) -> PartWriter:
    """Make a writer of new part files."""
    return PartWriter(parts, widths=(WIDTH, WIDTH), dtype="float32", attributes=ATTRIBUTES)


def write(parts: FeatureParts, *entries: tuple[Video, float] | StoredFailure) -> None:
    """Write one more part file."""
    writer = writer_of(parts)
    for entry in entries:
        if isinstance(entry, StoredFailure):
            writer.add(entry)
        else:
            writer.add(entry_of(entry[0]), rows(entry[1]))
    writer.flush()


def test_a_folder_that_does_not_exist_has_no_parts(folder: Path, tmp_path: Path) -> None:
    """A first extraction begins without part files, and reading creates no folder."""
    parts = FeatureParts(folder)

    assert (parts.parts, parts.damaged) == ([], [])
    assert parts.valid_entry(make_video(tmp_path, "a.mp4")) is None
    assert not folder.exists()


def test_a_later_process_finds_the_written_entries(folder: Path, tmp_path: Path) -> None:
    """Videos and failures are known again; another segment of a known video is not."""
    a, b = make_video(tmp_path, "a.mp4"), make_video(tmp_path, "b.mp4")
    write(FeatureParts(folder), (a, 1.0), failure_of(b))

    parts = FeatureParts(folder)

    assert parts.valid_entry(a) == entry_of(a)
    assert parts.valid_entry(b) == failure_of(b)
    assert parts.valid_entry(make_video(tmp_path, "a.mp4", start=1.0)) is None


def test_a_video_whose_content_changed_is_no_longer_valid(folder: Path, tmp_path: Path) -> None:
    """The entry still exists, but the video must be extracted again."""
    a = make_video(tmp_path, "a.mp4")
    write(FeatureParts(folder), (a, 1.0))
    make_video(tmp_path, "a.mp4", content="something else")

    parts = FeatureParts(folder)

    assert parts.valid_entry(a) is None
    assert parts.entry(a) is not None


def test_the_newest_part_counts(folder: Path, tmp_path: Path) -> None:
    """A later success replaces a failure, in the merged file too, and after part 9 too."""
    a = make_video(tmp_path, "a.mp4")
    write(FeatureParts(folder), failure_of(a))
    for value in range(11):
        write(FeatureParts(folder), (a, float(value)))

    parts = FeatureParts(folder)

    assert len(parts.parts) == 12
    parts.merge(folder.parent / "features.h5", parts.rows([a]), ATTRIBUTES)
    with open_store(folder.parent / "features.h5") as store:
        np.testing.assert_array_equal(store.features("visual"), rows(10.0).visual)


def test_merging_omits_failures_and_uses_the_classes_of_the_dataset(folder: Path, tmp_path: Path) -> None:
    """A video that moved to another class keeps its features. The order is that of the dataset."""
    a, b, c = (make_video(tmp_path, f"{name}.mp4") for name in "abc")
    parts = FeatureParts(folder)
    write(parts, (a, 1.0), failure_of(b))
    write(parts, (c, 3.0))
    moved = Video(a.key, a.location, "another class")

    index = parts.rows([c, b, moved])
    parts.merge(folder.parent / "features.h5", index, ATTRIBUTES)

    assert [(row.video, row.class_name) for row in index] == [("c.mp4", "c"), ("a.mp4", "another class")]
    with open_store(folder.parent / "features.h5") as store:
        assert store.videos() == index
        assert store.features("audio")[:, 0].tolist() == [-3.0, -3.0, -1.0, -1.0]


@pytest.mark.parametrize("content", [b"", b"text", None])
def test_a_damaged_part_costs_its_own_videos_only(folder: Path, tmp_path: Path, content: bytes | None) -> None:
    """It gets another name with a warning, and its videos count as not extracted."""
    a, b = make_video(tmp_path, "a.mp4"), make_video(tmp_path, "b.mp4")
    parts = FeatureParts(folder)
    write(parts, (a, 1.0))
    write(parts, (b, 2.0))
    victim = parts.parts[0]
    victim.write_bytes(victim.read_bytes()[:-50] if content is None else content)
    listener = Listener()

    parts = FeatureParts(folder)
    parts.back_up_damaged(listener)

    assert parts.valid_entry(a) is None
    assert parts.valid_entry(b) == entry_of(b)
    (warning,) = listener.warnings
    assert warning.startswith(f"{victim} is damaged: its videos are extracted again")
    assert f"saved as {victim.stem}.damaged" in warning
    assert not victim.exists()
    assert FeatureParts(folder).damaged == []


def flip(path: Path, offset: int, bit: int = 0) -> None:
    """Change one bit of a file, and so its time."""
    content = bytearray(path.read_bytes())
    content[offset] ^= 1 << bit
    path.write_bytes(content)


def contents(folder: Path) -> dict[str, object]:
    """Read everything in the part files of a folder that are whole."""
    parts = FeatureParts(folder, read_fully="unknown")
    found: dict[str, object] = {}
    for path in parts.parts:
        with open_store(path) as store:
            rows = {name: store.features(name).tolist() for name in ("visual", "audio")}
            found[path.name] = (store.videos(), store.failures(), rows)
    return found


def test_a_bug_in_reading_a_part_is_not_called_damage(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error keeps its traceback, and the good part file keeps its name."""
    write(FeatureParts(folder), (make_video(tmp_path, "a.mp4"), 1.0))

    def buggy(_: object) -> list[StoredVideo]:
        raise TypeError("a bug of ours")

    monkeypatch.setattr("pipeline.features.store.stored_videos", buggy)
    with pytest.raises(TypeError, match="a bug of ours"):
        FeatureParts(folder).back_up_damaged(SilentReporter())

    assert [path.suffix for path in folder.iterdir()] == [".h5"]


def test_no_flipped_bit_goes_unnoticed(folder: Path, tmp_path: Path) -> None:
    """For every bit, either the part file is found damaged, or everything in it is read as before."""
    parts = FeatureParts(folder)
    write(parts, (make_video(tmp_path, "a.mp4"), 1.0), failure_of(make_video(tmp_path, "b.mp4")))
    (part,) = parts.parts
    content, expected, chance, found = part.read_bytes(), contents(folder), random.Random(0), 0
    features = content.index(np.float32([1.0, 1.0]).tobytes())
    texts = [content.index(text) for text in (b"a.mp4", b"cut short")]

    for offset in (features, features + 3, *texts, *(chance.randrange(len(content)) for _ in range(300))):
        flip(part, offset, chance.randrange(8))
        now = contents(folder)
        assert now in ({}, expected), offset
        found += now == {}
        part.write_bytes(content)

    assert found > 50


def test_parts_that_are_known_to_be_whole_are_not_read_again(folder: Path, tmp_path: Path) -> None:
    """A change that keeps size and time is found only by a full read or by a merge."""
    a = make_video(tmp_path, "a.mp4")
    parts = FeatureParts(folder)
    write(parts, (a, 1.0))
    parts.save_checks()
    (part,) = parts.parts
    stat = part.stat()
    flip(part, part.read_bytes().index(np.float32([1.0, 1.0]).tobytes()))
    assert FeatureParts(folder, read_fully="unknown").damaged == [part]  # its time has changed

    os.utime(part, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    parts = FeatureParts(folder, read_fully="unknown")

    assert parts.damaged == []
    assert FeatureParts(folder, read_fully="all").damaged == [part]
    with pytest.raises(DamagedFileError) as error:
        parts.merge(folder.parent / "features.h5", parts.rows([a]), ATTRIBUTES)
    assert error.value.path == part
    assert not (folder.parent / "features.h5").exists()


def test_parts_of_a_killed_process_are_read_once(folder: Path, tmp_path: Path) -> None:
    """Only a process that ends normally records that its part files are whole; then they are known."""
    write(FeatureParts(folder), (make_video(tmp_path, "a.mp4"), 1.0))
    assert not (folder / "checked.json").exists()

    FeatureParts(folder, read_fully="unknown").save_checks()

    (part,) = FeatureParts(folder).parts
    assert read_json(folder / "checked.json") == {part.name: [part.stat().st_size, part.stat().st_mtime_ns]}


@pytest.mark.parametrize("record", ["", "{", "[1]", "7", '{"part": 1}'])
def test_a_damaged_record_only_costs_reading_the_parts(folder: Path, tmp_path: Path, record: str) -> None:
    """No content of checked.json makes a damaged part file count as whole."""
    parts = FeatureParts(folder)
    write(parts, (make_video(tmp_path, "a.mp4"), 1.0))
    parts.save_checks()
    (folder / "checked.json").write_text(record)
    flip(parts.parts[0], parts.parts[0].read_bytes().index(np.float32([1.0, 1.0]).tobytes()))

    assert FeatureParts(folder, read_fully="unknown").damaged == parts.parts


def test_records_of_two_writers_are_joined_and_missing_parts_are_dropped(folder: Path, tmp_path: Path) -> None:
    """Each process knows only its own part files. A part file with another name is dropped."""
    first, second = FeatureParts(folder), FeatureParts(folder)
    for parts, name in ((first, "a.mp4"), (second, "b.mp4")):
        write(parts, (make_video(tmp_path, name), 1.0))
    first.save_checks()
    second.save_checks()
    names = {path.name for path in folder.glob("part-*.h5")}
    assert set(read_json(folder / "checked.json")) == names

    first.parts[0].rename(folder / "elsewhere")
    write(second, (make_video(tmp_path, "c.mp4"), 1.0))
    second.save_checks()

    assert set(read_json(folder / "checked.json")) == {path.name for path in second.parts}


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs permissions that restrict this user")
def test_a_part_that_may_not_be_read_is_not_damaged(folder: Path, tmp_path: Path) -> None:
    """It must not get another name only because a permission is missing."""
    parts = FeatureParts(folder)
    write(parts, (make_video(tmp_path, "a.mp4"), 1.0))
    parts.parts[0].chmod(0)

    with pytest.raises(StorageError, match="permission denied"):
        FeatureParts(folder)


def test_a_part_is_written_when_there_are_enough_entries(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of videos, the seconds and the time decide. A flush without entries writes nothing."""
    monkeypatch.setattr(part_files, "MAX_PART_VIDEOS", 3)
    monkeypatch.setattr(part_files, "MAX_PART_SECONDS", 10)
    video = make_video(tmp_path, "a.mp4")
    parts = FeatureParts(folder)
    writer = writer_of(parts)
    written = []

    writer.flush()
    for entry, features in (
        (failure_of(video), None),
        (entry_of(video), rows(1.0)),
        (entry_of(video), rows(1.0)),  # the third
        (entry_of(video, 9), rows(1.0, 9)),
        (entry_of(video, 1), rows(1.0, 1)),  # the tenth second
        (entry_of(video), rows(1.0)),
    ):
        writer.add(entry, features)
        written.append(len(parts.parts))
    monkeypatch.setattr(part_files, "MAX_PART_AGE_SECONDS", 0.0)
    writer.add(failure_of(video))
    writer.flush()

    assert [*written, len(parts.parts)] == [0, 0, 1, 1, 2, 2, 3]


def test_a_video_without_features_is_stored_as_absent(folder: Path, tmp_path: Path) -> None:
    """Rows that were not given become zeros."""
    video = make_video(tmp_path, "a.mp4")
    parts = FeatureParts(folder)
    writer = writer_of(parts)
    writer.add(entry_of(video))
    writer.flush()

    with open_store(parts.parts[0]) as store:
        assert not store.features("visual").any()


def test_a_source_is_hashed_and_stamped(tmp_path: Path) -> None:
    """The source has the hash, the size and the time of the file."""
    path = make_video(tmp_path, "a.mp4").path

    assert source_of(path) == SourceFile(sha256_of_file(path), 5, path.stat().st_mtime_ns)


@pytest.mark.skipif(os.name != "posix", reason="fifos and links of POSIX")
def test_an_unreadable_file_has_no_source_and_does_not_block(tmp_path: Path) -> None:
    """A missing file, a folder, a fifo and a link to itself have no source. Decoding says later what they are."""
    (tmp_path / "folder.mp4").mkdir()
    os.mkfifo(tmp_path / "fifo.mp4")
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")

    for name in ("missing.mp4", "folder.mp4", "fifo.mp4", "loop.mp4"):
        source = source_of(tmp_path / name)
        assert source == SourceFile("", 0, 0)
        assert unchanged(str(tmp_path / name), source)


def test_only_new_content_changes_a_file(tmp_path: Path) -> None:
    """A new time is no change, other content of the same length is one, and a missing file stays valid."""
    path = make_video(tmp_path, "a.mp4", "content").path
    source = source_of(path)
    assert unchanged(str(path), source)

    os.utime(path, ns=(0, 0))
    assert unchanged(str(path), source)

    path.write_text("CONTENT")
    assert not unchanged(str(path), source)

    path.unlink()
    assert unchanged(str(path), source)


def test_a_file_that_was_missing_must_be_extracted_when_it_exists(tmp_path: Path) -> None:
    """A file that could not be read before counts as changed when it can be read."""
    path = tmp_path / "a.mp4"
    source = source_of(path)
    shutil.copy(make_video(tmp_path, "b.mp4").path, path)

    assert not unchanged(str(path), source)
