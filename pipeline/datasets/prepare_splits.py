"""Splits in the benchmark's two-stage form for a dataset that has none, chosen at random by a seed."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.errors import UsageError
from pipeline.base.progress import Reporter
from pipeline.base.wording import counted, some_of
from pipeline.datasets.dataset import Dataset, load_dataset
from pipeline.datasets.dataset_folder import content_hash, keep_beside, kept_files, source_record, write_record
from pipeline.datasets.hold_out import Amounts, make_splits
from pipeline.datasets.splits import Splits, check_splits, write_splits


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


def prepare_splits(folder: Path, amounts: Amounts, *, seed: int, least_videos: int, reporter: Reporter) -> MadeSplits:
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
    if not (folder / "manifest.csv").exists():
        raise UsageError(f"{folder} holds no manifest.csv: make one with avzsl prepare, or avzsl extract VIDEOS, first")
    dataset = load_dataset(folder)
    splits = make_splits(dataset.videos, amounts, seed=seed, least_videos=least_videos)
    file = folder / "splits.yaml"
    check_splits(splits, dataset, str(file))
    record, before = source_record(folder), kept_files(folder).get(file.name)
    write_splits(splits, file)
    made = content_hash(kept_files(folder)[file.name])
    if before is not None and content_hash(before) not in {made, *_reproducible(record)} and not record.get("splits"):
        reporter.warn(f"{file} was there before: it lies in {keep_beside(file, before)} now")
    _remember(folder, made)
    in_parts = {key for part in splits.parts.values() for key in part}
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
    classes = {part: {class_of[key] for key in keys} for part, keys in splits.parts.items()}
    trained = classes["train"] | classes["val_seen"]
    for part, asked, of in (
        ("test_seen", amounts.seen_test, trained | classes["val_unseen"] | classes["test_seen"]),
        ("val_seen", amounts.seen_val, trained),
    ):
        lacking = sorted(of - classes[part])
        if lacking and asked != 0:
            yield f"{counted(len(lacking), 'class')} with no video to spare for {part}: {some_of(lacking)}"


def _reproducible(record: dict[str, object]) -> set[object]:
    """Hashes of splits that a command makes again: those of `prepare splits`, and those a preparation wrote."""
    written = record.get("written")
    prepared = written.get("splits.yaml") if isinstance(written, dict) and "prepared_from" in record else None
    return {record.get("made_splits"), prepared}


def _remember(folder: Path, made: str) -> None:
    """Note that splits were made here, so that those of the source do not come back."""
    record = source_record(folder)
    if not record:
        return
    written = record.get("written", {})
    hashes = {name: content_hash(content) for name, content in kept_files(folder).items()}
    edited = [name for name, content_of in hashes.items() if written.get(name, content_of) != content_of]
    write_record(folder, {**record, "made_splits": made}, {*edited, "splits.yaml"})
