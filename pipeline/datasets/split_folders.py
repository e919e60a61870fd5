"""Recognise folders that are splits: `dataset/{train,val,test}/<class>/<file>`, as supervised datasets are stored."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from pipeline.base.csv_tables import escape_undecodable
from pipeline.base.errors import UsageError
from pipeline.base.wording import some_of
from pipeline.datasets.media_files import may_hold_videos, media_files, sorted_names

_WORDS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "eval": "val",
    "test": "test",
    "testing": "test",
}
# A word, perhaps with a number before it, and with a size, a year or a word such as `set` after it: 01_train, train_9.
_AFTER = r"[\W_]*(?:split|set|data|videos|clips|\d+p?)"
_SPLIT = re.compile(rf"(?:\d+[\W_]+)?({'|'.join(_WORDS)})(?:{_AFTER})*")
_HALF = re.compile(r"(val|test)[-_ ](seen|unseen)")
_ORDER = ("train", "val", "val_seen", "val_unseen", "test", "test_seen", "test_unseen")


def meaning_of(folder_name: str) -> str | None:
    """Return the split that a folder of this name is: train, val, test, or half of the last two; None for no split."""
    name = folder_name.strip().casefold()
    if half := _HALF.fullmatch(name):
        return f"{half[1]}_{half[2]}"
    match = _SPLIT.fullmatch(name)
    return _WORDS[match[1]] if match else None


def split_folders(folder: Path, classes: Collection[str] = ()) -> dict[str, str]:
    """Return the names of the folders that are splits -> what they mean; none if the folders are classes.

    Folders with videos are splits if each has the name of another split and holds folders with videos, and one is for
    training. If no folder with such a name holds folders with videos, they are classes.

    Args:
        folder: the folder of the dataset.
        classes: names that the user says are classes.

    Raises:
        UsageError: some folders look like splits, and it is not clear what the others or the classes are.
    """
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and may_hold_videos(entry.name, classes))
    meanings = {name: meaning for name in names if (meaning := meaning_of(name))}
    looking = [name for name in meanings if _holds_class_folders(folder / name)]
    if not looking or {escape_undecodable(name).strip() for name in looking} <= set(classes):
        return {}
    others = [name for name in names if name not in looking and next(media_files(folder / name), None) is not None]
    found = {name: meanings[name] for name in sorted(looking, key=lambda name: _ORDER.index(meanings[name]))}
    fault = _fault(found, others)
    if fault:
        looking = list(found)  # training first
        raise UsageError(
            f"{folder}: {some_of(looking)} {_verb(looking, 'holds', 'hold')} class folders, as splits do, but {fault}. "
            f"Give {folder / looking[0]} alone, or a folder of train, val and test only; "
            f"if {some_of(looking)} {_verb(looking, 'is a class', 'are classes')}, say so in {folder / 'classes.csv'}"
        )
    return found


def _fault(found: Mapping[str, str], others: Sequence[str]) -> str | None:
    """Say why folders cannot be the splits of a dataset; None if they can.

    Args:
        found: names of folders that look like splits -> what they mean.
        others: names of the other folders with videos.
    """
    if loose := [name for name in others if meaning_of(name)]:
        return f"the videos in {some_of(loose)} are in no class folder"
    if others:
        return f"{some_of(others)} {_verb(others, 'is no split', 'are no splits')}"
    wholes = Counter(found.values())
    halves = {meaning.split("_")[0] for meaning in found.values() if "_" in meaning}
    for whole in dict.fromkeys(meaning.split("_")[0] for meaning in found.values()):
        several = [name for name, meaning in found.items() if meaning.split("_")[0] == whole]
        if any(wholes[found[name]] > 1 for name in several) or (whole in halves and wholes[whole]):
            return f"{some_of(several)} all mean {whole}"
    if "train" not in wholes:
        return "none is for training"
    return "there is no folder to validate or test with" if len(found) == 1 else None


def _verb(names: Sequence[str], one: str, several: str) -> str:
    return one if len(names) == 1 else several


def _holds_class_folders(folder: Path) -> bool:
    """Whether a folder holds folders with videos."""
    return any(names for parent, names, _ in sorted_names(folder) if parent != folder)


def keys_by_split(split_of: Mapping[str, str], class_of: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Sort videos into the five splits of zero-shot learning.

    A class of val that is not in train is unseen in validation; a class of test that is in neither is unseen. A folder
    that is half of val or test says itself what its classes are.

    Args:
        split_of: video key -> train, val, test, or half of the last two.
        class_of: video key -> class.
    """
    classes = {
        whole: {class_of[key] for key, split in split_of.items() if split.split("_")[0] == whole}
        for whole in ("train", "val")
    }

    def five(key: str, split: str) -> str:
        if split == "train" or "_" in split:
            return split
        known = classes["train"] if split == "val" else classes["train"] | classes["val"]
        return f"{split}_{'seen' if class_of[key] in known else 'unseen'}"

    by_name: dict[str, list[str]] = {
        name: [] for name in ("train", "val_seen", "val_unseen", "test_seen", "test_unseen")
    }
    for key, split in split_of.items():
        by_name[five(key, split)].append(key)
    return {name: tuple(keys) for name, keys in by_name.items()}


def folders_in_words(split_of: Mapping[str, str]) -> str:
    """Name the folders that are splits: `the folders Train and Test`."""
    names = list(_counts(split_of))
    return f"the folders {', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else f"the folder {names[0]}"


def said(split_of: Mapping[str, str], test_unseen: Sequence[str]) -> str:
    """Say that folders were taken as splits, with their numbers of videos."""
    counts = ", ".join(f"{name} {count}" for name, count in _counts(split_of).items())
    has_test = any(split.startswith("test") for split in split_of.values())
    reason = "test has no class that is not in train" if has_test else "no folder is for testing"
    unseen = "" if test_unseen else f"; {reason}: --unseen holds some classes out"
    return f"its folders are taken as splits, and the folders in them as classes (videos: {counts}){unseen}"


def _counts(split_of: Mapping[str, str]) -> dict[str, int]:
    """Count the videos of every folder that is a split, the folder for training first."""
    split_of_folder = {key.split("/", 1)[0]: split for key, split in split_of.items()}
    counts = Counter(key.split("/", 1)[0] for key in split_of)
    return {name: counts[name] for name in sorted(counts, key=lambda name: _ORDER.index(split_of_folder[name]))}
