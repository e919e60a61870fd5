"""pipeline/datasets/splits/splits.py and hold_out.py: splits are checked, and held-out splits pass these checks."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.base.csv_tables import escape_undecodable
from pipeline.base.errors import StorageError, UsageError
from pipeline.datasets.dataset import Dataset, Video
from pipeline.datasets.splits.hold_out import hold_out
from pipeline.datasets.splits.splits import Splits, parse_splits, read_splits, write_splits

SPLITS = ("train", "val_seen", "val_unseen", "test_seen", "test_unseen")


def dataset(videos_of: Mapping[str, Sequence[str]]) -> Dataset:
    """Make a dataset of these classes and keys."""
    videos = tuple(Video(key, key, name) for name, keys in videos_of.items() for key in keys)
    return Dataset(Path("videos"), videos, {name: name for name in videos_of})


def make_videos(sizes: Sequence[int]) -> dict[str, list[str]]:
    """Make the keys of classes c0, c1, ... with the given sizes."""
    return {f"c{index}": [f"c{index}/{number}.mp4" for number in range(size)] for index, size in enumerate(sizes)}


ABC = make_videos([3, 3, 3, 3])
GOOD = """
train: [c0/0.mp4, c1/0.mp4]
val_seen: [c0/1.mp4]
val_unseen: [c2/0.mp4]
test_seen: [c0/2.mp4, c2/1.mp4]
test_unseen: [c3/0.mp4]
"""


def read(tmp_path: Path, text: str) -> Splits:
    """Read splits from a text for the dataset ABC."""
    path = tmp_path / "splits.yaml"
    path.write_text(text)
    return read_splits(path, dataset(ABC))


def test_splits_written_by_the_user_are_read(tmp_path: Path) -> None:
    """A class may be unseen in validation and seen in the test."""
    splits = read(tmp_path, GOOD)

    assert splits.by_name == {name: tuple(keys) for name, keys in yaml.safe_load(GOOD).items()}
    assert not splits.origin


def test_a_split_that_is_left_out_is_empty(tmp_path: Path) -> None:
    """Not every dataset has validation splits."""
    splits = read(tmp_path, "train: [c0/0.mp4]\nval_seen:\ntest_unseen: [c3/0.mp4]\n")

    assert splits.val_seen == splits.val_unseen == splits.test_seen == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected the lists train, val_seen"),
        ("- a\n", "expected the lists train"),
        ("train: [", "is not YAML"),
        ("train: [\x00]", "is not YAML"),
        ("tran: [c0/0.mp4]", r"unknown split 'tran'\. Did you mean train\?"),
        ("1: [c0/0.mp4]", "unknown split 1"),
        ("train: c0/0.mp4", r"train must be a list of videos, each in 'quotes'"),
        ("train: [12]", "train must be a list of videos"),
        ("origin: 3", "origin is for avzsl"),
        ("train: [c0/0.mp]", r"train lists 'c0/0\.mp', which is not a video of the dataset\. Did you mean c0/0\.mp4\?"),
        ("train: [c0/0.mp4, c0/0.mp4]", r"'c0/0\.mp4' is in train and in train; a video belongs to one split"),
        ("train: [c0/0.mp4]\ntest_seen: [c0/0.mp4]", r"'c0/0\.mp4' is in train and in test_seen"),
        ("train: [c0/0.mp4]\nval_unseen: [c0/1.mp4]", "class 'c0' is in val_unseen and in train; an unseen class"),
        ("val_seen: [c0/0.mp4]\nval_unseen: [c0/1.mp4]", "class 'c0' is in val_unseen and in val_seen"),
        *(
            (f"{name}: [c0/0.mp4]\ntest_unseen: [c0/1.mp4]", f"class 'c0' is in test_unseen and in {name}")
            for name in SPLITS[:4]
        ),
    ],
)
def test_wrong_splits_fail_with_split_and_video(tmp_path: Path, text: str, message: str) -> None:
    """One line names the file, the split and the error."""
    with pytest.raises(UsageError, match=message) as caught:
        read(tmp_path, text)

    assert "splits.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_splits_in_another_encoding_fail(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 give a message."""
    path = tmp_path / "splits.yaml"
    path.write_bytes(b"train: [\xe9.mp4]")

    with pytest.raises(StorageError, match="not a text file in UTF-8"):
        read_splits(path, dataset(ABC))


