"""The classes of an official folder: their names, the words that stand for them, and whose vectors those have."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pipeline.base.csv_tables import read_user_table
from pipeline.base.errors import UsageError
from pipeline.base.files import read_text
from pipeline.base.wording import did_you_mean, does_not_exist, some_of
from pipeline.datasets.official.protocol import BENCHMARKS, SPLIT_OF_STAGE
from pipeline.datasets.phrases import Phrases, parse_phrases, phrases_of_name

# Part of unseen classes -> parts that must have none of them.
_SEEN_BESIDE: Mapping[str, tuple[str, ...]] = {
    "test_unseen": ("train", "val_seen", "val_unseen", "test_seen"),
    "val_unseen": ("train", "val_seen"),
}


@dataclass(frozen=True)
class OfficialClasses:
    """Every class of a dataset, also those without videos.

    Attributes:
        phrases: class -> the words whose vector it has; empty where no list says so.
        benchmark: ucf, activitynet or vggsound, as the list of words is called; None: another, or no list.
        listed: part of the splits -> classes that its list in the split's folder names; only parts that have a list.
    """

    phrases: Mapping[str, Phrases]
    benchmark: str | None
    listed: Mapping[str, frozenset[str]]

    def called(self, name: str) -> str | None:
        """The class of that name, whatever its case: official files write HandStandPushups and HandstandPushups."""
        return self._by_folded.get(name.casefold()) if self.phrases else name

    @cached_property
    def _by_folded(self) -> dict[str, str]:
        return {name.casefold(): name for name in self.phrases}


def find_class_split(source: Path, feature_folder: Path, given: Path | None) -> Path | None:
    """The folder `class-split`: as given, else where it is usual; None: nowhere.

    Args:
        source: the dataset's folder, as the user gave it.
        feature_folder: `features/<method>`.
        given: by the user: class-split itself, the folder it lies in, or a split in it.

    Raises:
        UsageError: there is none where the user says.
    """
    if given is not None:
        if not given.is_dir():
            raise UsageError(does_not_exist(given))
        for folder in (given, given / "class-split", given / "class_split", given.parent):
            if _is_class_split(folder):
                return folder
        raise UsageError(f"{given} holds no splits: expected all_class.txt and main_split/stage_1_train.txt")
    places = [source, *feature_folder.parents[:3]]
    candidates = [place / name for place in places for name in ("class-split", "class_split")]
    return next((folder for folder in candidates if _is_class_split(folder)), None)


def _is_class_split(folder: Path) -> bool:
    return (folder / "all_class.txt").is_file() or bool(list(folder.glob("*_w2v_class_names.csv")))


def read_classes(folder: Path | None, split: str) -> OfficialClasses:
    """Classes and phrases as `class-split` lists them.

    Args:
        folder: class-split; None: there is none, and every class is what its file is called.
        split: main_split or cls_split, a folder in it; it may lack.

    Raises:
        UsageError: a list that contradicts itself, or no list at all in the folder.
    """
    if folder is None:
        return OfficialClasses({}, None, {})
    lists = sorted(folder.glob("*_w2v_class_names.csv"))
    if len(lists) > 1:
        raise UsageError(f"{folder} has several lists of class names: {', '.join(path.name for path in lists)}")
    phrases: dict[str, Phrases] = _read_words(lists[0]) if lists else {}
    everything = folder / "all_class.txt"
    by_folded = {name.casefold() for name in phrases}
    for name in _lines(everything) if everything.is_file() else []:
        if name.casefold() not in by_folded:
            phrases[name] = phrases_of_name(name)
    known = {name.casefold(): name for name in phrases}
    if len(known) < len(phrases):
        raise UsageError(f"{folder}: two classes differ by upper and lower case alone, which public code takes as one")
    listed = {}
    for stage, part in SPLIT_OF_STAGE.items():
        path = folder / split / f"{stage}.txt"
        if path.is_file():
            listed[part] = frozenset(_known(name, known, path) for name in _lines(path))
    _refuse_seen_and_unseen(listed, folder / split)
    return OfficialClasses(dict(sorted(phrases.items())), _benchmark_of(lists), listed)


def _refuse_seen_and_unseen(listed: Mapping[str, frozenset[str]], folder: Path) -> None:
    """Lists that train on, or validate with, what they call unseen would make every figure too good."""
    stage_of = {part: stage for stage, part in SPLIT_OF_STAGE.items()}
    for unseen, others in _SEEN_BESIDE.items():
        for part in others:
            both = sorted(listed.get(unseen, frozenset()) & listed.get(part, frozenset()))
            if both:
                raise UsageError(
                    f"{folder}: {some_of(both)} in {stage_of[part]}.txt and in {stage_of[unseen]}.txt, "
                    "which must not share a class: take it out of one"
                )


def _known(name: str, known: Mapping[str, str], path: Path) -> str:
    found = known.get(name.casefold())
    if found is None:
        raise UsageError(
            f"{path} names {name!r}, which is no class of all_class.txt.{did_you_mean(name, known.values())}"
        )
    return found


def _lines(path: Path) -> list[str]:
    return [line.strip() for line in read_text(path).splitlines() if line.strip()]


def _read_words(path: Path) -> dict[str, Phrases]:
    """The columns `original` and `manual`."""
    phrases: dict[str, Phrases] = {}
    for line, row in read_user_table(path, required=("original", "manual"), strict=False):
        name, phrase = row["original"].strip(), row["manual"].strip()
        if not name or not phrase or name in phrases:
            raise UsageError(f"{path}, line {line}: {name!r} is empty or there twice, or has no words")
        phrases[name] = parse_phrases(phrase)
    return phrases


def _benchmark_of(lists: Iterable[Path]) -> str | None:
    names = [
        name for name, benchmark in BENCHMARKS.items() for path in lists if path.name == benchmark.class_names_file
    ]
    return names[0] if names else None
