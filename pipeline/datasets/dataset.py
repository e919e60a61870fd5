"""A dataset: videos, their classes and the phrases of the classes, read from a folder or a manifest."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.base.csv_tables import escape_undecodable, number_in, read_user_table, write_rows
from pipeline.base.errors import MissingStageError, PipelineError, UsageError
from pipeline.base.files import read_json, storage_errors
from pipeline.base.system import collector_paused
from pipeline.base.wording import did_you_mean, not_a_file, some_of
from pipeline.datasets.accents import refuse_one_key_of_two, stored_path
from pipeline.datasets.media_files import MEDIA_ENDINGS, names_passed_over, passed_over_note, sorted_names
from pipeline.datasets.phrases import Phrases, parse_phrases, phrases_of_name, phrases_text, refuse_equal_phrases
from pipeline.datasets.split_folders import split_folders

RECORD = "source.json"
_EXAMPLES = 20  # videos to look for, in a dataset whose files may all be elsewhere
_MANIFEST_COLUMNS = ("video", "path", "class", "start_seconds", "end_seconds")


@dataclass(frozen=True)
class Video:
    """One labelled video, or a segment of one.

    Attributes:
        key: the name of the video everywhere. In a dataset read from a folder, it is the path relative to that folder,
            so equal file names in different folders are different videos.
        location: the absolute path of the file as text, because making 200,000 Path objects takes seconds.
        class_name: the name of its class.
        start_seconds: the start of the segment; None for the start of the file.
        end_seconds: the end of the segment; None for the end of the file.
    """

    key: str
    location: str
    class_name: str
    start_seconds: float | None = None
    end_seconds: float | None = None

    @property
    def path(self) -> Path:
        """The path of the file."""
        return Path(self.location)


@dataclass(frozen=True)
class Dataset:
    """Videos in a fixed order, and the phrases of their classes, sorted by class name."""

    source: Path
    videos: tuple[Video, ...]
    phrases: Mapping[str, Phrases]
    loose: tuple[str, ...] = ()  # names of media files outside class folders, which are left out
    other_files: Mapping[str, int] = field(default_factory=dict)  # ending -> number of files that are not media
    nested: bool = False  # whether every video lies in a further folder inside its class folder
    passed_over: tuple[str, ...] = ()  # names of folders with media files that are named like those of programs
    without_videos: Mapping[str, Phrases] = field(default_factory=dict)  # listed classes without videos -> phrases
    split_of: Mapping[str, str] = field(default_factory=dict)  # video key -> split, if the folders are splits

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in order; the position of a class is its index everywhere."""
        return tuple(self.phrases)


def read_source(source: Path) -> Dataset:
    """Read the dataset at a path: class folders `folder/<class>/<file>`, or a manifest.csv.

    Class folders may also be in folders that are splits, `folder/{train,val,test}/<class>/<file>`. A `classes.csv`
    (class, phrase) in the folder or next to the manifest gives the classes their phrases.

    Raises:
        UsageError: no such path, no videos, or a manifest or class list that contradicts itself.
    """
    with storage_errors(source):
        if not (source.is_dir() or source.is_file()):
            raise UsageError(not_a_file(source))
        if not source.is_dir() and (not source.is_file() or source.suffix.lower() in MEDIA_ENDINGS):
            raise UsageError(f"{source} is neither a folder <class>/<file> nor a manifest.csv: give one of them")
    root = source if source.is_dir() else source.parent
    classes_file = root / "classes.csv"
    phrases = read_phrases(classes_file) if classes_file.is_file() else {}
    if not source.is_dir():
        return dataset_of(source.resolve(), tuple(_read_manifest(source, known_classes=phrases)), phrases)
    splits = split_folders(source, phrases)
    scanned = _scan_folder(source, class_level=1 if splits else 0, classes=phrases)
    split_of = {video.key: splits[video.key.split("/", 1)[0]] for video in scanned.videos} if splits else {}
    dataset = dataset_of(source.resolve(), scanned.videos, phrases)
    return replace(scanned, phrases=dataset.phrases, without_videos=dataset.without_videos, split_of=split_of)


def nested_note(dataset: Dataset) -> str:
    """Say that every video lies in a folder inside a class folder, because the inner folders may be the classes."""
    return (
        f"every video lies in a folder inside a class folder, such as {dataset.videos[0].key}: the classes are "
        f"{some_of(dataset.classes)}. If the inner folders are the classes, give the folder that holds them, name the "
        "outer ones train, val and test, or list the videos in a manifest.csv"
    )


