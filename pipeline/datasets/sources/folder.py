"""Class folders: each is a class, and what lies in it are its videos."""

from pathlib import Path

from pipeline.base.errors import UsageError
from pipeline.base.wording import counted, does_not_exist
from pipeline.datasets.dataset import read_phrases, read_source
from pipeline.datasets.sources.found import Found


def find_folder(folder: Path) -> Found:
    """The videos of `folder/<class>/**/<file>`; classes.csv and splits.yaml beside the class folders are taken over.

    Raises:
        UsageError: no such folder, no class folder in it, or no videos.
    """
    if not folder.is_dir():
        raise UsageError(
            f"{folder} is a file: avzsl prepare csv takes lists of videos"
            if folder.exists()
            else does_not_exist(folder)
        )
    dataset = read_source(folder)
    classes, splits = folder / "classes.csv", folder / "splits.yaml"
    empty = [
        entry.name
        for entry in sorted(folder.iterdir())
        if entry.is_dir() and not entry.name.startswith(".") and entry.name.strip() not in dataset.phrases
    ]
    phrases = dict.fromkeys(empty, ()) | (read_phrases(classes) if classes.is_file() else {})
    notes = [f"{counted(dataset.ignored, 'video')} in no class folder: left out"] if dataset.ignored else []
    return Found(
        "folder",
        folder,
        dataset.videos,
        phrases=phrases,
        notes=tuple(notes),
        splits=splits if splits.is_file() else None,
    )
