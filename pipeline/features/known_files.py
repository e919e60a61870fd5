"""Recognise the files that features were made from, wherever they are now."""

from pathlib import Path

from pipeline.base.workspace import Workspace
from pipeline.datasets.dataset import Video
from pipeline.datasets.moved import IsKnownFile
from pipeline.features.index import SourceFile
from pipeline.features.parts import FeatureParts, unchanged

_MAX_READ = 20  # files of the right size whose content is read: for a whole dataset this could take hours


def known_files(workspace: Workspace) -> IsKnownFile:
    """Read what the part files of every extractor record about the files of the videos.

    Args:
        workspace: the workspace of the features.

    Returns:
        A function of a video and a path. It says whether the file there is one that features of the video were made
        from, and None if the video has no features. A missing file counts only if it was missing then too.
    """
    folders = sorted((workspace.root / "features").glob("*/parts"))
    parts_of_extractors = [FeatureParts(folder) for folder in folders]
    read: set[Path] = set()

    def is_known(video: Video, path: Path) -> bool | None:
        entries = [entry for parts in parts_of_extractors if (entry := parts.entry(video))]
        if not entries:
            return None
        return any(_is_source(path, entry.source, read) for entry in entries)

    return is_known


def _is_source(path: Path, source: SourceFile, read: set[Path]) -> bool:
    """Compare a file with what was recorded: its size, and its content while few files were read."""
    if not path.is_file():
        return not source.content_hash
    stat = path.stat()
    if stat.st_size != source.size_bytes:
        return False
    if stat.st_mtime_ns == source.modified_ns or len(read) >= _MAX_READ:
        return True
    read.add(path)
    return unchanged(str(path), source)