def dataset_of(source: Path, videos: tuple[Video, ...], phrases: Mapping[str, Phrases]) -> Dataset:
    """Make a dataset of videos and known phrases; a class without phrases gets one made from its name.

    Args:
        source: folder or manifest that it is made from.
        videos: videos in their order.
        phrases: class name -> phrases, of classes with and without videos; the phrases may be empty.

    Raises:
        UsageError: two classes of videos with the same phrases, or a class whose name has no letters.
    """
    with_videos = {video.class_name for video in videos}
    used = {name: phrases.get(name) or phrases_of_name(name) for name in sorted(with_videos)}
    refuse_equal_phrases(used)
    others = {name: phrases[name] or phrases_of_name(name) for name in sorted(set(phrases) - with_videos)}
    return Dataset(source=source, videos=videos, phrases=used, without_videos=others)


def _scan_folder(folder: Path, *, class_level: int, classes: Collection[str]) -> Dataset:
    """Find the videos of `folder/<class>/**/<file>` and sort them by key; the dataset has no phrases yet.

    Args:
        folder: the folder.
        class_level: number of folders between it and the classes.
        classes: names that the user says are classes.
    """
    videos, loose, others, passed = [], list[str](), Counter[str](), list[Path]()
    root = folder.absolute()
    for parent, names, other_names in sorted_names(root, classes=classes, passed_over=passed):
        # Once per folder, not once per file: for 200,000 files this would be most of the work.
        relative = parent.relative_to(root)
        if len(relative.parts) <= class_level:
            loose += map(escape_undecodable, names)
            continue
        prefix, class_name = (
            f"{escape_undecodable(relative.as_posix())}/",
            escape_undecodable(relative.parts[class_level]).strip(),
        )
        others.update(Path(name).suffix.lower() for name in other_names)
        videos += [Video(prefix + escape_undecodable(name), f"{parent}/{name}", class_name) for name in names]
    if not videos and loose:
        raise UsageError(
            f"{folder}: its {len(loose)} videos are not in class folders. "
            f"Sort them as {folder.name}/<class>/<file>, or list them in a manifest.csv"
        )
    passed_over = names_passed_over(passed)
    if not videos:
        note = f"; {passed_over_note(passed_over)}" if passed_over else ""
        raise UsageError(
            f"{folder} contains no videos: expected {folder.name}/<class>/<file>.mp4 "
            f"(or .mkv, .webm, .avi, .mov, ...){note}"
        )
    videos.sort(key=lambda video: video.key)
    refuse_one_key_of_two(((video.key, video.location) for video in videos), folder)
    other_files = dict(others.most_common())
    nested = all(video.key.count("/") > class_level + 1 for video in videos)
    return Dataset(folder.resolve(), tuple(videos), {}, tuple(loose), other_files, nested, passed_over)


def _read_manifest(path: Path, *, known_classes: Collection[str]) -> Iterator[Video]:
    """Read the videos of a manifest in its order; paths are relative to the folder of the manifest."""
    seen: dict[str, int] = {}
    for line, row in read_user_table(path, required=("path", "class"), any_bytes=True):
        where = f"{path}, line {line}"
        class_name = escape_undecodable(row["class"]).strip()
        if not row["path"]:
            raise UsageError(f"{where}: the path is empty")
        if not class_name:
            raise UsageError(f"{where}: the class is empty")
        if known_classes and class_name not in known_classes:
            raise UsageError(
                f"{where}: unknown class {class_name!r}: it is not in {path.parent / 'classes.csv'}."
                f"{did_you_mean(class_name, known_classes)} Correct the name or add it there"
            )
        start, end = _seconds(row, "start_seconds", where), _seconds(row, "end_seconds", where)
        if end is not None and end <= (start or 0.0):
            raise UsageError(f"{where}: end_seconds ({end:g}) must be greater than start_seconds ({start or 0:g})")
        key = escape_undecodable(row.get("video") or segment_key(row["path"], start, end))
        if key in seen:
            raise UsageError(
                f"{where}: video {key!r} is already on line {seen[key]}; give each row its own name in the column video"
            )
        seen[key] = line
        location = stored_path(str(path.parent.absolute() / row["path"]))
        yield Video(key, location, class_name, start, end)
    if not seen:
        raise UsageError(f"{path} lists no videos")


def segment_key(path: str, start: float | None, end: float | None) -> str:
    """Make a key for a manifest row without a name: its path and, if it is a segment, its times."""
    if start is None and end is None:
        return path
    return f"{path}#{start or 0:.15g}-{'' if end is None else f'{end:.15g}'}"


