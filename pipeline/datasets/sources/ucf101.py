"""UCF101 as its authors publish it: v_<Class>_gNN_cNN.avi, in class folders or all in one."""

import re
from collections import Counter, defaultdict
from pathlib import Path

from pipeline.base.errors import UsageError
from pipeline.base.wording import counted
from pipeline.datasets.dataset import Video
from pipeline.datasets.sources.found import Found, MediaIndex

_NAME = re.compile(r"v_(?P<class_name>[^_]+)_g\d+_c\d+", re.IGNORECASE)
# The videos of this class are spelled otherwise than its folder and the list of classes (benchmark.md, Quirks).
_SPELLINGS = {"handstandpushups": "HandstandPushups"}


def find_ucf101(folder: Path) -> Found:
    """UCF101's videos; the name of a file says its class, its folder at most how that is spelled.

    Raises:
        UsageError: no such folder, no video named as UCF101 names them, or one that is there twice.
    """
    index = MediaIndex(folder)
    names = [match for name in index.names if (match := _NAME.fullmatch(name))]
    if not names:
        raise UsageError(
            f"{folder} holds no video named as UCF101's are: expected v_<Class>_gNN_cNN.avi, found {index.names[0]}"
        )
    matches = [(match, path) for match in names if (path := index.find([match[0]]))]
    classes_of_folder: dict[Path, set[str]] = defaultdict(set)
    for match, path in matches:
        classes_of_folder[path.parent].add(match["class_name"].casefold())
    spellings = _spellings(matches, classes_of_folder)
    videos = tuple(Video(match[0], str(path), spellings[match["class_name"].casefold()]) for match, path in matches)
    strangers = [
        f"{path.parent.name}/{path.name}"
        for match, path in matches
        if path.parent != index.folder and _is_elsewhere(path.parent, match["class_name"], classes_of_folder)
    ]
    notes = []
    if len(index.names) > len(names):
        notes.append(f"{counted(len(index.names) - len(names), 'file')} not named v_<Class>_gNN_cNN: left out")
    if strangers:
        notes.append(
            f"{counted(len(strangers), 'video')} in the folder of another class, such as {strangers[0]}: "
            "the file's name counts"
        )
    return Found("ucf101", folder, videos, notes=tuple(notes))


def _spellings(matches: "list[tuple[re.Match[str], Path]]", classes_of_folder: dict[Path, set[str]]) -> dict[str, str]:
    """Class name in lower case -> as it is spelled: by its folder, else as UCF101 does, else by most of its files."""
    by_files: dict[str, Counter[str]] = defaultdict(Counter)
    for match, _ in matches:
        by_files[match["class_name"].casefold()][match["class_name"]] += 1
    spellings = {name: _SPELLINGS.get(name) or max(sorted(of), key=of.__getitem__) for name, of in by_files.items()}
    by_folders = {parent.name.casefold(): parent.name for parent in sorted(classes_of_folder, reverse=True)}
    return {name: by_folders.get(name, spelling) for name, spelling in spellings.items()}


def _is_elsewhere(parent: Path, class_name: str, classes_of_folder: dict[Path, set[str]]) -> bool:
    """Whether a file lies in the folder of another class; a folder of several classes' files may be none's."""
    classes = classes_of_folder[parent]
    own = parent.name.casefold()
    return own != class_name.casefold() and (own in classes or len(classes) == 1)
