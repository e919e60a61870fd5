"""The videos that are here, matched with the benchmark's own lists by name; what has no match on either side."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from pipeline.base.errors import UsageError
from pipeline.base.wording import counted, some_of
from pipeline.datasets.dataset import Video
from pipeline.datasets.media_files import MEDIA_ENDINGS
from pipeline.datasets.official.split_lists import OfficialSplits
from pipeline.datasets.phrases import Phrases
from pipeline.datasets.splits import Splits


@dataclass(frozen=True)
class Unmatched:
    """A row of unmatched.csv.

    Attributes:
        kind: what it is.
        name: as it is spelled where it is.
        side: where it is: in the official lists, here, or in both but as something else.
        reason: in words.
    """

    kind: Literal["class", "video"]
    name: str
    side: Literal["listed", "here", "both"]
    reason: str


@dataclass(frozen=True)
class Matched:
    """A dataset by its official lists.

    Attributes:
        videos: in their order, with the official spelling of their classes.
        phrases: class -> phrase, all classes of the official list and all that are here.
        splits: of the videos that are here.
        unmatched: names of either side that the other does not have.
        notes: a line each for what the user should know.
    """

    videos: tuple[Video, ...]
    phrases: Mapping[str, Phrases]
    splits: Splits
    unmatched: tuple[Unmatched, ...]
    notes: tuple[str, ...]


def match(official: OfficialSplits, videos: Sequence[Video], phrases: Mapping[str, Phrases]) -> Matched:
    """Give the videos that are here the parts and the class names that the official lists give them.

    Args:
        official: the lists.
        videos: those that are here, at least one.
        phrases: class -> phrase as far as they were given here; those of the official list go before.

    Raises:
        UsageError: no video is listed, or two classes here are one there.
    """
    renamed = tuple(
        replace(video, class_name=official.called(video.class_name) or video.class_name) for video in videos
    )
    _refuse_merged(videos, renamed, official.folder)
    parts, unmatched = _listed(official, renamed)
    if not any(parts.values()):
        first = next(iter(official.class_of), "nothing")
        raise UsageError(
            f"{official.folder} lists no video of this dataset: it has names such as {first}, "
            f"this dataset such as {videos[0].key}; give the splits of this dataset"
        )
    splits = Splits(**parts, origin={"official": str(official.folder.absolute())})
    class_of = {video.key: video.class_name for video in renamed}
    usable = splits.without_strangers(class_of)
    lost = {class_of[key] for part in splits.by_name for key in set(splits.by_name[part]) - set(usable.by_name[part])}
    untrained = f"{some_of(sorted(lost))}: no video to train on is here, so not tested as seen"
    unmatched += _unlisted(official, renamed, usable)
    spelled = {official.called(name) or name: phrase for name, phrase in phrases.items()}
    known = {**spelled, **{name: phrase or spelled.get(name, ()) for name, phrase in official.phrases.items()}}
    return Matched(renamed, known, usable, tuple(unmatched), (*official.notes, *([untrained] if lost else [])))


def counts_in_words(unmatched: Sequence[Unmatched]) -> str:
    """How many names could not be matched, for people."""
    counts = Counter[tuple[str, str]]((entry.kind, entry.side) for entry in unmatched)
    words = [
        f"{counted(counts[kind, side], kind)} {where}"
        for kind, side, where in (
            ("class", "listed", "listed but not here"),
            ("video", "listed", "listed but not here"),
            ("video", "both", "of another class than listed"),
            ("class", "here", "here but not listed"),
            ("video", "here", "here but in no part"),
        )
        if counts[kind, side]
    ]
    return ", ".join(words)


def _refuse_merged(videos: Iterable[Video], renamed: Iterable[Video], folder: Path) -> None:
    names: dict[str, set[str]] = defaultdict(set)
    for before, after in zip(videos, renamed, strict=True):
        names[after.class_name].add(before.class_name)
    for official, here in names.items():
        if len(here) > 1:
            raise UsageError(f"duplicate class names: {', '.join(sorted(here))} here are all {official} in {folder}")


def _listed(official: OfficialSplits, videos: Sequence[Video]) -> tuple[dict[str, tuple[str, ...]], list[Unmatched]]:
    """Part of the splits -> videos that are here, and the listed names that are not."""
    index, parts, unmatched = _Index(videos), dict[str, tuple[str, ...]](), list[Unmatched]()
    used: set[str] = set()
    for part, names in official.by_name.items():
        keys = []
        for name in names:
            video, class_name = index.find(name), official.called(official.class_of[name])
            if video is None or video.key in used:
                unmatched.append(Unmatched("video", name, "listed", f"listed in {part}, not here"))
            elif video.class_name != class_name:
                reason = f"listed in {part} as {class_name}, here {video.class_name}"
                unmatched.append(Unmatched("video", name, "both", reason))
            else:
                used.add(video.key)
                keys.append(video.key)
        parts[part] = tuple(keys)
    return parts, unmatched


def _unlisted(official: OfficialSplits, videos: Sequence[Video], splits: Splits) -> list[Unmatched]:
    """Classes of one side only, and videos here that are in no part."""
    here = {video.class_name for video in videos}
    listed = {name for spelled in set(official.class_of.values()) if (name := official.called(spelled))}
    kept = {key for part in splits.by_name.values() for key in part}
    return [
        *(Unmatched("class", name, "listed", "listed with videos, none is here") for name in sorted(listed - here)),
        *(
            Unmatched("class", name, "here", "not in the official list")
            for name in sorted(here - set(official.phrases))
        ),
        *(Unmatched("video", video.key, "here", "in no part") for video in videos if video.key not in kept),
    ]


class _Index:
    """Videos by key, by file name without ending, and by that without regard to case and to zeros before a number."""

    def __init__(self, videos: Sequence[Video]) -> None:
        self._exact = {video.key: video for video in videos}
        self._by_stem = _unique((_stem(video.key), video) for video in videos)
        self._folded = _unique((_folded(_stem(video.key)), video) for video in videos)

    def find(self, name: str) -> Video | None:
        """The video of that name; None where there is none, or several."""
        stem = _stem(name)
        return self._exact.get(name) or self._by_stem.get(stem) or self._folded.get(_folded(stem))


def _unique(pairs: Iterable[tuple[str, Video]]) -> dict[str, Video]:
    """Name -> video, without names of several."""
    found: dict[str, list[Video]] = defaultdict(list)
    for name, video in pairs:
        found[name].append(video)
    return {name: videos[0] for name, videos in found.items() if len(videos) == 1}


def _stem(key: str) -> str:
    """The file name of a key, without the ending of a media file."""
    path = PurePosixPath(key)
    return path.stem if path.suffix.lower() in MEDIA_ENDINGS else path.name


def _folded(stem: str) -> str:
    before, _, number = stem.rpartition("_")
    return f"{before}_{int(number)}".casefold() if number.isascii() and number.isdigit() else stem.casefold()