def _seconds(row: Mapping[str, str], column: str, where: str) -> float | None:
    """Read a time from a manifest row; None if the cell is empty or the column does not exist."""
    cell = row.get(column, "").strip()
    if not cell:
        return None
    value = number_in(cell)
    if value is None or not 0 <= value < float("inf"):
        raise UsageError(f"{where}: {column} is {cell!r}, not a number of seconds from 0")
    return value


def read_phrases(path: Path, *, comments: bool = False) -> dict[str, Phrases]:
    """Read the phrases of a classes.csv with the columns class and phrase.

    An empty phrase means that the phrase is made from the name. A class may have several phrases, in several rows or
    separated by `|`.

    Args:
        path: the file.
        comments: whether lines before the header that begin with `#` are comments.

    Raises:
        UsageError: a missing column, an empty class name, or a repeated row that adds no phrase.
    """
    phrases: dict[str, Phrases] = {}
    for line, row in read_user_table(path, required=("class",), any_bytes=True, comments=comments):
        name = escape_undecodable(row["class"]).strip()
        if not name:
            raise UsageError(f"{path}, line {line}: the class is empty")
        further = parse_phrases(escape_undecodable(row.get("phrase", "")))
        if name in phrases and set(further) <= set(phrases[name]):
            raise UsageError(f"{path}, line {line}: class {name!r} appears twice; give each row another phrase")
        phrases[name] = tuple(dict.fromkeys((*phrases.get(name, ()), *further)))
    return phrases


def save_dataset(dataset: Dataset, folder: Path) -> None:
    """Write manifest.csv and classes.csv into a folder; classes.csv also lists classes without videos."""
    save_manifest(dataset, folder)
    listed = {**dataset.without_videos, **dataset.phrases}
    classes = [(name, phrases_text(listed[name])) for name in sorted(listed)]
    write_rows(folder / "classes.csv", (("class", "phrase"), *classes))


def save_manifest(dataset: Dataset, folder: Path) -> None:
    """Write manifest.csv, the videos of a dataset, into a folder."""
    rows = [
        (video.key, video.location, video.class_name, _cell(video.start_seconds), _cell(video.end_seconds))
        for video in dataset.videos
    ]
    write_rows(folder / "manifest.csv", (_MANIFEST_COLUMNS, *rows))


def load_dataset(folder: Path) -> Dataset:
    """Read the dataset from its folder in a workspace.

    Raises:
        MissingStageError: the folder has no dataset yet.
    """
    manifest = folder / "manifest.csv"
    if not manifest.exists():
        raise MissingStageError(
            f"{folder.parent} has no dataset yet: run avzsl extract VIDEOS, or avzsl prepare, first"
        )
    return read_source(manifest)


def example_video(folder: Path) -> Path | None:
    """Return a file of the dataset in a folder, to show how a clip is predicted; None if no file of it is here."""
    try:
        videos = load_dataset(folder).videos
    except PipelineError:
        return None
    files = (Path(video.location) for video in videos[:_EXAMPLES])
    return next((path for path in files if path.is_file()), None)


def _cell(value: float | None) -> str:
    return "" if value is None else repr(value)


def dataset_record(folder: Path) -> dict[str, Any]:
    """Read source.json: what a dataset was made from, and the hashes of its files as avzsl wrote them.

    Returns:
        An empty record if there is no such file or avzsl did not write it.

    Raises:
        StorageError: the file is not JSON.
    """
    file = folder / RECORD
    record = read_json(file) if file.exists() else {}
    return record if isinstance(record, dict) and isinstance(record.get("written"), dict) else {}


@collector_paused()
def named_dataset(source: Path | None, folder: Path) -> Dataset:
    """Read the dataset that a user means.

    Args:
        source: class folders or a manifest. None for the source that the workspace was made from, as it is today; if
            that no longer exists, the dataset in the workspace. If `avzsl prepare` made the dataset in the workspace
            from this source, that dataset is read, with its splits and phrases.
        folder: the dataset folder of the workspace.

    Raises:
        PipelineError: a wrong source; or no source for a workspace that has no dataset or only generated features.
    """
    record = dataset_record(folder)
    if record.get("generated") and source is None:
        raise UsageError(
            f"{folder.parent} holds generated features and no videos: go on with avzsl train, "
            "or extract videos into another folder with --workspace"
        )
    prepared_from = record.get("prepared_from")
    if source is not None and prepared_from != str(source.resolve()):
        return read_source(source)
    if "source" not in record or prepared_from is not None or not Path(record["source"]).exists():
        return load_dataset(folder)
    return read_source(Path(record["source"]))
