"""The benchmark's own lists of which video is for what, and how it spells its classes."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pipeline.base.csv_tables import read_user_table
from pipeline.base.errors import UsageError
from pipeline.base.wording import did_you_mean, does_not_exist, some_of
from pipeline.datasets.dataset import Dataset, Video
from pipeline.datasets.official.class_lists import OfficialClasses, read_classes
from pipeline.datasets.official.protocol import RETRAINING, SPLIT_OF_STAGE
from pipeline.datasets.phrases import Phrases
from pipeline.datasets.splits import Splits, check_splits

_USUAL = "main_split"


@dataclass(frozen=True)
class OfficialSplits:
    """What the lists of one folder say.

    Attributes:
        folder: main_split or cls_split, or another with such lists.
        parts: part of the splits -> the names of its videos, in their order.
        class_of: name of a video -> its class.
        classes: of the folder above: every class with its phrase.
        notes: a line each for what the user should know.
    """

    folder: Path
    by_name: Mapping[str, tuple[str, ...]]
    class_of: Mapping[str, str]
    classes: OfficialClasses
    notes: tuple[str, ...]

    @cached_property
    def phrases(self) -> dict[str, Phrases]:
        """Every class as it is officially spelled -> its phrase, '' where no list gives one."""
        listed = {self.classes.called(name) or name for name in self.class_of.values()}
        return dict.fromkeys(sorted(listed), ()) | dict(self.classes.phrases)

    @cached_property
    def _by_case(self) -> dict[str, str]:
        return {name.casefold(): name for name in self.phrases}

    @cached_property
    def _by_letters(self) -> dict[str, str]:
        """Letters of a class's name -> the class, where no other has the same."""
        counts = Counter(_letters(name) for name in self.phrases)
        return {letters: name for name in self.phrases if counts[letters := _letters(name)] == 1}

    def called(self, name: str) -> str | None:
        """The class of that name, whatever its case and spaces: `Applying sunscreen` is `Applyingsunscreen` there."""
        if name in self.phrases:
            return name
        return self._by_case.get(name.casefold()) or self._by_letters.get(_letters(name))


def read_official_splits(given: Path) -> OfficialSplits:
    """The lists of a folder.

    Args:
        given: `class-split`, which means its main_split, or main_split or cls_split itself.

    Raises:
        UsageError: another folder, or lists that contradict themselves.
    """
    folder, notes = _split_folder(given)
    by_name: dict[str, tuple[str, ...]] = {}
    class_of: dict[str, str] = {}
    place = folder.absolute()  # '.' has neither a name nor a parent
    classes = read_classes(place.parent, place.name)
    for stage, part in SPLIT_OF_STAGE.items():
        rows = list(_rows(folder / f"{stage}.csv", classes))
        by_name[part] = tuple(name for name, _ in rows)
        for name, class_name in rows:
            if class_of.setdefault(name, class_name) != class_name:
                raise UsageError(f"{folder}: {name!r} is of class {class_of[name]!r} and of class {class_name!r}")
    listed = tuple(Video(name, name, class_name.casefold()) for name, class_name in class_of.items())
    check_splits(Splits(**by_name, origin={}), Dataset(folder, listed, {}), str(folder))
    notes += _disagreements(folder, by_name, class_of, classes)
    return OfficialSplits(folder, by_name, class_of, classes, tuple(notes))


def _split_folder(given: Path) -> tuple[Path, list[str]]:
    """The folder with the lists, and what to say of how it was found."""
    if not given.is_dir():
        raise UsageError(
            does_not_exist(given) if not given.exists() else f"{given} is a file: give the folder of splits"
        )
    first = f"{next(iter(SPLIT_OF_STAGE))}.csv"
    for folder in (given / _USUAL, given / "class-split" / _USUAL):
        if (folder / first).is_file():
            others = sorted(entry.name for entry in folder.parent.iterdir() if entry != folder and entry.is_dir())
            beside = f" (also there: {', '.join(others)})" if others else ""
            return folder, [f"the splits are those of {folder}{beside}"]
    if not (given / first).is_file():
        raise UsageError(
            f"{given} holds no official splits: expected class-split, or main_split or cls_split in it, "
            f"with {first} and the like"
        )
    return given, []


def _rows(path: Path, classes: OfficialClasses) -> Iterator[tuple[str, str]]:
    """(video, class) of a list; where the folder above lists its classes, each must be one of them."""
    if not path.is_file():
        raise UsageError(f"{path.parent} lacks {path.name}: expected {', '.join(f'{s}.csv' for s in SPLIT_OF_STAGE)}")
    for line, row in read_user_table(path, required=("filename", "label"), strict=False):
        name, label = row["filename"].strip(), row["label"].strip()
        if not name or not label:
            raise UsageError(f"{path}, line {line}: the filename or the label is empty")
        if classes.called(label) is None:
            raise UsageError(
                f"{path}, line {line}: {label!r} is no class of {path.parent.parent}."
                f"{did_you_mean(label, classes.phrases)} Correct it, or add it to all_class.txt there"
            )
        yield name, label


def _disagreements(
    folder: Path, by_name: Mapping[str, Sequence[str]], class_of: Mapping[str, str], classes: OfficialClasses
) -> list[str]:
    """Lines about lists of one folder that say different things; the .csv of stage 1 and of the test count."""
    lines = []
    for part, listed in classes.listed.items():
        named = {classes.called(class_of[name]) or class_of[name] for name in by_name[part]}
        if named != listed:
            differing = sorted(named ^ listed)
            lines.append(
                f"{folder.name}: the list of classes of {part} and its videos differ in "
                f"{some_of(differing)}; the videos count"
            )
    again = folder / f"{RETRAINING}.csv"
    if again.is_file():
        trained = {name for part in ("train", "val_seen", "val_unseen") for name in by_name[part]}
        differing = sorted(trained ^ {name for name, _ in _rows(again, classes)})
        if differing:
            lines.append(
                f"{again.name} is not stage 1's videos together: {some_of(differing)} differ; stage 1's lists count"
            )
    return lines


def _letters(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())