def test_restricted_splits_keep_order_and_origin() -> None:
    """Videos whose extraction failed are dropped from their split."""
    splits = Splits(("b", "a", "c"), ("d",), (), (), ("e",), {"seed": 1})

    assert splits.restricted_to(["c", "b", "e"]) == Splits(("b", "c"), (), (), (), ("e",), {"seed": 1})


keys = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12),
    st.sampled_from(["12", "1e3", "yes", "null", "~", "2020-01-01", "1:30", "- a", "#a", "a: b", "%03d", "a\nb", "<<"]),
).map(escape_undecodable)  # as all names of a dataset are


@settings(deadline=None, max_examples=50)
@given(keys=st.lists(keys, max_size=10, unique=True), data=st.data())
def test_all_splits_are_read_back_from_yaml_unchanged(
    tmp_path_factory: pytest.TempPathFactory, keys: list[str], data: st.DataObject
) -> None:
    """Keys that look like numbers, dates or syntax of YAML come back as text."""
    by_name: dict[str, list[str]] = {name: [] for name in SPLITS}
    for key in keys:
        by_name[data.draw(st.sampled_from(SPLITS))].append(key)
    splits = Splits(**{name: tuple(split) for name, split in by_name.items()}, origin={"unseen": keys[:2], "seed": 3})
    path = tmp_path_factory.mktemp("splits") / "splits.yaml"

    write_splits(splits, path)

    assert parse_splits(path) == splits


sizes = st.lists(st.integers(1, 12), min_size=3, max_size=12)
fractions = st.floats(0.01, 0.99)


@settings(deadline=None, max_examples=50)
@given(sizes, fractions, st.integers(0, 2**31))
def test_held_out_splits_are_a_partition_that_keeps_unseen_classes_unseen(
    sizes: list[int], fraction: float, seed: int
) -> None:
    """Every video is in exactly one split, and no unseen class is trained on."""
    videos_of = make_videos(sizes)

    splits = hold_out(videos_of, unseen_fraction=fraction, seed=seed)

    every = [key for split in splits.by_name.values() for key in split]
    assert sorted(every) == sorted(key for keys in videos_of.values() for key in keys)
    classes = {name: {key.split("/")[0] for key in split} for name, split in splits.by_name.items()}
    assert not classes["test_unseen"] & set().union(*(classes[name] for name in SPLITS[:4]))
    assert not classes["val_unseen"] & (classes["train"] | classes["val_seen"])
    assert len(classes["train"]) >= 2
    assert len(classes["test_unseen"]) >= 1
    assert classes["val_seen"] <= classes["train"]
    assert classes["test_seen"] <= classes["train"] | classes["val_unseen"]
    assert (len(classes["val_unseen"]) >= 1) == (len(videos_of) - len(classes["test_unseen"]) > 2)


@settings(deadline=None, max_examples=50)
@given(sizes, st.integers(0, 2**31))
def test_the_only_video_of_a_class_is_not_held_out_as_seen(sizes: list[int], seed: int) -> None:
    """The video of such a class is used for training, or for validation or test as unseen."""
    videos_of = make_videos([1, *sizes])

    splits = hold_out(videos_of, seed=seed)

    single = {keys[0] for keys in videos_of.values() if len(keys) == 1}
    assert not single & {*splits.val_seen, *splits.test_seen}


@settings(deadline=None, max_examples=50)
@given(sizes, st.integers(0, 2**31), st.randoms())
def test_equal_seeds_give_equal_splits_in_any_order(sizes: list[int], seed: int, shuffler: random.Random) -> None:
    """The order of classes and videos does not matter."""
    videos_of = make_videos(sizes)
    shuffled = {name: shuffler.sample(videos_of[name], len(videos_of[name])) for name in reversed(videos_of)}

    assert hold_out(videos_of, seed=seed) == hold_out(shuffled, seed=seed)


def test_another_seed_holds_out_other_classes() -> None:
    """Ten seeds give more than five choices of classes."""
    videos_of = make_videos([5] * 12)

    assert len({hold_out(videos_of, seed=seed).test_unseen for seed in range(10)}) > 5


