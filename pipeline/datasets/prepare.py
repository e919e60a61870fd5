"""Prepare a dataset: check files, name classes, make splits, list what was left out, and write everything."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.base.errors import UsageError
from pipeline.base.progress import Reporter
from pipeline.base.system import collector_paused
from pipeline.base.wording import counted
from pipeline.datasets.dataset import Dataset, Video, dataset_of
from pipeline.datasets.dataset_folder import DatasetFolder
from pipeline.datasets.file_probe import Probed, probe_videos
from pipeline.datasets.official.matching import Matched, Unmatched, counts_in_words, match
from pipeline.datasets.official.split_lists import OfficialSplits
from pipeline.datasets.sources.found import Found, LeftOut
from pipeline.datasets.split_folders import folders_in_words, said
from pipeline.datasets.splits.amounts import Amounts
from pipeline.datasets.splits.hold_out import make_splits
from pipeline.datasets.splits.recordings import shared_recordings
from pipeline.datasets.splits.splits import Splits, check_splits, parse_splits, splits_of_folders

SECONDS_PER_HOUR = 3600
_EXAMPLES = 5


@dataclass(frozen=True)
class PreparationReport:
    """The result of preparing a dataset.

    Attributes:
        folder: folder of the dataset.
        videos: number of videos in the manifest.
        classes: number of classes of these videos.
        empty_classes: classes that are listed but have no videos.
        seconds: total length of the videos whose length is known.
        lengths_known: number of videos whose length is known.
        missing: clips that were listed but have no file or wrong times.
        unreadable: clips whose file cannot be read; None if files were not checked.
        soundless: number of clips without sound; None if files were not checked.
        pictureless: number of clips without pictures; None if files were not checked.
        split_counts: split -> (classes, videos); empty without splits.
        splits_from: origin of the splits, or the reason why there are none, for people.
        unmatched: names that only the official lists or only the dataset has.
        missing_file: list of the missing and unreadable clips; None if there are none.
        unmatched_file: list of the unmatched names; None if there are none.
        notes: messages for the user, one line each.
    """

    folder: Path
    videos: int
    classes: int
    empty_classes: tuple[str, ...]
    seconds: float
    lengths_known: int
    missing: tuple[LeftOut, ...]
    unreadable: tuple[LeftOut, ...] | None
    soundless: int | None
    pictureless: int | None
    split_counts: Mapping[str, tuple[int, int]]
    splits_from: str
    unmatched: tuple[Unmatched, ...]
    missing_file: Path | None
    unmatched_file: Path | None
    notes: tuple[str, ...]

    @property
    def unmatched_words(self) -> str:
        """The number of unmatched names, in words."""
        return counts_in_words(self.unmatched)

    @property
    def examples(self) -> tuple[Unmatched, ...]:
        """The first two unmatched names of each kind and side, at most five in all."""
        seen: Counter[tuple[str, str]] = Counter()
        chosen = []
        for entry in self.unmatched:
            seen[entry.kind, entry.side] += 1
            if seen[entry.kind, entry.side] <= 2:
                chosen.append(entry)
        return tuple(chosen[:_EXAMPLES])

    def to_json(self) -> dict[str, Any]:
        """Make the document of `prepare --json`."""
        return {
            "manifest": str(self.folder / "manifest.csv"),
            "classes": self.classes,
            "classes_without_videos": list(self.empty_classes),
            "videos": self.videos,
            "hours": self.seconds / SECONDS_PER_HOUR if self.lengths_known else None,
            "videos_of_known_length": self.lengths_known,
            "missing": len(self.missing),
            "unreadable": None if self.unreadable is None else len(self.unreadable),
            "soundless": self.soundless,
            "pictureless": self.pictureless,
            "left_out": [vars(entry) for entry in (*self.missing, *(self.unreadable or ()))],
            "splits": {name: {"classes": count[0], "videos": count[1]} for name, count in self.split_counts.items()},
            "splits_from": self.splits_from,
            "unmatched": [vars(entry) for entry in self.unmatched],
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class _Chosen:
    """The splits of a dataset.

    Attributes:
        splits: the splits; None if there are none.
        splits_from: their origin, or the reason why there are none, for people.
        edited: files whose edits are kept.
        unmatched: names that only the official lists or only the dataset has.
        notes: messages for the user, one line each.
    """

    splits: Splits | None
    splits_from: str
    edited: frozenset[str] = frozenset()
    unmatched: tuple[Unmatched, ...] = ()
    notes: tuple[str, ...] = ()


@collector_paused()
def prepare(
    found: Found,
    folder: DatasetFolder,
    *,
    official: OfficialSplits | None,
    probe: bool,
    workers: int | None,
    reporter: Reporter,
) -> PreparationReport:
    """Write manifest.csv, classes.csv, splits.yaml and the lists of what was left out.

    Without official splits, a splits.yaml of the source is used, else one that was edited in the folder. If there is
    neither, classes and videos are held out at random.

    Args:
        found: videos and classes to prepare.
        folder: folder to write into; the caller holds its lock.
        official: official splits to use; None for the others described above.
        probe: whether to read every file once and leave out those that cannot be read.
        workers: number of processes that read files; None for one per core.
        reporter: receives the progress, and a warning for everything that is backed up.

    Raises:
        UsageError: no readable video, splits that do not fit the dataset or contradict themselves, or two classes with
            the same phrases.
        StorageError: a full disk, or a folder that cannot be written.
    """
    folder.refuse_foreign_files()
    if official and probe:  # refuse wrong lists before the check of files, which may take hours
        match(official, found.videos, found.phrases)
    probed = probe_videos(found.videos, workers=workers, reporter=reporter) if probe else None
    videos = found.videos if probed is None else probed.videos
    if not videos:
        raise UsageError(
            f"{found.source}: none of its {counted(len(found.videos), 'video')} can be read: see avzsl probe"
        )
    matched = match(official, videos, found.phrases) if official else None
    dataset, chosen = _dataset_and_splits(found, videos, matched, folder)
    folder.make_room(reporter)
    folder.write(dataset, chosen.splits, reporter, with_edits=chosen.edited)
    return _report(found, folder, probed, dataset, chosen, reporter)


def _report(
    found: Found,
    folder: DatasetFolder,
    probed: Probed | None,
    dataset: Dataset,
    chosen: _Chosen,
    reporter: Reporter,
) -> PreparationReport:
    """Write the lists of what was left out, and make the report."""
    unreadable = None if probed is None else probed.unreadable
    left_out = [vars(row) for row in (*found.missing, *(unreadable or ()))]
    lengths = [length for video in dataset.videos if (length := _length(video)) is not None]
    return PreparationReport(
        folder=folder.path,
        videos=len(dataset.videos),
        classes=len(dataset.classes),
        empty_classes=tuple(dataset.without_videos),
        seconds=probed.seconds if probed else sum(lengths),
        lengths_known=len(dataset.videos) if probed else len(lengths),
        missing=found.missing,
        unreadable=unreadable,
        soundless=probed.soundless if probed else None,
        pictureless=probed.pictureless if probed else None,
        split_counts={} if chosen.splits is None else counts_by_split(chosen.splits, dataset),
        splits_from=chosen.splits_from,
        unmatched=chosen.unmatched,
        missing_file=folder.write_list("missing.csv", left_out, reporter),
        unmatched_file=folder.write_list("unmatched.csv", [vars(row) for row in chosen.unmatched], reporter),
        notes=(*found.notes, *chosen.notes),
    )


def _dataset_and_splits(
    found: Found, videos: Sequence[Video], matched: Matched | None, folder: DatasetFolder
) -> tuple[Dataset, _Chosen]:
    """Make the dataset with its phrases, and choose its splits."""
    manifest = folder.path / "manifest.csv"
    if matched is not None:
        dataset = dataset_of(manifest, matched.videos, matched.phrases)
        check_splits(matched.splits, dataset, str(matched.splits.origin["official"]))
        origin = f"official, {matched.splits.origin['official']}"
        chosen = _Chosen(matched.splits, origin, unmatched=matched.unmatched, notes=matched.notes)
        return dataset, _with_shared_recordings(chosen, dataset)
    edited = {name: phrase for name, phrase in folder.edited_phrases().items() if phrase}
    names = {video.class_name for video in videos} | set(found.phrases)
    phrases = {**found.phrases, **{name: phrase for name, phrase in edited.items() if name in names}}
    dataset = dataset_of(manifest, tuple(videos), phrases)
    chosen = _choose_splits(found, dataset, folder)
    return dataset, replace(chosen, edited=chosen.edited | ({"classes.csv"} if edited else set()))


def _choose_splits(found: Found, dataset: Dataset, folder: DatasetFolder) -> _Chosen:
    """Choose the splits of the source, else those of its folders, those edited in the folder, or new ones."""
    if found.splits is not None:
        given = parse_splits(found.splits)
        prepared = {video.key for video in dataset.videos}
        left_out = {entry.video for entry in found.missing} | {video.key for video in found.videos} - prepared
        known = [key for keys in given.by_name.values() for key in keys if key not in left_out]
        splits = given.restricted_to(known)
        check_splits(splits, dataset, str(found.splits))
        return _with_shared_recordings(_Chosen(splits, str(found.splits)), dataset)
    of_folders = splits_of_folders(replace(dataset, source=found.source.resolve(), split_of=found.split_of))
    if of_folders is not None:
        note = said(found.split_of, of_folders.test_unseen)
        chosen = _Chosen(of_folders, folders_in_words(found.split_of), notes=(f"{found.source}: {note}",))
        return _with_shared_recordings(chosen, dataset)
    edited = folder.edited_splits(dataset)
    if edited is not None:
        chosen = _Chosen(edited, "as made here before", frozenset({"splits.yaml"}))
        return _with_shared_recordings(chosen, dataset)
    try:
        return _Chosen(make_splits(dataset.videos, Amounts(), seed=0), "at random, seed 0")
    except UsageError as error:
        return _Chosen(None, f"none: {error}")


def _with_shared_recordings(chosen: _Chosen, dataset: Dataset) -> _Chosen:
    """Add a note if the given splits have recordings on two sides."""
    shared = chosen.splits and shared_recordings(chosen.splits, dataset.videos)
    return replace(chosen, notes=(*chosen.notes, f"{chosen.splits_from}: {shared}")) if shared else chosen


def _length(video: Video) -> float | None:
    """Compute the length of a segment; None for a segment without an end, as its file is not read."""
    return None if video.end_seconds is None else video.end_seconds - (video.start_seconds or 0.0)


def counts_by_split(splits: Splits, dataset: Dataset) -> dict[str, tuple[int, int]]:
    """Count the classes and the videos of every split."""
    class_of = {video.key: video.class_name for video in dataset.videos}
    return {name: (len({class_of[key] for key in keys}), len(keys)) for name, keys in splits.by_name.items()}
