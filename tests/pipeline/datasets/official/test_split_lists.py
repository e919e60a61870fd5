"""pipeline/datasets/official: the class lists and splits of the benchmark, and names without a match."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from pipeline.base.errors import UsageError
from pipeline.datasets.dataset import Video
from pipeline.datasets.official.class_lists import read_classes
from pipeline.datasets.official.matching import Matched, counts_in_words, match
from pipeline.datasets.official.split_lists import read_official_splits

STAGES = ("stage_1_train", "stage_1_val_seen", "stage_1_val_unseen", "stage_2_test_seen", "stage_2_test_unseen")
LISTS: Mapping[str, Sequence[tuple[str, str]]] = {
    "stage_1_train": [("v_a_1", "TaiChi"), ("v_b_1", "Rope")],
    "stage_1_val_seen": [("v_a_2", "TaiChi")],
    "stage_1_val_unseen": [("v_c_1", "Archery")],
    "stage_2_test_seen": [("v_a_3", "TaiChi"), ("v_c_2", "Archery")],
    "stage_2_test_unseen": [("v_d_1", "Surfing")],
}
HERE = {"v_a_1": "Tai chi", "v_a_2": "Tai chi", "v_a_3": "Tai chi", "v_b_1": "rope", "v_c_1": "Archery"}
HERE |= {"v_c_2": "Archery", "v_d_1": "surfing"}


def write_lists(folder: Path, lists: Mapping[str, Sequence[tuple[str, str]]] = LISTS) -> Path:
    """Write a folder class-split with main_split and the list of phrases; return class-split."""
    (folder / "main_split").mkdir(parents=True, exist_ok=True)
    for stage, rows in lists.items():
        with (folder / "main_split" / f"{stage}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("filename", "label", "label_code"), *((*row, 0) for row in rows)])
        names = dict.fromkeys(label for _, label in rows)
        (folder / "main_split" / f"{stage}.txt").write_text("\n".join(names))
    names = {"TaiChi": "Tai Chi", "Rope": "Rope", "Archery": "Archery", "Surfing": "Surfing", "Biking": "Biking"}
    rows = "".join(f"{name},{phrase}\n" for name, phrase in names.items())
    (folder / "other_w2v_class_names.csv").write_text(f"original,manual\n{rows}")
    return folder


def matched(folder: Path, here: Mapping[str, str]) -> Matched:
    """Match videos with the lists of a folder."""
    videos = tuple(Video(key, f"/videos/{key}", name) for key, name in here.items())
    return match(read_official_splits(folder), videos, {})


def unmatched(result: Matched) -> set[tuple[str, str, str]]:
    """Get the kinds, names and sides of the names without a match."""
    return {(entry.kind, entry.name, entry.side) for entry in result.unmatched}


def test_videos_get_their_split_and_the_official_class_name(tmp_path: Path) -> None:
    """Case and spaces are ignored; classes without videos keep their phrases too."""
    result = matched(write_lists(tmp_path), HERE)

    assert result.splits.by_name["train"] == ("v_a_1", "v_b_1")
    assert result.splits.by_name["test_unseen"] == ("v_d_1",)
    assert {video.class_name for video in result.videos} == {"TaiChi", "Rope", "Archery", "Surfing"}
    assert result.phrases["TaiChi"] == ("Tai Chi",)
    assert result.phrases["Biking"] == ("Biking",)
    assert not result.unmatched
    assert any("main_split" in note for note in result.notes)


@pytest.mark.parametrize("form", ["{0}.mp4", "some/folder/{0}.avi", "V_{1}"])
def test_files_are_matched_by_their_name_alone(tmp_path: Path, form: str) -> None:
    """Folder, ending and case are ignored."""
    here = {form.format(key, key.removeprefix("v_").upper()): name for key, name in HERE.items()}

    result = matched(write_lists(tmp_path), here)

    assert sum(len(split) for split in result.splits.by_name.values()) == len(HERE)


def test_zeros_before_a_number_are_ignored(tmp_path: Path) -> None:
    """Only some copies of VGGSound pad the start times with zeros."""
    here = {key.replace("_1", "_000001"): name for key, name in HERE.items()}

    assert matched(write_lists(tmp_path), here).splits.train == ("v_a_000001", "v_b_000001")


def test_names_without_a_match_are_listed(tmp_path: Path) -> None:
    """These are classes and videos of either side, and a video with another class than listed."""
    here = {**HERE, "v_a_9": "Tai chi", "x": "Knitting", "v_c_2": "rope"}
    del here["v_d_1"]

    result = matched(write_lists(tmp_path), here)

    assert unmatched(result) == {
        ("video", "v_d_1", "listed"),
        ("class", "Surfing", "listed"),
        ("video", "v_c_2", "both"),
        ("class", "Knitting", "here"),
        ("video", "v_a_9", "here"),
        ("video", "x", "here"),
        ("video", "v_c_2", "here"),
    }
    assert counts_in_words(result.unmatched) == (
        "1 class listed but not here, 1 video listed but not here, 1 video of another class than listed, "
        "1 class here but not listed, 3 videos here but in no split"
    )


def test_a_class_without_training_videos_is_not_tested_as_seen(tmp_path: Path) -> None:
    """Its other videos are in no split, and a note explains it."""
    here = {key: name for key, name in HERE.items() if key != "v_a_1"}

    result = matched(write_lists(tmp_path), here)

    assert result.splits.val_seen == ()
    assert result.splits.test_seen == ("v_c_2",)
    assert "TaiChi: no training video is here, so not tested as seen" in result.notes


def test_lists_of_another_dataset_are_refused(tmp_path: Path) -> None:
    """The message shows a name of each side."""
    with pytest.raises(UsageError, match=r"lists no video of this dataset: it has names such as v_a_1, .* such as zzz"):
        matched(write_lists(tmp_path), {"zzz": "Rope"})


def test_two_classes_that_are_one_official_class_are_refused(tmp_path: Path) -> None:
    """The message gives both names."""
    with pytest.raises(UsageError, match="duplicate class names: Tai chi, taichi here are all TaiChi in"):
        matched(write_lists(tmp_path), {**HERE, "v_a_9": "taichi"})


@pytest.mark.parametrize(
    ("stage", "rows", "message"),
    [
        ("stage_2_test_seen", [("v_a_1", "TaiChi")], "'v_a_1' is in train and in test_seen"),
        ("stage_2_test_unseen", [("v_z", "rope")], "class 'rope' is in test_unseen and in train"),
        ("stage_1_val_unseen", [("v_z", "Rope")], "class 'rope' is in val_unseen and in train"),
        ("stage_2_test_seen", [("v_z", "biking")], "class 'biking' is in test_seen but has no video in train"),
        ("stage_1_train", [("v_z", "Rope"), ("v_z", "TaiChi")], "'v_z' is of class 'Rope' and of class 'TaiChi'"),
        ("stage_1_train", [("", "Rope")], r"stage_1_train\.csv, line 2: the filename or the label is empty"),
    ],
)
def test_lists_that_contradict_each_other_are_refused(
    tmp_path: Path, stage: str, rows: list[tuple[str, str]], message: str
) -> None:
    """The message gives the name and both splits or classes."""
    write_lists(tmp_path)
    write_lists(tmp_path, {stage: rows})
    (tmp_path / "main_split" / f"{stage}.txt").unlink()

    with pytest.raises(UsageError, match=message):
        read_official_splits(tmp_path)


@pytest.mark.parametrize("stage", ["stage_1_train", "stage_2_train"])
def test_a_label_outside_the_list_of_classes_is_refused(tmp_path: Path, stage: str) -> None:
    """The message gives the file, the line and a suggestion; labels in another case are accepted."""
    write_lists(tmp_path)
    (tmp_path / "main_split" / f"{stage}.csv").write_text("filename,label\nv_a_1,TAICHI\nv_b_1,Roper\n")

    with pytest.raises(UsageError, match=rf"{stage}\.csv, line 3: 'Roper' is not a class of .*\. Did you mean Rope\?"):
        read_official_splits(tmp_path)


def test_labels_are_used_if_no_file_lists_the_classes(tmp_path: Path) -> None:
    """Neither all_class.txt nor the list of phrases exists."""
    for file in write_lists(tmp_path).rglob("*.[tc][xs][tv]"):
        if file.suffix == ".txt" or file.parent == tmp_path:
            file.unlink()

    assert set(read_official_splits(tmp_path).phrases) == {"TaiChi", "Rope", "Archery", "Surfing"}


@pytest.mark.parametrize(
    ("seen", "unseen"),
    [
        ("stage_1_train", "stage_2_test_unseen"),
        ("stage_1_val_seen", "stage_2_test_unseen"),
        ("stage_1_val_unseen", "stage_2_test_unseen"),
        ("stage_2_test_seen", "stage_2_test_unseen"),
        ("stage_1_train", "stage_1_val_unseen"),
        ("stage_1_val_seen", "stage_1_val_unseen"),
    ],
)
def test_a_class_listed_as_seen_and_as_unseen_is_refused(tmp_path: Path, seen: str, unseen: str) -> None:
    """Case is ignored. `avzsl import` reads only these lists."""
    write_lists(tmp_path)
    for stage, name in ((seen, "BIKING"), (unseen, "Biking")):
        with (tmp_path / "main_split" / f"{stage}.txt").open("a") as file:
            file.write(f"\n{name}\n")

    with pytest.raises(UsageError, match=rf"main_split: Biking in {seen}\.txt and in {unseen}\.txt, which must not"):
        read_classes(tmp_path, "main_split")


def test_a_folder_without_lists_is_refused(tmp_path: Path) -> None:
    """The message gives what was expected; missing lists and lists with other columns are also refused."""
    with pytest.raises(UsageError, match=r"contains no official splits: expected class-split, or main_split"):
        read_official_splits(tmp_path)
    write_lists(tmp_path)
    (tmp_path / "main_split/stage_1_val_seen.csv").write_text("a,b\n")
    with pytest.raises(UsageError, match=r"no column filename, label in its first line; it has a, b"):
        read_official_splits(tmp_path)
    (tmp_path / "main_split/stage_1_val_seen.csv").unlink()
    with pytest.raises(UsageError, match=r"main_split has no stage_1_val_seen\.csv"):
        read_official_splits(tmp_path)


@pytest.mark.needs_shared
@pytest.mark.parametrize(
    ("name", "split", "sizes", "lacking"),
    [
        ("UCF", "main_split", [3174, 353, 1467, 555, 1267], ""),
        ("UCF", "cls_split", [3174, 353, 1467, 555, 1267], "BandMarching, BrushingTeeth, Typing"),
        ("ActivityNet", "main_split", [9204, 1023, 4307, 1615, 4199], ""),
        ("ActivityNet", "cls_split", [9204, 1023, 4307, 1615, 4199], "Brushingteeth, Knitting"),
    ],
)
def test_the_benchmarks_own_lists_are_read(shared: Path, name: str, split: str, sizes: list[int], lacking: str) -> None:
    """All videos of all splits are read; a note names classes that the lists of cls_split omit."""
    official = read_official_splits(shared / "benchmark" / name / "class-split" / split)
    here = {video: label.lower() for video, label in official.class_of.items()}

    result = match(official, [Video(key, key, label) for key, label in here.items()], {})

    assert [len(split) for split in result.splits.by_name.values()] == sizes
    assert len(result.phrases) == {"UCF": 101, "ActivityNet": 200}[name]
    assert not result.unmatched
    assert (not official.notes) if not lacking else (lacking in official.notes[0])
    assert official.called("handstandpushups") == ("HandstandPushups" if name == "UCF" else None)
