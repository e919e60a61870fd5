"""Splits in the benchmark's two-stage form for a dataset that has none, chosen at random by a seed."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.errors import UsageError
from pipeline.base.progress import Reporter
from pipeline.base.wording import counted, some_of
from pipeline.datasets.dataset import Dataset, load_dataset
from pipeline.datasets.dataset_folder import DatasetFolder
from pipeline.datasets.hold_out import Amounts, make_splits
from pipeline.datasets.splits import Splits, check_splits


@dataclass(frozen=True)
class MadeSplits:
    """What was made.

    Attributes:
        splits: with the file they are in.
        file: where they are.
        small: classes that are in no part, as they have too few videos.
        dataset: of these videos.
    """

    splits: Splits
    file: Path
    small: tuple[str, ...]
    dataset: Dataset


def prepare_splits(
    folder: DatasetFolder, amounts: Amounts, *, seed: int, least_videos: int, reporter: Reporter
) -> MadeSplits:
    """Make splits for a prepared or extracted dataset and write them into its folder.

    Splits made by hand that are there already are put beside.

    Args:
        folder: holds manifest.csv.
        amounts: how much to hold out, at least.
        seed: of every choice.
        least_videos: classes with fewer are in no part.
        reporter: hears of what is put beside, and of classes too small for what is asked.

    Raises:
        UsageError: there is no dataset, or it is too small for what is asked.
    """
    if not (folder.path / "manifest.csv").exists():
        raise UsageError(
            f"{folder.path} holds no manifest.csv: make one with avzsl prepare, or avzsl extract VIDEOS, first"
        )
    dataset = load_dataset(folder.path)
    splits = make_splits(dataset.videos, amounts, seed=seed, least_videos=least_videos)
    check_splits(splits, dataset, str(folder.path / "splits.yaml"))
    file = folder.write_made_splits(splits, reporter)
    in_parts = {key for part in splits.by_name.values() for key in part}
    kept = {video.class_name for video in dataset.videos if video.key in in_parts}
    small = tuple(name for name in dataset.classes if name not in kept)
    if small:
        reporter.say(f"{counted(len(small), 'class')} of fewer than {least_videos} videos in no part: {some_of(small)}")
    for line in _not_held_out(splits, dataset, amounts):
        reporter.say(line)
    return MadeSplits(splits, file, small, dataset)


def _not_held_out(splits: Splits, dataset: Dataset, amounts: Amounts) -> Iterator[str]:
    """Lines about classes that give a part no video, as their last one stays for training."""
    class_of = {video.key: video.class_name for video in dataset.videos}
    classes = {part: {class_of[key] for key in keys} for part, keys in splits.by_name.items()}
    trained = classes["train"] | classes["val_seen"]
    for part, asked, of in (
        ("test_seen", amounts.seen_test, trained | classes["val_unseen"] | classes["test_seen"]),
        ("val_seen", amounts.seen_val, trained),
    ):
        lacking = sorted(of - classes[part])
        if lacking and asked != 0:
            yield f"{counted(len(lacking), 'class')} with no video to spare for {part}: {some_of(lacking)}"
