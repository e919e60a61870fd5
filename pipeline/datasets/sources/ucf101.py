"""Find the videos of UCF101 as its authors publish it: v_<Class>_gNN_cNN.avi, in class folders or in one folder."""

import re
from collections import Counter, defaultdict
from pathlib import Path

from pipeline.base.csv_tables import escape_undecodable
from pipeline.base.errors import UsageError
from pipeline.base.wording import counted
from pipeline.datasets.dataset import Video
from pipeline.datasets.sources.found import Found, MediaIndex

_NAME = re.compile(r"v_(?P<class_name>[^_]+)_g\d+_c\d+", re.IGNORECASE)
# The file names of this class differ from its folder and the class list (pipeline/avgzsl_benchmark/README.md, Quirks).
_SPELLINGS = {"handstandpushups": "HandstandPushups"}


def find_ucf101(folder: Path) -> Found:
    """Find the videos of UCF101. The name of a file gives its class; its folder only gives the spelling.

    Raises:
        UsageError: no such folder, no video with a name as in UCF101, or a video that is there twice.
    """
    index = MediaIndex(folder)
    names = [match for name in index.names if (match := _NAME.fullmatch(name))]
    if not names:
        raise UsageError(
            f"{folder} contains no video named as UCF101's are: expected v_<Class>_gNN_cNN.avi, found {index.names[0]}"
        )
    matches = [(match, path) for match in names if (path := index.find([match[0]]))]
    index.refuse_duplicates()
    classes_of_folder: dict[Path, set[str]] = defaultdict(set)
    for match, path in matches:
        classes_of_folder[path.parent].add(match["class_name"].casefold())
    spellings = _spellings(matches, classes_of_folder)
    videos = tuple(Video(match[0], str(path), spellings[match["class_name"].casefold()]) for match, path in matches)
    misplaced = [
        f"{path.parent.name}/{path.name}"
        for match, path in matches
        if path.parent != index.folder and _is_elsewhere(path.parent, match["class_name"], classes_of_folder)
    ]
    notes = []
    if len(index.names) > len(names):
        notes.append(f"{counted(len(index.names) - len(names), 'file')} not named v_<Class>_gNN_cNN: left out")
    if misplaced:
        notes.append(
            f"{counted(len(misplaced), 'video')} in the folder of another class, such as {misplaced[0]}: "
            "the file name gives the class"
        )
    return Found("ucf101", folder, videos, notes=tuple(notes))


def _spellings(matches: "list[tuple[re.Match[str], Path]]", classes_of_folder: dict[Path, set[str]]) -> dict[str, str]:
    """Map class names in lower case to their spelling: that of the folder, else of UCF101, else of most files."""
    by_files: dict[str, Counter[str]] = defaultdict(Counter)
    for match, _ in matches:
        by_files[match["class_name"].casefold()][match["class_name"]] += 1
    spellings = {
        name: _SPELLINGS.get(name) or max(sorted(counts), key=counts.__getitem__) for name, counts in by_files.items()
    }
    names = [escape_undecodable(parent.name) for parent in sorted(classes_of_folder, reverse=True)]
    by_folders = {name.casefold(): name for name in names}
    return {name: by_folders.get(name, spelling) for name, spelling in spellings.items()}


def _is_elsewhere(parent: Path, class_name: str, classes_of_folder: dict[Path, set[str]]) -> bool:
    """Return whether a file is in the folder of another class. A folder with several classes need not be a class."""
    classes = classes_of_folder[parent]
    own = escape_undecodable(parent.name).casefold()
    return own != class_name.casefold() and (own in classes or len(classes) == 1)
