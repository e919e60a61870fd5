"""Recognise the workspace's dataset after its videos were moved: what it is counts, not where it was."""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.base.errors import PipelineError
from pipeline.base.files import read_bytes, write_json
from pipeline.base.progress import Reporter
from pipeline.datasets.dataset import RECORD, Dataset, Video, dataset_record, load_dataset, save_manifest
from pipeline.datasets.dataset_folder import MANIFEST, content_hash
from pipeline.datasets.media_files import media_files
from pipeline.datasets.origin import kind_of_preparation, plain_path, prepared_origin

# Says of a video whether a file is the one its features were made from; None if nothing is known about it.
IsKnownFile = Callable[[Video, Path], bool | None]

# A dataset stays the same if no more than this share of its clips was deleted, replaced or added on the way.
_CHANGED_SHARE = 0.25


def follow_move(
    folder: Path, source: Path | None, reporter: Reporter, *, known_files: Callable[[], IsKnownFile] | None = None
) -> bool:
    """Write the new places of the videos into the workspace's dataset if they were moved. The caller holds its lock.

    The dataset's videos are those at the new place if nearly each has the same path below the source and the content
    that its features were made from. Without features, each must be there, and hardly any others. A former file that
    still exists must have the size of the new one.

    Args:
        folder: the dataset folder of the workspace.
        source: what the user points at now; None for the place beside the workspace that the source had before.
        reporter: receives a line about the move.
        known_files: reads what the features record about their files; called only if a move is possible. None if
            there are no features.

    Returns:
        Whether the dataset was moved. Its splits, phrases and other edits stay as they are.
    """
    record = dataset_record(folder)
    former = _former_source(record)
    if former is None:
        return False
    new = _beside(folder, record, former) if source is None else source
    if new is None or new.resolve() == former or not new.exists():
        return False
    try:
        dataset = load_dataset(folder)
    except PipelineError:  # whoever uses the dataset says what is wrong with it
        return False
    moved = _Move(dataset, former, new.resolve(), known_files).videos()
    if moved is None:
        return False
    manifest = folder / MANIFEST
    was_written = record["written"].get(MANIFEST) == content_hash(read_bytes(manifest))
    save_manifest(replace(dataset, videos=moved), folder)
    written = {**record["written"], MANIFEST: content_hash(read_bytes(manifest))} if was_written else record["written"]
    write_json(folder / RECORD, {**record, **_origin(folder, record, new), "written": written})
    reporter.say(f"the videos of {former} are now in {new}: dataset, splits and phrases stay")
    return True


def _former_source(record: Mapping[str, Any]) -> Path | None:
    """Return the path that the dataset was made from; None if it was made from something else."""
    former = record.get("prepared_from") or record.get("source")
    return Path(former) if isinstance(former, str) and Path(former).is_absolute() else None


def _beside(folder: Path, record: Mapping[str, Any], former: Path) -> Path | None:
    """Return the place that the source has now if it was moved together with the workspace."""
    relative = record.get("relative_source")
    return None if former.exists() or not isinstance(relative, str) else plain_path(folder.parent / relative)


class _Move:
    """Compares the dataset with the files at another place.

    Args:
        dataset: the workspace's dataset.
        former: the folder or the list that it was made from.
        new: what may be that folder or that list, at another place.
        known_files: as for `follow_move`.
    """

    def __init__(
        self, dataset: Dataset, former: Path, new: Path, known_files: Callable[[], IsKnownFile] | None
    ) -> None:
        self._videos = dataset.videos
        self._is_folder = new.is_dir()
        self._old_root, self._new_root = (former, new) if self._is_folder else (former.parent, new.parent)
        self._known_files = known_files

    def videos(self) -> tuple[Video, ...] | None:
        """Return the videos at their new places; None if they are not there."""
        moved = {video: replace(video, location=str(path)) for video in self._videos if (path := self._place(video))}
        gone = []
        for video, there in moved.items():
            if not video.path.exists():
                gone.append(video)
            elif not there.path.exists() or video.path.stat().st_size != there.path.stat().st_size:
                return None
        if not any(video.path.exists() for video in moved.values()) or not self._are_gone_ones(gone, moved):
            return None
        return tuple(moved.get(video, video) for video in self._videos)

    def _place(self, video: Video) -> Path | None:
        """Return where a video is after the move; None if it was elsewhere, so that it was not moved."""
        with suppress(ValueError):
            return self._new_root / video.path.relative_to(self._old_root)
        return None

    def _are_gone_ones(self, gone: list[Video], moved: Mapping[Video, Video]) -> bool:
        """Say whether videos whose former files no longer exist are those at the new place."""
        if not gone:
            return True
        is_known = self._known_files() if self._known_files else _nothing_known
        same, unknown, never_there = 0, 0, 0
        for video in gone:
            path = moved[video].path
            is_same = is_known(video, path)
            if is_same is None:
                unknown += 1
                same += path.exists()
            elif path.exists():
                same += is_same
            else:  # a file that could not be read before may still be missing
                never_there += is_same
        expected = len(gone) - never_there
        if unknown * 2 <= len(gone):
            return same >= max(1, expected * (1 - _CHANGED_SHARE))
        return same == expected and self._others(moved) <= len(moved) * _CHANGED_SHARE

    def _others(self, moved: Mapping[Video, Video]) -> int:
        """Count the media files in a folder that the dataset does not list."""
        if not self._is_folder:
            return 0
        listed = {video.location for video in moved.values()}
        return sum(str(path) not in listed for path in media_files(self._new_root))


def _nothing_known(video: Video, path: Path) -> None:
    """Know nothing about any file."""


def _origin(folder: Path, record: Mapping[str, Any], new: Path) -> dict[str, str]:
    """Return the entries of source.json that name the source, with the new one."""
    source = str(record["source"])
    place = {}
    if "relative_source" in record:
        with suppress(ValueError):  # on another drive
            place["relative_source"] = os.path.relpath(new.resolve(), folder.resolve().parent)
    if "prepared_from" not in record:
        return {**place, "source": str(new.resolve())}
    kind = kind_of_preparation(source)
    return {
        **place,
        "source": source if kind is None else prepared_origin(kind, new),
        "prepared_from": str(new.resolve()),
    }
