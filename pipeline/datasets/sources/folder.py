"""Find the videos of class folders: each folder is a class and contains its videos."""

from pathlib import Path

from pipeline.base.csv_tables import escape_undecodable
from pipeline.base.errors import UsageError
from pipeline.base.wording import counted, not_a_file, some_of
from pipeline.datasets.dataset import nested_note, read_phrases, read_source
from pipeline.datasets.media_files import is_workspace, may_hold_videos, passed_over_note
from pipeline.datasets.sources.found import Found
from pipeline.datasets.split_folders import split_folders


def find_folder(folder: Path) -> Found:
    """Find the videos of `folder/<class>/**/<file>`. classes.csv and splits.yaml next to the class folders are used.

    Raises:
        UsageError: no such folder, or a folder without class folders or videos.
    """
    if not folder.is_dir():
        raise UsageError(
            f"{folder} is a file: avzsl prepare csv takes lists of videos" if folder.exists() else not_a_file(folder)
        )
    dataset = read_source(folder)
    classes, splits = folder / "classes.csv", folder / "splits.yaml"
    listed = read_phrases(classes) if classes.is_file() else {}
    parents = [folder / name for name in split_folders(folder, listed)] if dataset.split_of else [folder]
    names = (
        entry.name
        for parent in parents
        for entry in sorted(parent.iterdir())
        if entry.is_dir() and not is_workspace(entry)
    )
    empty = [
        name
        for name in names
        if may_hold_videos(name, listed) and escape_undecodable(name).strip() not in dataset.phrases
    ]
    phrases = dict.fromkeys(empty, ()) | listed
    notes = []
    if dataset.loose:
        notes.append(f"{counted(len(dataset.loose), 'video')} in no class folder: left out ({some_of(dataset.loose)})")
    if dataset.nested:
        notes.append(f"{folder}: {nested_note(dataset)}")
    if dataset.passed_over:
        notes.append(f"{folder}: {passed_over_note(dataset.passed_over)}")
    return Found(
        "folder",
        folder,
        dataset.videos,
        phrases=phrases,
        notes=tuple(notes),
        splits=splits if splits.is_file() else None,
        split_of=dataset.split_of,
    )
