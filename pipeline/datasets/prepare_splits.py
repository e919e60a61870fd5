"""Make random splits in the two-stage form of the benchmark for a dataset that has none."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.errors import UsageError
from pipeline.base.progress import Reporter
from pipeline.base.wording import counted, some_of
from pipeline.datasets.dataset import Dataset, load_dataset
from pipeline.datasets.dataset_folder import DatasetFolder
from pipeline.datasets.splits.amounts import Amounts
from pipeline.datasets.splits.hold_out import make_splits
from pipeline.datasets.splits.splits import Splits, check_splits


@dataclass(frozen=True)
class MadeSplits:
    """Splits that were made and written.

    Attributes:
        splits: the splits.
        file: the file that contains them.
        small: classes that are in no split because they have too few videos.
        dataset: the dataset of their videos.
    """

    splits: Splits
    file: Path
    small: tuple[str, ...]
    dataset: Dataset


def prepare_splits(
    folder: DatasetFolder, amounts: Amounts, *, seed: int, least_videos: int, reporter: Reporter
) -> MadeSplits:
    """Make splits for a prepared or extracted dataset and write them into its folder.

    Splits made by hand that exist in the folder are backed up.

    Args:
        folder: folder with a manifest.csv.
        amounts: least amounts to hold out.
        seed: random seed.
        least_videos: classes with fewer videos are in no split.
        reporter: receives a warning if splits are backed up, and messages about classes that are too small.

    Raises:
        UsageError: a folder without a dataset, or a dataset that is too small for the amounts.
    """
    if not (folder.path / "manifest.csv").exists():
        raise UsageError(
            f"{folder.path} contains no manifest.csv: make one with avzsl prepare, or avzsl extract VIDEOS, first"
        )
    dataset = load_dataset(folder.path)
    splits = make_splits(dataset.videos, amounts, seed=seed, least_videos=least_videos)
    check_splits(splits, dataset, str(folder.path / "splits.yaml"))
    file = folder.write_made_splits(splits, reporter)
    in_splits = {key for keys in splits.by_name.values() for key in keys}
    kept = {video.class_name for video in dataset.videos if video.key in in_splits}
    sizes = Counter(video.class_name for video in dataset.videos)
    left_out = [name for name in dataset.classes if name not in kept]
    small = tuple(name for name in left_out if sizes[name] < least_videos)
    for names, reason in (
        (small, f"of fewer than {least_videos} videos"),
        ([name for name in left_out if name not in small], "whose recordings all show unseen classes too"),
    ):
        if names:
            reporter.say(f"{counted(len(names), 'class')} {reason} in no split: {some_of(names)}")
    for line in _without_held_out_videos(splits, dataset, amounts):
        reporter.say(line)
    return MadeSplits(splits, file, small, dataset)


def _without_held_out_videos(splits: Splits, dataset: Dataset, amounts: Amounts) -> Iterator[str]:
    """Describe classes that give no video to a split, because their last recording stays for training."""
    class_of = {video.key: video.class_name for video in dataset.videos}
    classes = {name: {class_of[key] for key in keys} for name, keys in splits.by_name.items()}
    trained = classes["train"] | classes["val_seen"]
    for split, asked, candidates in (
        ("test_seen", amounts.seen_test, trained | classes["val_unseen"] | classes["test_seen"]),
        ("val_seen", amounts.seen_val, trained),
    ):
        lacking = sorted(candidates - classes[split])
        if lacking and asked != 0:
            yield f"{counted(len(lacking), 'class')} with no recording to spare for {split}: {some_of(lacking)}"
