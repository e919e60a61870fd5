"""Recognise the workspace's dataset after its videos were moved: what it is counts, not where it was."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.base.errors import PipelineError
from pipeline.base.files import write_json
from pipeline.base.progress import Reporter
from pipeline.datasets.dataset import RECORD, Video, dataset_record, load_dataset, save_manifest
from pipeline.datasets.dataset_folder import MANIFEST, content_hash

_PREPARED = "avzsl prepare "


def follow_move(folder: Path, source: Path | None, reporter: Reporter) -> bool:
    """Write the new places of the videos into the workspace's dataset if they were moved. The caller holds its lock.

    The dataset's videos are those at the new place if each has the same path below the source, and its former file is
    gone or has the same size.

    Args:
        folder: the dataset folder of the workspace.
        source: what the user points at now; None for the place beside the workspace that the source had before.
        reporter: receives a line about the move.

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
    old_root, new_root = (former, new.resolve()) if new.is_dir() else (former.parent, new.resolve().parent)
    videos = _moved(dataset.videos, old_root, new_root)
    if videos is None:
        return False
    manifest = folder / MANIFEST
    was_written = record["written"].get(MANIFEST) == content_hash(manifest.read_bytes())
    save_manifest(replace(dataset, videos=videos), folder)
    written = {**record["written"], MANIFEST: content_hash(manifest.read_bytes())} if was_written else record["written"]
    write_json(folder / RECORD, {**record, **_origin(record, new), "written": written})
    reporter.say(f"the videos of {former} are now in {new}: dataset, splits and phrases stay")
    return True


def _former_source(record: Mapping[str, Any]) -> Path | None:
    """Return the path that the dataset was made from; None if it was made from something else."""
    former = record.get("prepared_from") or record.get("source")
    return Path(former) if isinstance(former, str) and Path(former).is_absolute() else None


def _beside(folder: Path, record: Mapping[str, Any], former: Path) -> Path | None:
    """Return the place that the source has now if it was moved together with the workspace."""
    relative = record.get("relative_source")
    return None if former.exists() or not isinstance(relative, str) else folder.parent / relative


def _moved(videos: tuple[Video, ...], old_root: Path, new_root: Path) -> tuple[Video, ...] | None:
    """Return the videos at their new places; None if they are not there."""
    moved, found = [], 0
    for video in videos:
        try:
            below = video.path.relative_to(old_root)
        except ValueError:
            moved.append(video)  # it was elsewhere, so it was not moved
            continue
        new_path = new_root / below
        if not _same_file(video.path, new_path):
            return None
        found += new_path.exists()
        moved.append(replace(video, location=str(new_path)))
    return tuple(moved) if found else None


def _same_file(old: Path, new: Path) -> bool:
    """Whether a file was moved or copied, as far as sizes tell; a file that is missing at both places counts too."""
    if not old.exists():
        return True
    return new.exists() and old.stat().st_size == new.stat().st_size


def _origin(record: Mapping[str, Any], new: Path) -> dict[str, str]:
    """Return the entries of source.json that name the source, with the new one."""
    source = str(record["source"])
    if "prepared_from" not in record:
        return {"source": str(new.resolve())}
    if source.startswith(_PREPARED):
        kind = source.removeprefix(_PREPARED).split(" ", 1)[0]
        source = f"{_PREPARED}{kind} {new.absolute()}"
    return {"source": source, "prepared_from": str(new.resolve())}