def test_a_quarter_of_the_classes_and_a_fifth_of_the_videos_are_held_out() -> None:
    """16 classes of 10 videos: 4 unseen; of the 12 others 3 for validation; 2 videos of each seen class for test."""
    splits = hold_out(make_videos([10] * 16))

    assert {name: len(split) for name, split in splits.by_name.items()} == {
        "train": 9 * 6,
        "val_seen": 9 * 2,
        "val_unseen": 3 * 8,
        "test_seen": 12 * 2,
        "test_unseen": 4 * 10,
    }
    assert splits.origin == {"unseen_fraction": 0.25, "seed": 0}


def test_a_new_class_does_not_move_the_videos_of_the_others() -> None:
    """Each class is shuffled with a generator of its own."""
    before = hold_out(make_videos([10] * 4), unseen=["c0"])
    after = hold_out(make_videos([10] * 5), unseen=["c0"])

    assert set(before.test_seen) <= set(after.test_seen)


def test_named_classes_are_held_out() -> None:
    """Naming one twice holds it out once."""
    splits = hold_out(ABC, unseen=["c3", "c1", "c3"])

    assert set(splits.test_unseen) == {*ABC["c1"], *ABC["c3"]}
    assert splits.val_unseen == ()
    assert splits.origin == {"unseen": ["c3", "c1", "c3"], "seed": 0}


def test_an_unknown_class_cannot_be_held_out() -> None:
    """The message suggests the most similar class name."""
    with pytest.raises(UsageError, match=r"--unseen names 'yogga', which is not a class .*\. Did you mean yoga\?"):
        hold_out({"yoga": ["a"], "dog": ["b"], "cat": ["c"]}, unseen=["yogga"])


@pytest.mark.parametrize(
    ("sizes", "unseen", "message"),
    [
        ([], None, "0 classes, 0 of them unseen, leave 0 to train on: at least 2 seen classes are needed"),
        ([5], None, "1 classes, 1 of them unseen, leave 0"),
        ([5, 5], None, r"2 classes, 1 of them unseen, leave 1 to train on: .*\. Add videos of other classes"),
        ([5, 5, 5], ["c0", "c1"], "3 classes, 2 of them unseen, leave 1 to train on"),
    ],
)
def test_fewer_than_two_seen_classes_fail(sizes: list[int], unseen: list[str] | None, message: str) -> None:
    """A training pair needs two classes; the message gives their number and what to do."""
    with pytest.raises(UsageError, match=message):
        hold_out(make_videos(sizes), unseen=unseen)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "train: [c0/0.mp4]\ntest_seen: [c1/0.mp4]",
            "class 'c1' is in test_seen but has no video in train or val_seen",
        ),
        ("train: [c0/0.mp4]\nval_seen: [c1/0.mp4]", "class 'c1' is in val_seen but has no video in train;"),
    ],
)
def test_a_seen_class_without_training_videos_fails(tmp_path: Path, text: str, message: str) -> None:
    """The class would really be an unseen one."""
    with pytest.raises(UsageError, match=message):
        read(tmp_path, text)


def test_seen_classes_without_training_videos_are_dropped_from_the_seen_splits() -> None:
    """c0 and c2 are trained on and stay; the training videos of c1 are gone, so its other videos are dropped."""
    splits = Splits(
        train=("c0/0.mp4",),
        val_seen=("c0/1.mp4", "c1/1.mp4"),
        val_unseen=("c2/0.mp4",),
        test_seen=("c0/2.mp4", "c1/2.mp4", "c2/1.mp4"),
        test_unseen=("c3/0.mp4",),
        origin={"seed": 1},
    )

    class_of = {key: key.split("/")[0] for split in splits.by_name.values() for key in split}

    usable = splits.without_untrained_classes(class_of)

    assert usable.val_seen == ("c0/1.mp4",)
    assert usable.test_seen == ("c0/2.mp4", "c2/1.mp4")
    assert (usable.train, usable.val_unseen, usable.test_unseen) == (
        splits.train,
        splits.val_unseen,
        splits.test_unseen,
    )
    assert usable.origin == {"seed": 1}
