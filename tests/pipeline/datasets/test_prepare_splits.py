"""pipeline/datasets/prepare_splits.py and hold_out.py: random splits hold out the amounts asked for."""

import math
import random
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.base.errors import UsageError
from pipeline.base.progress import SilentReporter
from pipeline.datasets.dataset import Dataset, Video, save_dataset
from pipeline.datasets.dataset_folder import DatasetFolder
from pipeline.datasets.prepare_splits import prepare_splits
from pipeline.datasets.splits.amounts import Amounts, parse_amount
from pipeline.datasets.splits.hold_out import make_splits
from pipeline.datasets.splits.splits import Splits, check_splits

SIZES = st.lists(st.integers(1, 12), min_size=4, max_size=9)
SHARES = st.one_of(st.none(), st.floats(0, 0.6))
CLASSES = st.one_of(st.none(), st.integers(1, 3), st.floats(0.05, 0.6))
AMOUNTS = st.builds(Amounts, unseen_test=CLASSES, unseen_val=CLASSES, seen_test=SHARES, seen_val=SHARES)


def videos_of(sizes: list[int]) -> list[Video]:
    """Make videos of classes c0, c1, ... with the given sizes."""
    return [
        Video(f"c{index}/{n}", f"c{index}/{n}", f"c{index}") for index, size in enumerate(sizes) for n in range(size)
    ]


def made(sizes: list[int], amounts: Amounts, seed: int = 0) -> Splits:
    """Make splits; discard the example if the dataset is too small for them."""
    try:
        return make_splits(videos_of(sizes), amounts, seed=seed)
    except UsageError:
        assume(False)
        raise


def classes(keys: tuple[str, ...]) -> set[str]:
    """Get the classes of videos."""
    return {key.split("/")[0] for key in keys}


@given(SIZES, AMOUNTS, st.integers(0, 5))
def test_splits_are_disjoint_and_unseen_classes_are_in_no_other_split(
    sizes: list[int], amounts: Amounts, seed: int
) -> None:
    """Every video is in one split, and the splits pass their checks."""
    splits, videos = made(sizes, amounts, seed), videos_of(sizes)

    check_splits(splits, Dataset(Path(), tuple(videos), {}), "made")
    assert sorted(key for keys in splits.by_name.values() for key in keys) == sorted(video.key for video in videos)
    seen = classes(splits.train) | classes(splits.val_seen) | classes(splits.val_unseen) | classes(splits.test_seen)
    assert not classes(splits.test_unseen) & seen
    assert not classes(splits.val_unseen) & (classes(splits.train) | classes(splits.val_seen))


@given(SIZES, AMOUNTS, st.integers(0, 5))
def test_at_least_what_was_asked_is_held_out(sizes: list[int], amounts: Amounts, seed: int) -> None:
    """Numbers and shares of classes and videos are respected; two classes stay for training."""
    splits = made(sizes, amounts, seed)
    unseen, val, train = classes(splits.test_unseen), classes(splits.val_unseen), classes(splits.train)

    for asked, got, total in (
        (amounts.unseen_test, len(unseen), len(sizes)),
        (amounts.unseen_val, len(val), len(sizes) - len(unseen)),
    ):
        if isinstance(asked, int):
            assert got == asked
        elif asked is not None:
            assert asked * total - 1e-6 <= got < asked * total + 1
    seen_videos = sum(len(splits.by_name[name]) for name in ("train", "val_seen", "val_unseen", "test_seen"))
    if amounts.seen_test is not None:
        assert len(splits.test_seen) >= amounts.seen_test * seen_videos - 1e-6
    if amounts.seen_val is not None:
        assert len(splits.val_seen) >= amounts.seen_val * (len(splits.train) + len(splits.val_seen)) - 1e-6
    assert len(train) >= 2


@given(SIZES, st.floats(0, 0.9), st.integers(0, 5))
def test_every_seen_class_gives_the_same_share(sizes: list[int], share: float, seed: int) -> None:
    """Of each class, the share is rounded up, but one video always stays for training."""
    splits = made(sizes, Amounts(seen_test=share), seed)

    for name in classes(splits.train) | classes(splits.val_unseen):
        size, tested = sizes[int(name[1:])], sum(key.startswith(f"{name}/") for key in splits.test_seen)
        assert tested == min(math.ceil(share * size - 1e-9), size - 1)


@given(SIZES, AMOUNTS, st.integers(0, 5), st.randoms(use_true_random=False))
def test_splits_do_not_depend_on_the_order_of_the_videos(
    sizes: list[int], amounts: Amounts, seed: int, shuffler: random.Random
) -> None:
    """The same videos in another order give the same splits."""
    splits, shuffled = made(sizes, amounts, seed), videos_of(sizes)
    shuffler.shuffle(shuffled)

    assert make_splits(shuffled, amounts, seed=seed) == splits


def test_another_seed_gives_other_splits() -> None:
    """Five seeds do not all hold out the same classes of twelve."""
    assert len({make_splits(videos_of([6] * 12), Amounts(), seed=seed).test_unseen for seed in range(5)}) > 1


