"""Find the clips of ActivityNet: whole videos, and annotations with the times and classes of segments."""

import json
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.base.csv_tables import escape_undecodable
from pipeline.base.errors import UsageError
from pipeline.base.files import read_text
from pipeline.base.wording import counted, not_a_file
from pipeline.datasets.dataset import Video
from pipeline.datasets.sources.found import Found, LeftOut, MediaIndex, refuse_empty, refuse_unwritable

_LAYOUT = '{"database": {id: {"subset", "duration", "annotations": [{"label", "segment": [start, end]}]}}}'


def find_activitynet(folder: Path, annotations: Path) -> Found:
    """Find one clip per segment, named `<id>_<number of the segment>` as in the official splits.

    Args:
        folder: folder of v_<id>.mp4 or <id>.mp4 (or another container), also in sub-folders.
        annotations: file activity_net.v1-3.min.json.

    Raises:
        UsageError: a file other than ActivityNet's annotations, none of its videos in the folder, or a video that is
            there twice.
    """
    entries = _read(annotations)
    index = MediaIndex(folder)
    collected = _Collected(annotations)
    known: set[str] = set()
    id_of: dict[Path, str] = {}
    for name, entry in entries.items():
        path = index.find((f"v_{name}", name))
        known |= {f"v_{name}", name}
        if path is not None and id_of.setdefault(path, name) != name:
            raise UsageError(
                f"{annotations}: duplicate video: the ids {id_of[path]} and {name} both mean {path.name}; "
                "remove one, or rename the file to v_<id>"
            )
        collected.add(name, entry, path)
    index.refuse_duplicates()
    refuse_empty(collected.videos, collected.missing, annotations, folder)
    unlisted = sum(name not in known for name in index.names)
    notes = [note for reason, line in _REASONS.items() if (note := collected.note(reason, line))]
    if unlisted:
        notes.append(f"{counted(unlisted, 'file')} in {folder} not in the annotations: left out")
    return Found(
        "activitynet",
        folder,
        tuple(collected.videos),
        tuple(collected.missing),
        phrases=dict.fromkeys(sorted(collected.labels), ()),
        notes=tuple(notes),
    )


_REASONS = {
    "empty": "with an end that is not after the start: left out",
    "beyond": "with a start after the end of the video: left out",
    "clipped": "with an end after that of the video: cut off there",
}


@dataclass
class _Collected:
    """Collects the clips and what was wrong with segments."""

    annotations: Path
    videos: list[Video] = field(default_factory=list)
    missing: list[LeftOut] = field(default_factory=list)
    labels: set[str] = field(default_factory=set)
    counts: "Counter[str]" = field(default_factory=Counter)

    def add(self, name: str, entry: Any, path: Path | None) -> None:  # noqa: ANN401 - any JSON value
        """Add the segments of one video; `path` is None if it has no file."""
        duration = _number(entry.get("duration"), f"{self.annotations}: duration of {name}")
        for number, (label, start, end) in enumerate(_segments(entry, f"{self.annotations}: {name}")):
            key = f"{name}_{number}"
            self.labels.add(label)
            if path is None:
                self.missing.append(LeftOut(key, f"no file v_{name}.mp4 or {name}.mp4"))
            elif end <= start:
                self._leave_out(key, "empty", f"its segment {start:g} to {end:g} s is empty")
            elif duration and start >= duration:
                self._leave_out(key, "beyond", f"it begins at {start:g} s of a video of {duration:g} s")
            else:
                clipped = bool(duration) and end > duration
                self.counts["clipped"] += clipped
                self.videos.append(Video(key, str(path), label, start, duration if clipped else end))

    def _leave_out(self, key: str, reason: str, explanation: str) -> None:
        self.counts[reason] += 1
        self.missing.append(LeftOut(key, explanation))

    def note(self, reason: str, line: str) -> str:
        """Make a message about the segments left out or cut for a reason; '' if there are none."""
        return f"{counted(self.counts[reason], 'segment')} {line}" if self.counts[reason] else ""


def _read(path: Path) -> Mapping[str, Any]:
    """Read the videos of an annotation file: id -> entry."""
    if not path.is_file():
        raise UsageError(not_a_file(path) if not path.exists() else f"{path} is not a file: give the annotations")
    try:
        document = json.loads(read_text(path), object_pairs_hook=lambda pairs: _object(pairs, path))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not JSON: expected ActivityNet's annotations, {_LAYOUT}") from error
    database = document.get("database") if isinstance(document, dict) else None
    if not isinstance(database, dict) or not all(isinstance(entry, dict) for entry in database.values()):
        found = f"the keys {', '.join(list(document)[:5])}" if isinstance(document, dict) else "no object"
        raise UsageError(f"{path} is of another format: expected ActivityNet's annotations, {_LAYOUT}; found {found}")
    for name in database:
        refuse_unwritable(name, f"{path}: the id of a video")
    return {escape_undecodable(name): entry for name, entry in database.items()}


def _object(pairs: list[tuple[str, Any]], path: Path) -> dict[str, Any]:
    """Make a JSON object. Repeated names are refused: Python would silently use the last one."""
    names = Counter(unicodedata.normalize("NFC", name) for name, _ in pairs)
    if len(names) < len(pairs):
        name = names.most_common(1)[0][0]
        raise UsageError(f"{path}: {name!a} appears twice in one object: remove one")
    return dict(pairs)


def _segments(entry: Mapping[str, Any], where: str) -> Iterator[tuple[str, float, float]]:
    """Read (label, start, end) of the annotations of a video, with times in seconds."""
    annotations = entry.get("annotations", [])
    if not isinstance(annotations, list):
        raise UsageError(f"{where}: its annotations are not a list: expected {_LAYOUT}")
    for annotation in annotations:
        segment = annotation.get("segment") if isinstance(annotation, dict) else None
        if not isinstance(segment, list) or len(segment) != 2 or "label" not in annotation:
            raise UsageError(f"{where}: an annotation is {str(annotation)[:60]}: expected {_LAYOUT}")
        label, (start, end) = annotation["label"], segment
        if not isinstance(label, str) or not label.strip():
            raise UsageError(f"{where}: an annotation has the label {label!r}: expected the name of a class")
        refuse_unwritable(label.strip(), f"{where}: the label of an annotation")
        yield escape_undecodable(label).strip(), max(0.0, _number(start, where)), _number(end, where)


def _number(value: object, where: str) -> float:
    """Check a time in seconds; 0 if there is none."""
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or abs(value) == float("inf"):  # noqa: PLR0124 - NaN
        raise UsageError(f"{where}: {value!r} is not a number of seconds: expected {_LAYOUT}")
    return float(value)
