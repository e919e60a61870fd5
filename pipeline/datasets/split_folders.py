"""Recognise folders that are splits: `dataset/{train,val,test}/<class>/<file>`, as supervised datasets are stored."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.datasets.media_files import may_hold_videos

_SPLIT_OF_FOLDER = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


def split_folders(folder: Path) -> dict[str, str]:
    """Return the names of the folders that are splits -> train, val or test; none if the folders are classes.

    They are splits if train is among them, another one is there too, all have such a name, and all hold folders.
    """
    names = [entry.name for entry in folder.iterdir() if entry.is_dir() and may_hold_videos(entry.name)]
    found = {name: split for name in names if (split := _SPLIT_OF_FOLDER.get(name.casefold()))}
    is_complete = len(found) == len(names) == len(set(found.values())) > 1 and "train" in found.values()
    return found if is_complete and all(_holds_folders(folder / name) for name in found) else {}


def _holds_folders(folder: Path) -> bool:
    return any(entry.is_dir() and may_hold_videos(entry.name) for entry in folder.iterdir())


def keys_by_split(split_of: Mapping[str, str], class_of: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Sort videos into the five splits of zero-shot learning.

    A class of val that is not in train is unseen in validation; a class of test that is in neither is unseen.

    Args:
        split_of: video key -> train, val or test.
        class_of: video key -> class.
    """
    classes = {name: {class_of[key] for key, split in split_of.items() if split == name} for name in ("train", "val")}

    def five(key: str, split: str) -> str:
        if split == "train":
            return "train"
        known = classes["train"] if split == "val" else classes["train"] | classes["val"]
        return f"{split}_{'seen' if class_of[key] in known else 'unseen'}"

    by_name: dict[str, list[str]] = {
        name: [] for name in ("train", "val_seen", "val_unseen", "test_seen", "test_unseen")
    }
    for key, split in split_of.items():
        by_name[five(key, split)].append(key)
    return {name: tuple(keys) for name, keys in by_name.items()}


def said(split_of: Mapping[str, str], test_unseen: Sequence[str]) -> str:
    """Say that folders were taken as splits, with their numbers of videos."""
    names = list(dict.fromkeys(split_of.values()))
    counts = ", ".join(f"{name} {sum(split == name for split in split_of.values())}" for name in names)
    unseen = "" if test_unseen else "; test has no class that is not in train: --unseen holds some out"
    return f"its folders are taken as splits, and the folders in them as classes (videos: {counts}){unseen}"