def test_small_classes_are_left_out_on_request() -> None:
    """They are in no split, and the origin records the option."""
    splits = make_splits(videos_of([2, 9, 9, 9, 9]), Amounts(unseen_test=1), seed=0, least_videos=3)

    assert not any("c0" in classes(keys) for keys in splits.by_name.values())
    assert splits.origin["least_videos"] == 3


@pytest.mark.parametrize(
    ("sizes", "amounts", "least", "message"),
    [
        ([3] * 4, {"unseen_test": 3}, 1, "--unseen-test 3 asks for 3 of 4 classes, and 2 must be left"),
        ([3] * 4, {"unseen_test": 0.6}, 1, "--unseen-test 0.6 asks for 3 of 4 classes"),
        ([3] * 4, {"unseen_test": 1, "unseen_val": 2}, 1, "--unseen-val 2 asks for 2 of 3 classes"),
        ([1] * 5, {"seen_test": 0.5}, 1, "--seen-test 0.5 asks for 2 of 4 videos, and only 0 can be held out"),
        ([2] * 5, {"seen_val": 0.5}, 1, "--seen-val 0.5 asks for 2 of 3 videos, and only 0"),
        ([3] * 4, {}, 4, "--least-videos 4: no class has that many, the largest has 3"),
        ([3] * 2, {}, 1, "2 classes, and at least 3 are needed, to train on 2 and test on an unseen"),
    ],
)
def test_a_dataset_that_is_too_small_is_refused(
    sizes: list[int], amounts: dict[str, float], least: int, message: str
) -> None:
    """The message gives the amount asked for and the amount available."""
    with pytest.raises(UsageError, match=message):
        make_splits(videos_of(sizes), Amounts(**amounts), seed=0, least_videos=least)  # type: ignore[arg-type] -- ints and floats as the fields take them


@pytest.mark.parametrize(
    ("amounts", "message"),
    [
        ({"unseen_test": 0}, "--unseen-test 0: zero-shot learning needs at least 1"),
        ({"unseen_test": 1.0}, "--unseen-test 1.0: give a number of classes such as 12, or a fraction"),
        ({"unseen_val": -1}, "--unseen-val -1: give a number"),
        ({"seen_test": 1.5}, "--seen-test 1.5: give a fraction of a class's videos"),
        ({"seen_val": math.nan}, "--seen-val nan: give a fraction"),
    ],
)
def test_impossible_amounts_are_refused(amounts: dict[str, float], message: str) -> None:
    """The message gives the option, its value and the allowed values."""
    with pytest.raises(UsageError, match=message):
        Amounts(**amounts)  # type: ignore[arg-type] -- ints and floats as the fields take them


def test_classes_are_given_as_a_number_or_a_share() -> None:
    """The decimal point distinguishes `12` from `0.25`."""
    assert parse_amount("12", "unseen_test") == 12
    assert parse_amount("0.25", "unseen_test") == 0.25
    assert parse_amount(None, "unseen_test") is None
    with pytest.raises(UsageError, match="--unseen-test 'few': give a number of classes"):
        parse_amount("few", "unseen_test")


class RecordingReporter(SilentReporter):
    """Records the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, line: str) -> None:
        """Record the line."""
        self.warnings.append(line)


def test_splits_made_by_hand_are_backed_up(tmp_path: Path) -> None:
    """Splits of an earlier command are not, because the command can make them again."""
    videos = tuple(videos_of([4] * 6))
    save_dataset(Dataset(tmp_path, videos, {f"c{n}": f"thing {'abcdef'[n]}" for n in range(6)}), tmp_path)
    (tmp_path / "splits.yaml").write_text("train: [c0/0]\n")
    (tmp_path / "source.json").write_text('{"source": "somewhere", "written": {}}')
    reporter = RecordingReporter()

    for seed in (0, 1):
        prepare_splits(DatasetFolder(tmp_path, "splits"), Amounts(), seed=seed, least_videos=1, reporter=reporter)

    assert [path.read_text() for path in tmp_path.glob("splits.yaml.edited*")] == ["train: [c0/0]\n"]
    assert len(reporter.warnings) == 1


def test_classes_that_can_spare_no_video_are_reported(tmp_path: Path) -> None:
    """Their only video stays for training, even if other classes give enough videos."""
    lines: list[str] = []

    class LineReporter(SilentReporter):
        def say(self, line: str) -> None:
            lines.append(line)

    videos = tuple(videos_of([1, 9, 9, 9]))
    save_dataset(Dataset(tmp_path, videos, {f"c{index}": f"word {index}" for index in range(4)}), tmp_path)
    seeds = (seed for seed in range(99) if "c0/0" in make_splits(videos, Amounts(unseen_val=0), seed=seed).train)
    seed = next(seeds)

    prepare_splits(
        DatasetFolder(tmp_path, "splits"), Amounts(unseen_val=0), seed=seed, least_videos=1, reporter=LineReporter()
    )
    reported, lines[:] = list(lines), []
    none = Amounts(unseen_val=0, seen_test=0.0, seen_val=0.0)
    prepare_splits(DatasetFolder(tmp_path, "splits"), none, seed=seed, least_videos=1, reporter=LineReporter())

    assert reported == [f"1 class with no recording to spare for {name}: c0" for name in ("test_seen", "val_seen")]
    assert lines == []
