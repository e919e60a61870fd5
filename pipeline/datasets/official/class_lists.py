"""Read the class lists of an official folder: the names of the classes and their phrases."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pipeline.base.csv_tables import read_user_table
from pipeline.base.errors import UsageError
from pipeline.base.files import read_text
from pipeline.base.wording import did_you_mean, not_a_file, some_of
from pipeline.datasets.official.protocol import BENCHMARKS, SPLIT_OF_STAGE
from pipeline.datasets.phrases import Phrases, parse_phrases, phrases_of_name

# Split of unseen classes -> splits that must not contain these classes.
_SPLITS_WITHOUT: Mapping[str, tuple[str, ...]] = {
    "test_unseen": ("train", "val_seen", "val_unseen", "test_seen"),
    "val_unseen": ("train", "val_seen"),
}


@dataclass(frozen=True)
class OfficialClasses:
    """All classes of a dataset, also those without videos.

    Attributes:
        phrases: class -> the phrases that its vector is made from; empty if no list gives any.
        benchmark: ucf, activitynet or vggsound, from the name of the list of phrases; None for another or no list.
        listed: split -> the classes of its .txt list in main_split or cls_split; only splits that have such a list.
    """

    phrases: Mapping[str, Phrases]
    benchmark: str | None
    listed: Mapping[str, frozenset[str]]

    def called(self, name: str) -> str | None:
        """Find a class by name, ignoring case: official files contain both HandStandPushups and HandstandPushups."""
        return self._by_folded.get(name.casefold()) if self.phrases else name

    @cached_property
    def _by_folded(self) -> dict[str, str]:
        return {name.casefold(): name for name in self.phrases}


def find_class_split(source: Path, feature_folder: Path, given: Path | None) -> Path | None:
    """Find the folder `class-split`: the one that the user gave, else one at a usual path.

    Args:
        source: folder of the dataset, as the user gave it.
        feature_folder: folder `features/<method>`.
        given: class-split itself, the folder that contains it, or a folder in it; None to look at the usual paths.

    Returns:
        The folder; None if there is none at the usual paths.

    Raises:
        UsageError: a given folder without class lists.
    """
    if given is not None:
        if not given.is_dir():
            raise UsageError(not_a_file(given))
        for folder in (given, given / "class-split", given / "class_split", given.parent):
            if _is_class_split(folder):
                return folder
        raise UsageError(f"{given} contains no splits: expected all_class.txt and main_split/stage_1_train.txt")
    roots = [source, *feature_folder.parents[:3]]
    candidates = [root / name for root in roots for name in ("class-split", "class_split")]
    return next((folder for folder in candidates if _is_class_split(folder)), None)


def _is_class_split(folder: Path) -> bool:
    return (folder / "all_class.txt").is_file() or bool(list(folder.glob("*_w2v_class_names.csv")))


def read_classes(folder: Path | None, split: str, *, of_clip: bool = False) -> OfficialClasses:
    """Read the classes and phrases that `class-split` lists.

    Args:
        folder: folder class-split; None if there is none, so that classes are named as in the files of features.
        split: main_split or cls_split, a folder in class-split that need not exist.
        of_clip: whether to prefer the names that the ClipClap code gives the classes (ucf_clip_class_names.csv).

    Raises:
        UsageError: lists that contradict each other, several lists of phrases, or an unknown class.
    """
    if folder is None:
        return OfficialClasses({}, None, {})
    lists = sorted(folder.glob("*_w2v_class_names.csv"))
    if len(lists) > 1:
        raise UsageError(f"{folder} has several lists of class names: {', '.join(path.name for path in lists)}")
    others = sorted(folder.glob("*_clip_class_names.csv")) if of_clip else []
    phrases: dict[str, Phrases] = {}
    if others:
        phrases = _read_phrases(others[0], "clip_class_name")
    elif lists:
        phrases = _read_phrases(lists[0], "manual")
    everything = folder / "all_class.txt"
    by_folded = {name.casefold() for name in phrases}
    for name in _lines(everything) if everything.is_file() else []:
        if name.casefold() not in by_folded:
            phrases[name] = phrases_of_name(name)
    known = {name.casefold(): name for name in phrases}
    if len(known) < len(phrases):
        raise UsageError(
            f"{folder}: two classes differ only in upper and lower case, so the published code treats them as one: "
            "rename one"
        )
    listed = {}
    for stage, split_name in SPLIT_OF_STAGE.items():
        path = folder / split / f"{stage}.txt"
        if path.is_file():
            listed[split_name] = frozenset(_known(name, known, path) for name in _lines(path))
    _refuse_seen_and_unseen(listed, folder / split)
    return OfficialClasses(dict(sorted(phrases.items())), _benchmark_of(lists), listed)


def _refuse_seen_and_unseen(listed: Mapping[str, frozenset[str]], folder: Path) -> None:
    """Refuse lists that train or validate on classes they call unseen: every metric would be too good."""
    stage_of = {split: stage for stage, split in SPLIT_OF_STAGE.items()}
    for unseen, others in _SPLITS_WITHOUT.items():
        for split in others:
            both = sorted(listed.get(unseen, frozenset()) & listed.get(split, frozenset()))
            if both:
                raise UsageError(
                    f"{folder}: {some_of(both)} in {stage_of[split]}.txt and in {stage_of[unseen]}.txt, "
                    "which must not share a class: remove it from one of them"
                )


def _known(name: str, known: Mapping[str, str], path: Path) -> str:
    found = known.get(name.casefold())
    if found is None:
        raise UsageError(
            f"{path} names {name!r}, which is not a class of all_class.txt.{did_you_mean(name, known.values())}"
        )
    return found


def _lines(path: Path) -> list[str]:
    return [line.strip() for line in read_text(path).splitlines() if line.strip()]


def _read_phrases(path: Path, column: str) -> dict[str, Phrases]:
    """Read the columns `original` (class) and another one (phrases)."""
    phrases: dict[str, Phrases] = {}
    for line, row in read_user_table(path, required=("original", column), strict=False):
        name, phrase = row["original"].strip(), row[column].strip()
        if not name or not phrase or name in phrases:
            raise UsageError(f"{path}, line {line}: {name!r} is empty, appears twice or has no phrase")
        phrases[name] = parse_phrases(phrase)
    return phrases


def _benchmark_of(lists: Iterable[Path]) -> str | None:
    names = [
        name for name, benchmark in BENCHMARKS.items() for path in lists if path.name == benchmark.class_names_file
    ]
    return names[0] if names else None
