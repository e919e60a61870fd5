"""Read the official split lists of the benchmark and the official spelling of its classes."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pipeline.base.csv_tables import read_user_table
from pipeline.base.errors import UsageError
from pipeline.base.wording import did_you_mean, not_a_file, some_of
from pipeline.datasets.dataset import Dataset, Video
from pipeline.datasets.official.class_lists import OfficialClasses, read_classes
from pipeline.datasets.official.protocol import RETRAINING, SPLIT_OF_STAGE
from pipeline.datasets.phrases import Phrases
from pipeline.datasets.splits.splits import Splits, check_splits

_USUAL = "main_split"


@dataclass(frozen=True)
class OfficialSplits:
    """The content of the lists of one folder.

    Attributes:
        folder: main_split, cls_split or another folder with such lists.
        by_name: split -> the names of its videos, in the order of the list.
        class_of: name of a video -> its class.
        classes: the classes and phrases that the parent folder lists.
        notes: messages for the user, one line each.
    """

    folder: Path
    by_name: Mapping[str, tuple[str, ...]]
    class_of: Mapping[str, str]
    classes: OfficialClasses
    notes: tuple[str, ...]

    @cached_property
    def phrases(self) -> dict[str, Phrases]:
        """Official name of every class -> its phrases; empty if no list gives any."""
        listed = {self.classes.called(name) or name for name in self.class_of.values()}
        return dict.fromkeys(sorted(listed), ()) | dict(self.classes.phrases)

    @cached_property
    def _by_case(self) -> dict[str, str]:
        return {name.casefold(): name for name in self.phrases}

    @cached_property
    def _by_letters(self) -> dict[str, str]:
        """Letters of a class name -> the class; only if no other class has the same letters."""
        counts = Counter(_letters(name) for name in self.phrases)
        return {letters: name for name in self.phrases if counts[letters := _letters(name)] == 1}

    def called(self, name: str) -> str | None:
        """Find a class by name, ignoring case and spaces: `Applying sunscreen` is `Applyingsunscreen` in the lists."""
        if name in self.phrases:
            return name
        return self._by_case.get(name.casefold()) or self._by_letters.get(_letters(name))


def read_official_splits(given: Path) -> OfficialSplits:
    """Read and check the official lists of a folder.

    Args:
        given: main_split or cls_split; or class-split, to read its main_split.

    Raises:
        UsageError: a folder without such lists, or lists that contradict each other.
    """
    folder, notes = _split_folder(given)
    by_name: dict[str, tuple[str, ...]] = {}
    class_of: dict[str, str] = {}
    absolute = folder.absolute()  # '.' has neither a name nor a parent
    classes = read_classes(absolute.parent, absolute.name)
    for stage, split in SPLIT_OF_STAGE.items():
        rows = list(_rows(folder / f"{stage}.csv", classes))
        by_name[split] = tuple(name for name, _ in rows)
        for name, class_name in rows:
            if class_of.setdefault(name, class_name) != class_name:
                raise UsageError(f"{folder}: {name!r} is of class {class_of[name]!r} and of class {class_name!r}")
    listed = tuple(Video(name, name, class_name.casefold()) for name, class_name in class_of.items())
    check_splits(Splits(**by_name, origin={}), Dataset(folder, listed, {}), str(folder))
    notes += _disagreements(folder, by_name, class_of, classes)
    return OfficialSplits(folder, by_name, class_of, classes, tuple(notes))


def _split_folder(given: Path) -> tuple[Path, list[str]]:
    """Find the folder with the lists; return it and messages about how it was found."""
    if not given.is_dir():
        raise UsageError(not_a_file(given) if not given.exists() else f"{given} is a file: give the folder of splits")
    first = f"{next(iter(SPLIT_OF_STAGE))}.csv"
    for folder in (given / _USUAL, given / "class-split" / _USUAL):
        if (folder / first).is_file():
            others = sorted(entry.name for entry in folder.parent.iterdir() if entry != folder and entry.is_dir())
            alternatives = f" (also there: {', '.join(others)})" if others else ""
            return folder, [f"the splits are those of {folder}{alternatives}"]
    if not (given / first).is_file():
        raise UsageError(
            f"{given} contains no official splits: expected class-split, or main_split or cls_split in it, "
            f"with {first} and the like"
        )
    return given, []


def _rows(path: Path, classes: OfficialClasses) -> Iterator[tuple[str, str]]:
    """Read (video, class) from a list; if the parent folder lists classes, each class must be one of them."""
    if not path.is_file():
        raise UsageError(f"{path.parent} has no {path.name}: expected {', '.join(f'{s}.csv' for s in SPLIT_OF_STAGE)}")
    for line, row in read_user_table(path, required=("filename", "label"), strict=False):
        name, label = row["filename"].strip(), row["label"].strip()
        if not name or not label:
            raise UsageError(f"{path}, line {line}: the filename or the label is empty")
        if classes.called(label) is None:
            raise UsageError(
                f"{path}, line {line}: {label!r} is not a class of {path.parent.parent}."
                f"{did_you_mean(label, classes.phrases)} Correct it, or add it to all_class.txt there"
            )
        yield name, label


def _disagreements(
    folder: Path, by_name: Mapping[str, Sequence[str]], class_of: Mapping[str, str], classes: OfficialClasses
) -> list[str]:
    """Describe differences between the lists of a folder; the .csv files of stage 1 and of the test are used."""
    lines = []
    for split, listed in classes.listed.items():
        named = {classes.called(class_of[name]) or class_of[name] for name in by_name[split]}
        if named != listed:
            differing = sorted(named ^ listed)
            lines.append(
                f"{folder.name}: the list of classes of {split} and the classes of its videos differ in "
                f"{some_of(differing)}; the videos are used"
            )
    again = folder / f"{RETRAINING}.csv"
    if again.is_file():
        trained = {name for split in ("train", "val_seen", "val_unseen") for name in by_name[split]}
        differing = sorted(trained ^ {name for name, _ in _rows(again, classes)})
        if differing:
            lines.append(
                f"{again.name} does not list the same videos as stage 1: {some_of(differing)} differ; "
                "the lists of stage 1 are used"
            )
    return lines


def _letters(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())
