"""Match the videos of a dataset with the official lists by name, and list the names without a match."""

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
from pipeline.datasets.splits.splits import Splits


@dataclass(frozen=True)
class Unmatched:
    """A row of unmatched.csv.

    Attributes:
        kind: class or video.
        name: the name as it is spelled on its side.
        side: "listed" for the official lists, "here" for the dataset, "both" for a video of another class than listed.
        reason: the reason for people.
    """

    kind: Literal["class", "video"]
    name: str
    side: Literal["listed", "here", "both"]
    reason: str


@dataclass(frozen=True)
class Matched:
    """A dataset after matching with the official lists.

    Attributes:
        videos: the videos in their order, with the official spelling of their classes.
        phrases: class -> phrases, for the classes of the official list and of the dataset.
        splits: the official splits, restricted to the videos of the dataset.
        unmatched: names that only one side has.
        notes: messages for the user, one line each.
    """

    videos: tuple[Video, ...]
    phrases: Mapping[str, Phrases]
    splits: Splits
    unmatched: tuple[Unmatched, ...]
    notes: tuple[str, ...]


def match(official: OfficialSplits, videos: Sequence[Video], phrases: Mapping[str, Phrases]) -> Matched:
    """Assign the official splits and class names to the videos of a dataset.

    Args:
        official: the official lists.
        videos: videos of the dataset, at least one.
        phrases: class -> phrases given with the dataset; those of the official list take precedence.

    Raises:
        UsageError: a dataset without any listed video, or two of its classes that are one class in the lists.
    """
    renamed = tuple(
        replace(video, class_name=official.called(video.class_name) or video.class_name) for video in videos
    )
    _refuse_merged(videos, renamed, official.folder)
    by_name, unmatched = _match_listed(official, renamed)
    if not any(by_name.values()):
        first = next(iter(official.class_of), "nothing")
        raise UsageError(
            f"{official.folder} lists no video of this dataset: it has names such as {first}, "
            f"this dataset has names such as {videos[0].key}; give the splits of this dataset"
        )
    splits = Splits(**by_name, origin={"official": str(official.folder.absolute())})
    class_of = {video.key: video.class_name for video in renamed}
    usable = splits.without_untrained_classes(class_of)
    lost = {class_of[key] for name, keys in splits.by_name.items() for key in set(keys) - set(usable.by_name[name])}
    untrained = f"{some_of(sorted(lost))}: no training video is here, so not tested as seen"
    unmatched += _unmatched_here(official, renamed, usable)
    spelled = {official.called(name) or name: phrase for name, phrase in phrases.items()}
    known = {**spelled, **{name: phrase or spelled.get(name, ()) for name, phrase in official.phrases.items()}}
    return Matched(renamed, known, usable, tuple(unmatched), (*official.notes, *([untrained] if lost else [])))


def counts_in_words(unmatched: Sequence[Unmatched]) -> str:
    """Count the names without a match, in words."""
    counts = Counter[tuple[str, str]]((entry.kind, entry.side) for entry in unmatched)
    texts = [
        f"{counted(counts[kind, side], kind)} {where}"
        for kind, side, where in (
            ("class", "listed", "listed but not here"),
            ("video", "listed", "listed but not here"),
            ("video", "both", "of another class than listed"),
            ("class", "here", "here but not listed"),
            ("video", "here", "here but in no split"),
        )
        if counts[kind, side]
    ]
    return ", ".join(texts)


def _refuse_merged(videos: Iterable[Video], renamed: Iterable[Video], folder: Path) -> None:
    names: dict[str, set[str]] = defaultdict(set)
    for before, after in zip(videos, renamed, strict=True):
        names[after.class_name].add(before.class_name)
    for official, here in names.items():
        if len(here) > 1:
            raise UsageError(f"duplicate class names: {', '.join(sorted(here))} here are all {official} in {folder}")


def _match_listed(
    official: OfficialSplits, videos: Sequence[Video]
) -> tuple[dict[str, tuple[str, ...]], list[Unmatched]]:
    """Find the listed videos; return split -> keys of the videos found, and the listed names without a match."""
    index, by_name, unmatched = _Index(videos), dict[str, tuple[str, ...]](), list[Unmatched]()
    used: set[str] = set()
    for split, names in official.by_name.items():
        keys = []
        for name in names:
            video, class_name = index.find(name), official.called(official.class_of[name])
            if video is None or video.key in used:
                unmatched.append(Unmatched("video", name, "listed", f"listed in {split}, not here"))
            elif video.class_name != class_name:
                reason = f"listed in {split} as {class_name}, here {video.class_name}"
                unmatched.append(Unmatched("video", name, "both", reason))
            else:
                used.add(video.key)
                keys.append(video.key)
        by_name[split] = tuple(keys)
    return by_name, unmatched


def _unmatched_here(official: OfficialSplits, videos: Sequence[Video], splits: Splits) -> list[Unmatched]:
    """List the classes that only one side has, and the videos of the dataset that are in no split."""
    here = {video.class_name for video in videos}
    listed = {name for spelled in set(official.class_of.values()) if (name := official.called(spelled))}
    kept = {key for keys in splits.by_name.values() for key in keys}
    return [
        *(Unmatched("class", name, "listed", "listed with videos, but none is here") for name in sorted(listed - here)),
        *(
            Unmatched("class", name, "here", "not in the official list")
            for name in sorted(here - set(official.phrases))
        ),
        *(Unmatched("video", video.key, "here", "in no split") for video in videos if video.key not in kept),
    ]


class _Index:
    """Finds videos by key, by file name without ending, or by that name ignoring case and zeros before a number."""

    def __init__(self, videos: Sequence[Video]) -> None:
        self._exact = {video.key: video for video in videos}
        self._by_stem = _unique((_stem(video.key), video) for video in videos)
        self._folded = _unique((_folded(_stem(video.key)), video) for video in videos)

    def find(self, name: str) -> Video | None:
        """Find the video of a name; None if there is none or several."""
        stem = _stem(name)
        return self._exact.get(name) or self._by_stem.get(stem) or self._folded.get(_folded(stem))


def _unique(pairs: Iterable[tuple[str, Video]]) -> dict[str, Video]:
    """Map names to videos, without the names that several videos have."""
    found: dict[str, list[Video]] = defaultdict(list)
    for name, video in pairs:
        found[name].append(video)
    return {name: videos[0] for name, videos in found.items() if len(videos) == 1}


def _stem(key: str) -> str:
    """Take the file name from a key, without the ending of a media file."""
    path = PurePosixPath(key)
    return path.stem if path.suffix.lower() in MEDIA_ENDINGS else path.name


def _folded(stem: str) -> str:
    """Lower the case and drop zeros before a number at the end."""
    before, _, number = stem.rpartition("_")
    return f"{before}_{int(number)}".casefold() if number.isascii() and number.isdigit() else stem.casefold()
